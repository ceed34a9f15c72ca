//! Why a stored token cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why a stored token cannot be read or written. Does not show its content.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An I/O error.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a stored token.
    #[error("{} is not a stored token of this program", .0.display())]
    Content(PathBuf),
    /// The database of a queue that nodes share.
    #[error("{0}")]
    Shared(String),
    /// The runtime is shutting down.
    #[error("interrupted")]
    Interrupted,
}
