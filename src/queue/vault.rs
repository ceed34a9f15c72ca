//! Encrypts codes and secret links in the database file, its WAL and its copies.
//!
//! The payload of an event that contains one is encrypted (ChaCha20-Poly1305) with a key from a
//! separate file beside the database. When its last delivery ends, the payload is replaced by one
//! with `***` in their place. Remains of the old payload in free pages, in the WAL or in backups
//! are unreadable without the key. The content hash is keyed as well, because six digits are easily
//! guessed from a plain one.

use std::borrow::Cow;
use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::domain::Event;

/// The length of the key in bytes.
pub(super) const KEY_LEN: usize = 32;

/// The first byte of an encrypted payload; a plain one begins with `{`.
const SEALED: u8 = 1;
/// The first byte of a payload with masked secrets.
const MASKED: u8 = 2;
/// The length of the key id in an encrypted payload.
const KEY_ID: usize = 4;
const HEAD: usize = 1 + KEY_ID + NONCE_LEN;

/// The keys derived from the key file.
pub(super) struct Vault {
    cipher: LessSafeKey,
    digest: hmac::Key,
    id: [u8; KEY_ID],
    random: SystemRandom,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// A stored payload after decryption.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened<'a> {
    /// The event as it was accepted.
    Whole(Cow<'a, [u8]>),
    /// The event with masked secrets, which cannot be sent.
    Masked(&'a [u8]),
    /// Removed, or encrypted with another key.
    Gone,
    /// Encrypted with this key, but damaged.
    Damaged,
}

impl Vault {
    /// Generates a key. Returns `None` only if the system's random number generator fails.
    pub(super) fn random_key() -> Option<[u8; KEY_LEN]> {
        let mut key = [0; KEY_LEN];
        SystemRandom::new().fill(&mut key).ok()?;
        Some(key)
    }

    /// A vault with a temporary key, for a store in memory or without a key file.
    pub(super) fn ephemeral() -> Option<Self> {
        Self::new(&Self::random_key()?)
    }

    /// Derives one key for encryption and one for digests.
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Option<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = |purpose: &[u8]| hmac::sign(&root, purpose);
        let cipher =
            UnboundKey::new(&CHACHA20_POLY1305, derived(b"jobbell payload").as_ref()).ok()?;
        let digest = hmac::Key::new(hmac::HMAC_SHA256, derived(b"jobbell digest").as_ref());
        let id = *derived(b"jobbell key id").as_ref().first_chunk()?;
        Some(Self {
            cipher: LessSafeKey::new(cipher),
            digest,
            id,
            random: SystemRandom::new(),
        })
    }

    /// Encrypts the payload of the event `id`. `None` only when the system has no random numbers.
    pub(super) fn seal(&self, id: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut text = payload.to_vec();
        let tag = self
            .cipher
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(id.as_bytes()),
                &mut text,
            )
            .ok()?;
        Some([&self.sealed_head()[..], &nonce, &text, tag.as_ref()].concat())
    }

    /// Tells keys apart. Says nothing about the key.
    #[cfg(feature = "postgres")]
    pub(super) const fn id(&self) -> &[u8] {
        &self.id
    }

    /// The first bytes of every payload that this key encrypts.
    pub(super) fn sealed_head(&self) -> Vec<u8> {
        [&[SEALED][..], &self.id].concat()
    }

    /// A digest that cannot be computed, or compared with a guess, without the key.
    pub(super) fn digest<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.digest);
        parts.into_iter().for_each(|part| context.update(part));
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    fn unseal(&self, id: &str, stored: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = stored.split_at_checked(HEAD)?;
        let nonce = Nonce::try_assume_unique_for_key(head.get(1 + KEY_ID..)?).ok()?;
        let mut text = text.to_vec();
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(id.as_bytes()), &mut text)
            .ok()?
            .len();
        text.truncate(length);
        Some(text)
    }
}

/// Decrypts the stored payload of the event `id`.
pub(super) fn open<'a>(vault: &Vault, id: &str, stored: &'a [u8]) -> Opened<'a> {
    match stored.split_first() {
        Some((&MASKED, rest)) => Opened::Masked(rest),
        Some((&SEALED, rest)) if rest.starts_with(&vault.id) => match vault.unseal(id, stored) {
            Some(payload) => Opened::Whole(Cow::Owned(payload)),
            None => Opened::Damaged,
        },
        None | Some((&SEALED, _)) => Opened::Gone,
        Some(_) => Opened::Whole(Cow::Borrowed(stored)),
    }
}

/// The event of a stored payload, with masked codes and secret links; `None` if it was removed or
/// cannot be decrypted.
pub(super) fn shown(
    vault: &Vault,
    id: &str,
    stored: &[u8],
) -> Result<Option<Event>, serde_json::Error> {
    let read = |json: &[u8]| serde_json::from_slice::<Event>(json).map(Event::masked);
    match open(vault, id, stored) {
        Opened::Whole(json) => read(&json).map(Some),
        Opened::Masked(json) => read(json).map(Some),
        Opened::Gone | Opened::Damaged => Ok(None),
    }
}

/// Whether a stored payload was removed, or its code or secret link was masked.
pub(super) fn is_redacted(stored: &[u8]) -> bool {
    matches!(stored.first(), None | Some(&MASKED))
}

/// The masked form of a payload that contains a code or a secret link; empty if it cannot be
/// parsed.
pub(super) fn masked(payload: &[u8]) -> Vec<u8> {
    let event = serde_json::from_slice::<Event>(payload).ok();
    let shown = event.and_then(|event| serde_json::to_vec(&event.masked()).ok());
    shown.map_or_else(Vec::new, |shown| [&[MASKED][..], &shown].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&[byte; KEY_LEN]).unwrap()
    }

    #[test]
    fn sealed_payload_opens_only_with_its_key_and_event_id() {
        let (one, other) = (vault(1), vault(2));
        let stored = one.seal("e1", b"{\"code\":\"483921\"}").unwrap();
        assert!(!stored.windows(6).any(|window| window == b"483921"));
        assert_eq!(
            open(&one, "e1", &stored),
            Opened::Whole(Cow::Owned(b"{\"code\":\"483921\"}".to_vec()))
        );
        assert_eq!(open(&other, "e1", &stored), Opened::Gone);
        assert_eq!(open(&one, "e2", &stored), Opened::Damaged);
        for at in 1 + KEY_ID..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 1;
            assert_eq!(open(&one, "e1", &damaged), Opened::Damaged, "{at}");
        }
        assert_eq!(open(&one, "e1", &stored[..HEAD]), Opened::Damaged);
    }

    #[test]
    fn plain_and_removed_payloads_open_with_any_key() {
        assert_eq!(
            open(&vault(1), "e1", b"{}"),
            Opened::Whole(Cow::Borrowed(b"{}"))
        );
        assert_eq!(open(&vault(1), "e1", b""), Opened::Gone);
        assert_eq!(open(&vault(1), "e1", b"\x02{}"), Opened::Masked(b"{}"));
    }

    #[test]
    fn digests_depend_on_the_key() {
        assert_ne!(vault(1).digest([&b"a"[..]]), vault(2).digest([&b"a"[..]]));
        assert_eq!(
            vault(1).digest([&b"a"[..], b"b"]),
            vault(1).digest([&b"ab"[..]])
        );
    }
}
