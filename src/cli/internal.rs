//! The commands that our own child processes run: see [`crate::sandbox`]. Not for people.

use super::{DONE, FAILED};
use crate::sandbox::inside::serve;

/// Decodes the picture on standard input.
#[cfg(feature = "thumbnails")]
pub(super) fn decode() -> u8 {
    ended(&serve(
        crate::pictures::decoder::BUDGET,
        crate::pictures::decoder::answer,
    ))
}

/// This build has no decoders.
#[cfg(not(feature = "thumbnails"))]
pub(super) fn decode() -> u8 {
    FAILED
}

/// Fills the templates that it is given first with what it is given then.
pub(super) fn fill() -> u8 {
    let mut filler = crate::render::own::Filler::default();
    ended(&serve(crate::render::own::BUDGET, |request| {
        filler.answer(&request)
    }))
}

fn ended(end: &std::io::Result<()>) -> u8 {
    if end.is_ok() { DONE } else { FAILED }
}
