//! Turns an untrusted file into a small JPEG: bounded in pixels, memory and bytes, and robust
//! against decoder panics.
//!
//! Runs in a child process that is killed when it exceeds its memory or time limits
//! ([`super::decoder`]). Images known to be too expensive are refused up front ([`cost`]).

mod colour;
mod cost;
mod shape;
mod unpack;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    DynamicImage, ImageBuffer, ImageDecoder as _, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
};

use crate::domain::{MissingReason, Thumbnail};

/// Maximum bytes of an image.
pub(super) const MAX_BYTES: usize = 20 * 1_024 * 1_024;
/// Number of bytes needed to detect a file's format.
pub(super) const TELLING: usize = 12;
/// Maximum pixels of a side.
const MAX_SIDE: u32 = 65_535;
/// Maximum bytes of an image's pixels.
const MAX_PIXELS: u64 = 128 * 1_024 * 1_024;
/// Maximum bytes of its pixels and its decoder's buffers.
const MAX_MEMORY: u64 = 160 * 1_024 * 1_024;
/// From good to still recognisable.
const QUALITIES: [u8; 5] = [85, 75, 65, 55, 45];
/// Size in pixels to which a sensitive image is reduced before it is enlarged again: lost detail
/// cannot be restored.
const BLURRED: u32 = 12;

/// Whether a file looks like an image by its first bytes; its name and media type are not trusted.
pub(super) fn may_be_a_picture(bytes: &[u8]) -> bool {
    format(bytes).is_some() || unpack::is_packed(bytes)
}

/// The format detected from a file's first bytes.
fn format(bytes: &[u8]) -> Option<ImageFormat> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(ImageFormat::Png),
        [0xFF, 0xD8, 0xFF, ..] => Some(ImageFormat::Jpeg),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Makes the thumbnail: upright, in sRGB, the first frame, on white, at most 560 × 1,120 pixels and
/// 60,000 bytes, blurred beyond recognition if `sensitive`; only the beginning of very tall or wide
/// images. Takes a second or two at worst.
///
/// # Errors
/// [`Absence::TooLarge`] before anything is decoded; [`Absence::NotAPicture`] if it cannot be
/// decoded or the decoder panics.
pub(super) fn shrink(bytes: Vec<u8>, sensitive: bool) -> Result<Thumbnail, MissingReason> {
    survive(|| {
        let bytes = unpack::unpacked(bytes)?;
        let (picture, partial) = decode(&bytes)?;
        encode(&small(&picture, sensitive), partial)
    })
}

/// The decoders promise not to panic, and sometimes do.
fn survive(
    work: impl FnOnce() -> Result<Thumbnail, MissingReason>,
) -> Result<Thumbnail, MissingReason> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::warn!("image decoder panicked; the mail is sent without this thumbnail");
        Err(MissingReason::NotAPicture)
    })
}

/// Decodes the image upright and not much larger than needed. Also returns whether it is only the
/// beginning.
fn decode(bytes: &[u8]) -> Result<(DynamicImage, bool), MissingReason> {
    let format = format(bytes).ok_or(MissingReason::NotAPicture)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    (
        limits.max_image_width,
        limits.max_image_height,
        limits.max_alloc,
    ) = (Some(MAX_SIDE), Some(MAX_SIDE), Some(MAX_PIXELS));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error))?;
    let (width, height) = decoder.dimensions();
    let output = decoder.total_bytes();
    if output > MAX_PIXELS
        || cost::cost(format, bytes, u64::from(width) * u64::from(height), output) > MAX_MEMORY
    {
        return Err(MissingReason::TooLarge);
    }
    // A broken orientation or colour profile does not make an image invalid.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| refused(&error))?;
    let part = shape::part(picture.width(), picture.height(), orientation);
    let picture = match part {
        Some(part) => picture.crop_imm(part.x, part.y, part.width, part.height),
        None => picture,
    };
    let mut picture = colour::in_srgb(halved(picture), profile.as_deref());
    picture.apply_orientation(orientation);
    Ok((picture, part.is_some()))
}

fn refused(error: &image::ImageError) -> MissingReason {
    if matches!(error, image::ImageError::Limits(_)) {
        MissingReason::TooLarge
    } else {
        MissingReason::NotAPicture
    }
}

/// Averages a large image down to at most twice the final size: fast, so that the high-quality
/// filter runs on few pixels.
fn halved(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (Thumbnail::MAX_HEIGHT * 2, Thumbnail::MAX_HEIGHT * 2);
    if picture.width() > width || picture.height() > height {
        picture.thumbnail(width, height)
    } else {
        picture
    }
}

fn small(picture: &DynamicImage, sensitive: bool) -> RgbImage {
    let (width, height) = (
        picture.width().min(Thumbnail::MAX_WIDTH),
        picture.height().min(Thumbnail::MAX_HEIGHT),
    );
    let fits = (width, height) == (picture.width(), picture.height());
    let small = if fits {
        picture.clone()
    } else {
        picture.resize(width, height, FilterType::CatmullRom)
    };
    let flat = on_white(&small);
    if sensitive { blurred(flat) } else { flat }
}

/// Flattens the image onto white: JPEG has no transparency.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let source = picture.to_rgba8();
    ImageBuffer::from_fn(source.width(), source.height(), |x, y| {
        let [red, green, blue, alpha] = source.get_pixel(x, y).0;
        let mix = |colour: u8| {
            let mixed =
                (u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        Rgb([red, green, blue].map(mix))
    })
}

fn blurred(picture: RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let picture = DynamicImage::ImageRgb8(picture);
    let colours = picture.resize(
        BLURRED.min(width),
        BLURRED.min(height),
        FilterType::Triangle,
    );
    colours
        .resize_exact(width, height, FilterType::CatmullRom)
        .to_rgb8()
}

/// Encodes at the best quality that fits; scales down if none does.
fn encode(picture: &RgbImage, partial: bool) -> Result<Thumbnail, MissingReason> {
    let mut picture = std::borrow::Cow::Borrowed(picture);
    loop {
        let (width, height) = picture.dimensions();
        for quality in QUALITIES {
            let mut jpeg = Vec::with_capacity(Thumbnail::MAX_BYTES);
            picture
                .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, quality))
                .map_err(|error| refused(&error))?;
            if jpeg.len() <= Thumbnail::MAX_BYTES {
                return Ok(Thumbnail {
                    width,
                    height,
                    partial,
                    jpeg,
                });
            }
        }
        let smaller = DynamicImage::ImageRgb8(picture.into_owned()).resize(
            (width * 3 / 4).max(1),
            (height * 3 / 4).max(1),
            FilterType::CatmullRom,
        );
        picture = std::borrow::Cow::Owned(smaller.into_rgb8());
    }
}

#[cfg(test)]
mod tests;
