//! Has pictures decoded by a child process ([`crate::sandbox`]), one process a picture, and is that
//! child's side as well.

use std::time::Duration;

use super::decode;
use super::decode::MAX_BYTES;
use crate::domain::{MissingReason, Thumbnail};
#[cfg(feature = "cli")]
use crate::sandbox::inside::Budget;
use crate::sandbox::{DECODE, Lost, Worker};

/// Limits of the child process. Decoding takes up to 160 MiB, the file up to 20 MiB twice, and the
/// program itself some 20 MiB.
#[cfg(feature = "cli")]
pub const BUDGET: Budget = Budget {
    memory: 256 * 1_024 * 1_024,
    seconds: 6,
    request: MAX_BYTES + 1,
};

/// Time limit for one image, generous for a busy machine.
const TIME: Duration = Duration::from_secs(12);
/// Bytes of an answer before the JPEG: result, width, height.
const HEAD: usize = 9;

/// Makes the thumbnail of an image in a child process. Blocks.
///
/// # Errors
/// Those of `decode::shrink`; [`Absence::TooLarge`] if it exceeds the memory or time limit,
/// [`Absence::NoDecoder`] if no child process can run.
pub(super) fn shrink(mut bytes: Vec<u8>, sensitive: bool) -> Result<Thumbnail, MissingReason> {
    bytes.push(u8::from(sensitive));
    let answered = Worker::start(DECODE, HEAD + Thumbnail::MAX_BYTES)
        .and_then(|mut worker| worker.ask(bytes, TIME));
    match answered {
        Ok(answer) => parse(&answer),
        Err(lost) if lost.blames_input() => {
            tracing::warn!(
                "image decoding exceeded its limits; the mail is sent without this thumbnail: {lost}"
            );
            Err(MissingReason::TooLarge)
        }
        Err(lost) => {
            complain(&lost);
            Err(MissingReason::NoDecoder)
        }
    }
}

/// Reports once why images cannot be decoded at all.
fn complain(lost: &Lost) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::error!("cannot decode images; mails are sent without thumbnails: {lost}");
    });
}

/// The child's side: one request, one answer.
#[cfg(feature = "cli")]
pub fn answer(mut request: Vec<u8>) -> Vec<u8> {
    let sensitive = request.pop() == Some(1);
    match decode::shrink(request, sensitive) {
        Ok(Thumbnail {
            width,
            height,
            partial,
            jpeg,
        }) => [
            &[u8::from(partial)],
            &width.to_be_bytes()[..],
            &height.to_be_bytes(),
            &jpeg,
        ]
        .concat(),
        Err(why) => [&[u8::MAX], why.as_str().as_bytes()].concat(),
    }
}

/// Parses an answer; values outside the bounds of a thumbnail are rejected.
fn parse(answer: &[u8]) -> Result<Thumbnail, MissingReason> {
    let (kind, rest) = answer.split_first().ok_or(MissingReason::NoDecoder)?;
    if *kind == u8::MAX {
        let why = std::str::from_utf8(rest)
            .ok()
            .and_then(MissingReason::from_name);
        return Err(why.unwrap_or(MissingReason::NoDecoder));
    }
    let (width, rest) = rest.split_first_chunk().ok_or(MissingReason::NoDecoder)?;
    let (height, jpeg) = rest.split_first_chunk().ok_or(MissingReason::NoDecoder)?;
    let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
    let preview = Thumbnail {
        width,
        height,
        partial: *kind == 1,
        jpeg: jpeg.to_vec(),
    };
    if preview.is_within_bounds() && jpeg.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Ok(preview)
    } else {
        Err(MissingReason::NoDecoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_out_of_bounds_is_rejected() {
        let answer = |kind: u8, width: u32, height: u32, jpeg: &[u8]| {
            [
                &[kind],
                &width.to_be_bytes()[..],
                &height.to_be_bytes(),
                jpeg,
            ]
            .concat()
        };
        let jpeg = [0xFF, 0xD8, 0xFF, 0xE0];
        let preview = parse(&answer(1, 560, 1_120, &jpeg)).unwrap();
        assert_eq!(
            (preview.width, preview.height, preview.partial),
            (560, 1_120, true)
        );
        for bad in [
            answer(0, 561, 10, &jpeg),
            answer(0, 10, 1_121, &jpeg),
            answer(0, 0, 10, &jpeg),
            answer(0, 10, 10, b"<svg>"),
            vec![0, 1],
            Vec::new(),
        ] {
            assert_eq!(parse(&bad), Err(MissingReason::NoDecoder), "{bad:?}");
        }
        assert_eq!(parse(b"\xFFtoo_large"), Err(MissingReason::TooLarge));
        assert_eq!(parse(b"\xFFmade up"), Err(MissingReason::NoDecoder));
    }

    #[test]
    fn decoding_never_happens_in_process() {
        assert_eq!(
            shrink(b"\x89PNG\r\n\x1A\n".to_vec(), false),
            Err(MissingReason::NoDecoder)
        );
    }
}
