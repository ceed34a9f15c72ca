//! Small copies of an event's pictures, made once and kept with the event, because the links to the
//! pictures themselves die.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// Why a picture has no small copy. Says nothing about what stands behind an address: a
    /// producer must not be able to look around by it.
    MissingReason {
        /// Its address is not one that may be fetched: not public, of an unknown name, or of a port
        /// that is not a web server's.
        NotAllowed = "not_allowed",
        /// There is no such file below the folder that may be read.
        NoFile = "no_file",
        /// Its server did not give it.
        Unavailable = "unavailable",
        /// It has more bytes or pixels than are looked at, or takes more memory or time to decode
        /// than allowed.
        TooLarge = "too_large",
        /// It is no PNG, JPEG or WebP, or a broken one.
        NotAPicture = "not_a_picture",
        /// The mail had to go before it was there.
        NoTime = "no_time",
        /// There is no child process here that could decode it.
        NoDecoder = "no_decoder",
        /// It comes after those that a mail shows.
        NotShown = "not_shown",
    }
}

/// A small copy of a picture: JPEG, upright, on white, without any data of the original's besides
/// its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Pixels across, at most [`Thumbnail::MAX_WIDTH`].
    pub width: u32,
    /// Pixels down, at most [`Thumbnail::MAX_HEIGHT`].
    pub height: u32,
    /// Whether it shows only the beginning of a very tall or very wide picture.
    pub partial: bool,
    /// The file, at most [`Thumbnail::MAX_BYTES`].
    pub jpeg: Vec<u8>,
}

impl Thumbnail {
    /// The most pixels across.
    pub const MAX_WIDTH: u32 = 560;
    /// The most pixels down: what a mail shows of a tall picture, at twice its size for fine
    /// screens.
    pub const MAX_HEIGHT: u32 = 1_120;
    /// The most bytes of the file.
    pub const MAX_BYTES: usize = 60_000;
    /// The most pictures of one event that have one, for a mail shows no more.
    pub const MAX_PER_EVENT: usize = 8;

    /// Whether it has a size, and no more pixels and bytes than allowed.
    pub fn is_within_bounds(&self) -> bool {
        (1..=Self::MAX_WIDTH).contains(&self.width)
            && (1..=Self::MAX_HEIGHT).contains(&self.height)
            && self.jpeg.len() <= Self::MAX_BYTES
    }
}

/// What became of one picture of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThumbnailResult {
    /// Which picture of the event, from 0.
    pub place: usize,
    /// The small copy, or why there is none.
    pub result: Result<Thumbnail, MissingReason>,
}

named! {
    /// How far the copying of a picture has come.
    ThumbnailState {
        /// It is being fetched, or waits for it.
        Waiting = "waiting",
        /// The small copy is kept with the event.
        Kept = "kept",
        /// There is none; the reason says why.
        None = "none",
    }
}
