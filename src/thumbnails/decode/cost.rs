//! Estimates the cost of decoding an image from its headers.

use image::ImageFormat;

/// Memory in bytes that decoding takes besides the file: `output` bytes for the pixels, of which
/// there are `pixels`, and the decoder's buffers.
///
/// From the sources of zune-jpeg 0.5, image-webp 0.2 and png 0.18. A file that takes more hits the
/// process's limit.
pub(super) fn cost(format: ImageFormat, file: &[u8], pixels: u64, output: u64) -> u64 {
    let meanwhile = match format {
        ImageFormat::Jpeg => jpeg_coefficients(file).unwrap_or(u64::MAX),
        ImageFormat::WebP => pixels.saturating_mul(webp_bytes_per_pixel(file)),
        _ => 0,
    };
    output.saturating_add(meanwhile)
}

/// The kind of frame, and for extended files the announced features.
fn webp_bytes_per_pixel(file: &[u8]) -> u64 {
    const ANIMATION: u8 = 0x02;
    const ALPHA: u8 = 0x10;
    match (file.get(12..16), file.get(20)) {
        // Planes of luma and of two chroma channels at half resolution.
        (Some(b"VP8 "), _) => 2,
        (Some(b"VP8X"), Some(flags)) if flags & ANIMATION != 0 => 16,
        (Some(b"VP8X"), Some(flags)) if flags & ALPHA != 0 => 8,
        _ => 4,
    }
}

/// Sampling factors of a JPEG component, horizontal and vertical.
type Sampling = (u64, u64);

/// Bytes of the coefficients kept until the last scan: two each; none if the first scan is
/// sequential and has every component.
fn jpeg_coefficients(file: &[u8]) -> Option<u64> {
    let mut rest = file.get(2..)?;
    let mut frame: Option<(bool, u64, u64, Vec<Sampling>)> = None;
    loop {
        let marker = rest
            .iter()
            .position(|byte| *byte == 0xFF)
            .and_then(|at| rest.get(at..))?;
        let skipped = marker.iter().position(|byte| *byte != 0xFF)?;
        let (kind, after) = (*marker.get(skipped)?, marker.get(skipped + 1..)?);
        if matches!(kind, 0 | 1 | 0xD0..=0xD8) {
            rest = after;
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let body = after.get(2..length)?;
        match kind {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                frame = Some(jpeg_frame(kind, body)?);
            }
            0xDA => {
                let (progressive, width, height, components) = frame?;
                let in_first_scan = usize::from(*body.first()?);
                if !progressive && in_first_scan == components.len() {
                    return Some(0);
                }
                let (across, down) = components.iter().fold((1, 1), |(across, down), (h, v)| {
                    (across.max(*h), down.max(*v))
                });
                let units = width
                    .div_ceil(8 * across)
                    .saturating_mul(height.div_ceil(8 * down));
                return Some(
                    components
                        .iter()
                        .map(|(h, v)| units.saturating_mul(64 * h * v * 2))
                        .sum(),
                );
            }
            _ => {}
        }
        rest = after.get(length..)?;
    }
}

fn jpeg_frame(kind: u8, body: &[u8]) -> Option<(bool, u64, u64, Vec<Sampling>)> {
    let side = |at: usize| {
        Some(u64::from(u16::from_be_bytes(
            *body.get(at..)?.first_chunk()?,
        )))
    };
    let components = body
        .get(6..)?
        .chunks_exact(3)
        .filter_map(|component| component.get(1));
    let components = components
        .map(|factors| {
            (
                u64::from(factors >> 4).max(1),
                u64::from(factors & 15).max(1),
            )
        })
        .collect();
    Some((kind != 0xC0 && kind != 0xC1, side(3)?, side(1)?, components))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JPEG headers of 1,000 × 800 pixels whose first scan has this many of three components.
    fn jpeg(kind: u8, luma: u8, in_scan: u8) -> Vec<u8> {
        let frame = [
            0xFF, kind, 0, 17, 8, 3, 32, 3, 232, 3, 1, luma, 0, 2, 0x11, 1, 3, 0x11, 1,
        ];
        [
            &[0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0xFF, 0xC2][..],
            &frame,
            &[0xFF, 0xFF, 0xDA, 0, 3, in_scan],
        ]
        .concat()
    }

    #[test]
    fn jpeg_costs_its_coefficients_unless_it_has_one_scan() {
        let blocks = |across: u64, down: u64| {
            1_000_u64.div_ceil(8 * across) * 800_u64.div_ceil(8 * down) * 64 * 2
        };
        let cost = |file: &[u8]| cost(ImageFormat::Jpeg, file, 800_000, 2_400_000) - 2_400_000;
        assert_eq!(cost(&jpeg(0xC0, 0x22, 3)), 0);
        assert_eq!(cost(&jpeg(0xC2, 0x11, 3)), blocks(1, 1) * 3, "progressive");
        assert_eq!(cost(&jpeg(0xC2, 0x22, 1)), blocks(2, 2) * 6);
        assert_eq!(
            cost(&jpeg(0xC0, 0x22, 1)),
            blocks(2, 2) * 6,
            "one component after the other"
        );
    }

    #[test]
    fn nonsensical_headers_cost_the_maximum() {
        for file in [
            &b"\xFF\xD8\xFF"[..],
            b"\xFF\xD8\xFF\xC2\0",
            b"\xFF\xD8\xFF\xDA\0\x03\x03",
            b"\xFF\xD8\xFF\xE0\0\0",
        ] {
            assert_eq!(cost(ImageFormat::Jpeg, file, 1, 1), u64::MAX, "{file:?}");
        }
    }
}
