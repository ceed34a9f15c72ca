//! Thumbnails of an event's images, created once and stored with the event, because image links
//! expire.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// Why an image has no thumbnail. Reveals nothing about the target of a URL, because producers
    /// could use that to probe the network.
    MissingReason {
        /// Its URL may not be fetched: the address is not public, the name is unknown, or the port
        /// is not allowed.
        NotAllowed = "not_allowed",
        /// No such file in the permitted directory.
        NoFile = "no_file",
        /// The server did not return it.
        Unavailable = "unavailable",
        /// It exceeds a limit: bytes, pixels, or memory or time to decode it.
        TooLarge = "too_large",
        /// It is not a valid PNG, JPEG or WebP file.
        NotAPicture = "not_a_picture",
        /// It was not ready when the mail was due.
        NoTime = "no_time",
        /// Decoding in a child process is unavailable.
        NoDecoder = "no_decoder",
        /// It is beyond the number of images that a mail shows.
        NotShown = "not_shown",
    }
}

/// A thumbnail: a JPEG file, upright, on a white background, without the metadata of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Width in pixels, at most [`Thumbnail::MAX_WIDTH`].
    pub width: u32,
    /// Height in pixels, at most [`Thumbnail::MAX_HEIGHT`].
    pub height: u32,
    /// Whether it shows only the first part of a very tall or very wide image.
    pub partial: bool,
    /// The file, at most [`Thumbnail::MAX_BYTES`].
    pub jpeg: Vec<u8>,
}

impl Thumbnail {
    /// Maximum width in pixels.
    pub const MAX_WIDTH: u32 = 560;
    /// Maximum height in pixels: twice what a mail shows of a tall image, for high-resolution
    /// screens.
    pub const MAX_HEIGHT: u32 = 1_120;
    /// Maximum size of the file, in bytes.
    pub const MAX_BYTES: usize = 60_000;
    /// Maximum number of thumbnails of one event; a mail shows no more images.
    pub const MAX_PER_EVENT: usize = 8;

    /// Whether its dimensions and size are within the limits.
    pub fn is_within_bounds(&self) -> bool {
        (1..=Self::MAX_WIDTH).contains(&self.width)
            && (1..=Self::MAX_HEIGHT).contains(&self.height)
            && self.jpeg.len() <= Self::MAX_BYTES
    }
}

/// The result for one image of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThumbnailResult {
    /// Index of the image in the event.
    pub place: usize,
    /// The thumbnail, or why it is missing.
    pub result: Result<Thumbnail, MissingReason>,
}

named! {
    /// State of a thumbnail.
    ThumbnailState {
        /// The image is being fetched or waits to be.
        Waiting = "waiting",
        /// The thumbnail is stored with the event.
        Kept = "kept",
        /// There is none, for the recorded reason.
        None = "none",
    }
}
