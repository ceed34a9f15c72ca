//! Sizes and positions of the shown images.

use std::borrow::Cow;

use super::{Gallery, Inline, Listed, Picture};
use crate::domain::{JobEvent, Thumbnail};
use crate::render::facts;
use crate::render::locale::{Words, fill, number};
use crate::render::text::{line, shorten};

/// Width of the text column in pixels: 600 minus border and padding.
const COLUMN: u32 = 534;
/// Maximum size of a single image: a 2:3 portrait still fills the column.
const ALONE: (u32, u32) = (COLUMN, 801);
/// A single image at least this wide fills the column.
const FILLS: u32 = 480;
/// Maximum size of each of two images side by side, with a gap of 8.
const BESIDE: (u32, u32) = (263, 526);
/// Maximum number of characters of the prompt in an alternative text.
const MAX_ALT: usize = 100;

/// Puts the shown images into rows of two without gaps; an odd one goes on top. Two side by side
/// are large enough on a phone.
pub(super) fn arrange<'a>(
    gallery: &mut Gallery<'a>,
    job: &JobEvent,
    words: &'static Words,
    shown: &[&Listed<'a>],
    message_id: &str,
    about: Option<&str>,
) {
    let heroes = shown.len() % 2;
    let mut pictures = Vec::with_capacity(shown.len());
    for (index, one) in shown.iter().enumerate() {
        let space = if index < heroes { ALONE } else { BESIDE };
        let (width, height) = fit(pixels(one, job), space);
        let href = one.link.clone().unwrap_or_default();
        let src = one.preview.map_or_else(
            || href.clone(),
            |preview| carry(&mut gallery.inline, one.number, preview, message_id),
        );
        let partial = one.preview.is_some_and(|preview| preview.partial);
        pictures.push(Picture {
            href,
            src,
            alt: alt(index, shown.len(), about, words),
            width,
            height,
            partial,
        });
    }
    let mut pictures = pictures.into_iter();
    gallery.hero = if heroes == 1 { pictures.next() } else { None };
    let mut rest = pictures.peekable();
    while rest.peek().is_some() {
        gallery.rows.push(rest.by_ref().take(2).collect());
    }
}

/// Adds a thumbnail to the mail and returns the `cid:` name for the HTML (RFC 2392), derived from
/// the mail's Message-ID.
fn carry<'a>(
    inline: &mut Vec<Inline<'a>>,
    number: usize,
    preview: &'a Thumbnail,
    message_id: &str,
) -> Cow<'a, str> {
    let content_id = format!("image-{number}.{message_id}");
    let src = ["cid:", &content_id].concat();
    inline.push(Inline {
        content_id,
        number,
        preview,
    });
    src.into()
}

/// The first image is described by the visible part of the prompt or by the title, the others by
/// their number: screen readers should not repeat one prompt eight times.
fn alt(index: usize, of: usize, about: Option<&str>, words: &'static Words) -> Cow<'static, str> {
    let about = about.and_then(|text| line(text, MAX_ALT));
    match (index, about) {
        (0, Some(about)) => Cow::Owned(shorten(&about, MAX_ALT).into_owned()),
        _ if of > 1 => Cow::Owned(fill(words.image_number, &number(index + 1))),
        _ => Cow::Borrowed(words.image),
    }
}

/// The image's size: that of the thumbnail, else the one in the event, if any.
fn pixels(listed: &Listed<'_>, job: &JobEvent) -> Option<(u32, u32)> {
    let stated = || {
        listed
            .image
            .width
            .zip(listed.image.height)
            .filter(|(width, height)| *width > 0 && *height > 0)
    };
    let copied = listed
        .preview
        .map(|preview| (preview.width, preview.height));
    copied
        .or_else(stated)
        .or_else(|| facts::size(job).map(|size| (size.width, size.height)))
}

/// Displayed size: as large as fits, keeping proportions; enlarged only if the image nearly fills
/// the column. A square if the size is unknown.
fn fit(pixels: Option<(u32, u32)>, (across, down): (u32, u32)) -> (u32, u32) {
    let (width, height) = pixels.unwrap_or((across, across));
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let most = if width >= u64::from(FILLS) {
        u64::from(across)
    } else {
        width
    };
    let shown = u64::from(across)
        .min(most)
        .min(u64::from(down) * width / height)
        .max(1);
    let tall = (shown * height / width).clamp(1, u64::from(down));
    (
        u32::try_from(shown).unwrap_or(across),
        u32::try_from(tall).unwrap_or(down),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_keeps_its_proportions_and_fills_the_column() {
        let shown = |width, height| fit(Some((width, height)), ALONE);
        assert_eq!(
            [
                shown(1_024, 1_024),
                shown(512, 512),
                shown(1_024, 512),
                shown(832, 1_216)
            ],
            [(534, 534), (534, 534), (534, 267), (534, 780)]
        );
        assert_eq!(
            [shown(1_024, 4_096), shown(400, 300), shown(64, 64)],
            [(200, 800), (400, 300), (64, 64)]
        );
        assert_eq!(
            [shown(1, 1_000_000), shown(1_000_000, 1)],
            [(1, 801), (534, 1)]
        );
        assert_eq!(
            (fit(None, ALONE), fit(Some((100, 50)), BESIDE)),
            ((534, 534), (100, 50))
        );
    }
}
