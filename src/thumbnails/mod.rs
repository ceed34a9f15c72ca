//! Small copies of pictures: fetched once when an event comes in, kept with it, carried inside its
//! mails. Links die, the copies stay.
//!
//! ```text
//!  queue: an event with pictures ─▶ capture ─▶ thumbnailer ──▶ local: a file below `email.image_root`
//!         its mails wait                │         │  └──▶ fetch: http(s), past `ssrf` and `address`
//!         ◀── copies, or why not ───────┘         └─────▶ decoder: a child process ─▶ decode: one small JPEG
//! ```
//!
//! The addresses come from producers and the files from anywhere, so nothing of either is trusted:
//! see [`ssrf`] for what may be called, `decode` for what a file may cost. A producer learns of a
//! refused address only that it is refused. Nothing here can lose a mail: the mails of an event
//! wait at most `email.preview_wait`, and the queue lets them go by itself when that is over.

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

/// Whether this build can make small copies: the feature `thumbnails`.
pub const BUILT_IN: bool = cfg!(feature = "thumbnails");

/// The picture keys of `[email]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `email.preview`: whether small copies are made.
    pub enabled: bool,
    /// How long a mail waits for its pictures at most.
    pub wait: Duration,
    /// The folder that `local_path` is looked up in.
    pub root: Option<PathBuf>,
    /// The operator's own hosts, which may stand at private addresses.
    pub hosts: Vec<OwnHost>,
    /// Makes a link of an image's local path.
    pub public_url: Option<Link>,
}

/// Why pictures cannot be fetched at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library refuses its settings.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}
