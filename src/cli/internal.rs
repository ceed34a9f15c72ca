//! Commands run only by our own child processes; see [`crate::sandbox`].

use super::{DONE, FAILED};
use crate::sandbox::inside::serve;

/// Decodes the image on standard input.
#[cfg(feature = "thumbnails")]
pub(super) fn decode() -> u8 {
    ended(&serve(
        crate::thumbnails::decoder::BUDGET,
        crate::thumbnails::decoder::answer,
    ))
}

/// Stub for builds without image decoders.
#[cfg(not(feature = "thumbnails"))]
pub(super) fn decode() -> u8 {
    FAILED
}

/// Fills templates: first reads them, then the data of each mail.
pub(super) fn fill() -> u8 {
    let mut filler = crate::render::user_templates::Filler::default();
    ended(&serve(crate::render::user_templates::BUDGET, |request| {
        filler.answer(&request)
    }))
}

fn ended(end: &std::io::Result<()>) -> u8 {
    if end.is_ok() { DONE } else { FAILED }
}
