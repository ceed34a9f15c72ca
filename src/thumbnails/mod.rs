//! Thumbnails: images are fetched once when an event arrives, and small copies are stored with it
//! and embedded in its mails. Links expire, the copies do not.
//!
//! ```text
//!  queue: an event with images ─▶ worker ─▶ thumbnailer ──▶ local: a file below `email.image_root`
//!         its mails wait             │         │  └──▶ fetch: http(s), checked by `ssrf` and `address`
//!         ◀── thumbnails or reason ──┘         └─────▶ decoder: a child process ─▶ decode: a small JPEG
//! ```
//!
//! Neither URLs nor files are trusted: [`ssrf`] decides which URLs may be fetched, `decode` bounds the cost
//! of a file. Producers learn of a forbidden address only that it is refused. No mail is lost here:
//! an event's mails wait at most `email.preview_wait`, then the queue releases them.

pub mod address;
#[cfg(feature = "thumbnails")]
mod decode;
#[cfg(feature = "thumbnails")]
pub mod decoder;
#[cfg(feature = "thumbnails")]
mod fetch;
#[cfg(feature = "thumbnails")]
mod local;
#[cfg(feature = "thumbnails")]
mod shares;
pub mod ssrf;
#[cfg(feature = "thumbnails")]
pub mod thumbnailer;
#[cfg(feature = "thumbnails")]
pub mod worker;

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Link;
use crate::tls::TlsError;
use ssrf::OwnHost;

/// Whether this build can make thumbnails: the feature `thumbnails`.
pub const BUILT_IN: bool = cfg!(feature = "thumbnails");

/// The thumbnail keys of `[email]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `email.preview`: whether thumbnails are made.
    pub enabled: bool,
    /// Maximum time that a mail waits for its thumbnails.
    pub wait: Duration,
    /// The folder of `local_path`.
    pub root: Option<PathBuf>,
    /// The operator's own hosts, which may have private addresses.
    pub hosts: Vec<OwnHost>,
    /// Base of links to local paths of images.
    pub public_url: Option<Link>,
}

/// Why images cannot be fetched at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client refuses its settings.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}
