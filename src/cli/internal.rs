//! The commands that our own child processes run: see [`crate::sandbox`]. Not for people.

use super::{DONE, FAILED};
use crate::sandbox::inside::serve;

/// Decodes the picture on standard input.
#[cfg(feature = "thumbnails")]
pub(super) fn decode() -> u8 {
    ended(&serve(
        crate::thumbnails::decoder::BUDGET,
        crate::thumbnails::decoder::answer,
    ))
}

/// This build has no decoders.
#[cfg(not(feature = "thumbnails"))]
pub(super) fn decode() -> u8 {
    FAILED
}

/// Fills the templates that it is given first with what it is given then.
pub(super) fn fill() -> u8 {
    let mut filler = crate::render::user_templates::Filler::default();
    ended(&serve(crate::render::user_templates::BUDGET, |request| {
        filler.answer(&request)
    }))
}

fn ended(end: &std::io::Result<()>) -> u8 {
    if end.is_ok() { DONE } else { FAILED }
}
