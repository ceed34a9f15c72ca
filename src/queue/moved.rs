//! What `jobbell queue move` carries from one store to another, in the same form for both. Times are
//! wall time in milliseconds.

use std::hash::{Hash, Hasher};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedEvent {
    pub(super) id: String,
    #[serde(with = "hex")]
    pub(super) content: Vec<u8>,
    pub(super) source: String,
    pub(super) received_at: i64,
    /// As it is stored: encrypted if it holds a secret.
    #[serde(with = "hex")]
    pub(super) payload: Vec<u8>,
    pub(super) thumbnails: bool,
    /// When its mails are sent without the thumbnails that are still to be made.
    pub(super) deadline: Option<i64>,
    pub(super) pictures: Vec<MovedPicture>,
    pub(super) deliveries: Vec<MovedDelivery>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedPicture {
    pub(super) place: i32,
    pub(super) reason: Option<String>,
    pub(super) width: Option<i32>,
    pub(super) height: Option<i32>,
    pub(super) jpeg: Option<String>,
    pub(super) partial: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedDelivery {
    pub(super) id: Uuid,
    /// 0 queued, 2 sent, 3 dead, 4 suppressed, 5 cancelled.
    pub(super) state: i16,
    pub(super) lane: i16,
    /// Of a queued one.
    pub(super) due_at: Option<i64>,
    pub(super) attempts: i32,
    pub(super) token: i64,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) ended_at: Option<i64>,
    pub(super) retried_at: Option<i64>,
    pub(super) kind: String,
    pub(super) reason: Option<String>,
    pub(super) preferred_server: Option<String>,
    pub(super) recipient: String,
    pub(super) message_id: String,
    /// In the order of their start.
    pub(super) tries: Vec<MovedAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedAttempt {
    pub(super) number: i32,
    pub(super) server: String,
    pub(super) started_at: i64,
    pub(super) took_ms: i64,
    pub(super) result: String,
    pub(super) stage: Option<String>,
    pub(super) code: Option<i32>,
    pub(super) enhanced: Option<String>,
    pub(super) reply: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) advice: Option<String>,
}

/// A request that its producer named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedKey {
    pub(super) key: String,
    #[serde(with = "hex")]
    pub(super) content: Vec<u8>,
    /// The ids that were answered, as a JSON array.
    pub(super) ids: String,
}

/// A payload that could not be mapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedPayload {
    pub(super) seq: i64,
    pub(super) hook: String,
    #[serde(with = "hex")]
    pub(super) digest: Vec<u8>,
    pub(super) first_at: i64,
    pub(super) last_at: i64,
    pub(super) times: i32,
    pub(super) why: String,
    pub(super) payload: String,
}

/// Mails handed to a server, which count against its rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct MovedUse {
    pub(super) server: String,
    pub(super) minute: i64,
    pub(super) last_at: i64,
    pub(super) mails: i64,
}

/// What does not belong to an event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct MovedRest {
    pub(super) payloads: Vec<MovedPayload>,
    pub(super) used: Vec<MovedUse>,
}

/// Numbers and digests of what was read; the same for the same content in any order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) events: u64,
    /// By state: queued, none, sent, dead, suppressed, cancelled.
    pub(super) states: [u64; 6],
    pub(super) keys: u64,
    digest: u128,
    /// Of the deliveries' ids alone.
    pub(super) ids: u128,
}

impl Sum {
    pub(super) fn deliveries(&self) -> u64 {
        self.states.iter().sum()
    }

    pub(super) fn event(&mut self, event: &MovedEvent) {
        self.events += 1;
        self.add(event);
        for delivery in &event.deliveries {
            let state = usize::try_from(delivery.state).ok();
            if let Some(number) = state.and_then(|state| self.states.get_mut(state)) {
                *number += 1;
            }
            self.ids = self.ids.wrapping_add(digest(&delivery.id));
        }
    }

    pub(super) fn key(&mut self, key: &MovedKey) {
        self.keys += 1;
        self.add(key);
    }

    pub(super) fn rest(&mut self, rest: &MovedRest) {
        for payload in &rest.payloads {
            self.add(payload);
        }
        for used in &rest.used {
            self.add(used);
        }
    }

    fn add(&mut self, row: &impl Hash) {
        self.digest = self.digest.wrapping_add(digest(row));
    }
}

/// The start of the SHA-256 of a value.
fn digest(value: &impl Hash) -> u128 {
    let mut hasher = Sha256(Context::new(&SHA256));
    value.hash(&mut hasher);
    let digest = hasher.0.finish();
    let start = digest.as_ref().first_chunk().copied().unwrap_or_default();
    u128::from_be_bytes(start)
}

struct Sha256(Context);

impl Hasher for Sha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest itself is used instead.
    fn finish(&self) -> u64 {
        0
    }
}

/// Bytes as hexadecimal digits, as both databases write them.
pub(super) mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in crate::queue) fn encode(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // A String takes everything.
            write!(text, "{byte:02x}").unwrap_or_default();
        }
        text
    }

    pub(in crate::queue) fn decode(text: &str) -> Option<Vec<u8>> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let pair = |pair: &[u8]| {
            let [high, low] = pair else { return None };
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        };
        text.as_bytes().chunks(2).map(pair).collect()
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        decode(&text).ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_depends_on_the_content_and_not_on_the_order() {
        let key = |key: &str, byte| MovedKey {
            key: key.to_owned(),
            content: vec![byte],
            ids: "[]".to_owned(),
        };
        let sum = |keys: &[MovedKey]| {
            let mut sum = Sum::default();
            for key in keys {
                sum.key(key);
            }
            sum
        };
        let (one, two) = (key("a", 1), key("b", 2));
        assert_eq!(sum(&[one.clone(), two.clone()]), sum(&[two, one.clone()]));
        assert_ne!(
            sum(&[one.clone(), key("b", 3)]),
            sum(&[one.clone(), key("b", 2)])
        );
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<MovedKey>(&json).unwrap(), one);
        assert_eq!(hex::decode("0g"), None);
        assert_eq!(hex::decode("abc"), None);
    }
}
