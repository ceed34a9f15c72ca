use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

/// [`super::shrink`] of a copy.
fn shrink(bytes: &[u8], sensitive: bool) -> Result<Thumbnail, MissingReason> {
    super::shrink(bytes.to_vec(), sensitive)
}

/// Incompressible pixels.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(7);
    ImageBuffer::from_fn(width, height, |_, _| {
        Rgb([random.u8(..), random.u8(..), random.u8(..)])
    })
}

fn gradient(width: u32, height: u32) -> RgbImage {
    let share = |at: u32, of: u32| u8::try_from(at * 255 / of).unwrap();
    ImageBuffer::from_fn(width, height, |x, y| {
        Rgb([share(x, width), share(y, height), 128])
    })
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(PngEncoder::new(&mut bytes))
        .unwrap();
    bytes
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90))
        .unwrap();
    bytes
}

fn webp(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(WebPEncoder::new_lossless(&mut bytes))
        .unwrap();
    bytes
}

fn opened(preview: &Thumbnail) -> RgbImage {
    image::load_from_memory_with_format(&preview.jpeg, ImageFormat::Jpeg)
        .unwrap()
        .to_rgb8()
}

fn alike(one: Rgb<u8>, other: [u8; 3]) -> bool {
    one.0
        .iter()
        .zip(other)
        .all(|(one, other)| one.abs_diff(other) < 24)
}

/// A PNG's chunk.
fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend_from_slice(&kind);
    chunk.extend_from_slice(data);
    let mut crc = u32::MAX;
    for byte in chunk.iter().skip(4) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    chunk.extend_from_slice(&(!crc).to_be_bytes());
    chunk
}

/// A grey PNG with this declared size and these chunks.
fn bare_png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    [
        b"\x89PNG\r\n\x1A\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunks.concat(),
        chunk(*b"IEND", &[]),
    ]
    .concat()
}

/// A zlib stream of zeros: 258 per copy, of two codes each.
fn zeros(count: usize) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (vec![0x78, 0xDA], 0_u64, 0_u32);
    let mut put = |value: u64, length: u32, bytes: &mut Vec<u8>| {
        bits |= value << held;
        held += length;
        while held >= 8 {
            bytes.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    };
    // A single block with the fixed codes: a literal zero (00110000), then copies of length 258
    // (11000101) from distance 1 (00000).
    put(0b011, 3, &mut bytes);
    put(0b0000_1100, 8, &mut bytes);
    for _ in 0..count / 258 {
        put(0b1010_0011, 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 7, &mut bytes);
    put(0, 7, &mut bytes);
    bytes
}

#[test]
fn every_format_becomes_a_small_jpeg_of_the_same_image() {
    let picture = gradient(1_600, 900);
    for (name, bytes) in [
        ("png", png(&picture)),
        ("jpeg", jpeg(&picture)),
        ("webp", webp(&picture)),
    ] {
        let preview = shrink(&bytes, false).unwrap();
        assert_eq!((preview.width, preview.height), (560, 315), "{name}");
        assert!(
            preview.jpeg.len() <= Thumbnail::MAX_BYTES
                && preview.jpeg.starts_with(&[0xFF, 0xD8, 0xFF]),
            "{name}"
        );
        let small = opened(&preview);
        assert!(
            alike(*small.get_pixel(0, 0), [0, 0, 128])
                && alike(*small.get_pixel(559, 314), [255, 255, 128]),
            "{name}"
        );
        assert_eq!(
            shrink(&bytes, false).unwrap(),
            preview,
            "{name}: the same bytes every time"
        );
    }
}

#[test]
fn small_image_is_not_enlarged_and_tall_one_is_bounded() {
    let size = |width, height| {
        shrink(&png(&gradient(width, height)), false)
            .map(|preview| (preview.width, preview.height))
            .unwrap()
    };
    assert_eq!(
        [
            size(40, 30),
            size(560, 560),
            size(561, 561),
            size(1_000, 3_000)
        ],
        [(40, 30), (560, 560), (560, 560), (374, 1_120)]
    );
    assert_eq!(
        [size(1, 1), size(1, 12_000), size(12_000, 1)],
        [(1, 1), (1, 2), (4, 1)]
    );
}

#[test]
fn very_tall_or_wide_image_is_cropped_to_its_beginning() {
    let shown = |width, height| {
        let preview = shrink(&png(&gradient(width, height)), false).unwrap();
        (
            preview.width,
            preview.height,
            preview.partial,
            *opened(&preview).get_pixel(preview.width - 1, preview.height - 1),
        )
    };
    let tall = shown(800, 20_000);
    assert_eq!((tall.0, tall.1, tall.2), (560, 1_120, true));
    assert!(tall.3.0[1] < 40, "its top, not all of it: {:?}", tall.3);
    assert_eq!(shown(40, 4_000).0, 40);
    let wide = shown(20_000, 800);
    assert_eq!((wide.0, wide.1, wide.2), (560, 140, true));
    assert!(wide.3.0[0] < 60, "{:?}", wide.3);
    assert!(!shown(1_080, 2_400).2);
}

#[test]
fn gzipped_image_and_image_with_a_profile_are_decoded() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&png(&gradient(64, 48))).unwrap();
    assert_eq!(
        shrink(&gzip.finish().unwrap(), false),
        shrink(&png(&gradient(64, 48)), false)
    );
    let colour = RgbImage::from_pixel(16, 16, Rgb([200, 100, 50]));
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile.clone()).unwrap();
    colour.write_with_encoder(encoder).unwrap();
    let mut photo = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut photo, 95);
    encoder.set_icc_profile(profile.clone()).unwrap();
    colour.write_with_encoder(encoder).unwrap();
    let mut web = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut web);
    encoder.set_icc_profile(profile).unwrap();
    colour.write_with_encoder(encoder).unwrap();
    for (name, file) in [("png", file), ("jpeg", photo), ("webp", web)] {
        let preview = opened(&shrink(&file, false).unwrap());
        assert!(
            alike(*preview.get_pixel(8, 8), [217, 96, 28]) && preview.get_pixel(8, 8).0[0] > 208,
            "{name}: {:?}",
            preview.get_pixel(8, 8)
        );
    }
}

#[test]
fn thumbnail_of_noise_stays_within_its_size_limit() {
    for (width, height) in [(560, 560), (2_000, 4_000)] {
        let preview = shrink(&png(&noise(width, height)), false).unwrap();
        assert!(
            preview.jpeg.len() <= Thumbnail::MAX_BYTES,
            "{} bytes",
            preview.jpeg.len()
        );
        assert!(preview.width >= 100, "{} pixels", preview.width);
        assert_eq!(
            opened(&preview).dimensions(),
            (preview.width, preview.height)
        );
    }
}

#[test]
fn transparency_becomes_white() {
    let picture = RgbaImage::from_fn(64, 64, |x, _| {
        if x < 32 {
            Rgba([200, 0, 0, 0])
        } else {
            Rgba([0, 0, 200, 255])
        }
    });
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(PngEncoder::new(&mut bytes))
        .unwrap();
    let small = opened(&shrink(&bytes, false).unwrap());
    assert!(
        alike(*small.get_pixel(8, 32), [255, 255, 255])
            && alike(*small.get_pixel(56, 32), [0, 0, 200])
    );
}

#[test]
fn a_photo_stands_upright() {
    // EXIF: little-endian, one entry, orientation (0x0112) = 6: the camera was turned, so the image
    // must be turned by 90° clockwise.
    let mut exif =
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let plain = jpeg(&gradient(200, 100));
    let mut turned = vec![0xFF, 0xD8, 0xFF, 0xE1];
    turned.extend_from_slice(&length);
    turned.append(&mut exif);
    turned.extend_from_slice(&plain[2..]);
    let preview = shrink(&turned, false).unwrap();
    assert_eq!((preview.width, preview.height), (100, 200));
    let small = opened(&preview);
    assert!(
        alike(*small.get_pixel(99, 0), [0, 0, 128]),
        "its left edge is on top: {:?}",
        small.get_pixel(99, 0)
    );
    assert!(
        !preview.jpeg.windows(4).any(|window| window == b"Exif"),
        "nothing of the original goes along but its pixels"
    );
}

#[test]
fn sensitive_image_keeps_only_its_colours() {
    // Stripes the size of text, one image the inverse of the other: the thumbnails must be
    // indistinguishable.
    let stripes = |odd: u32| {
        RgbImage::from_fn(560, 560, |x, _| {
            if (x / 8) % 2 == odd {
                Rgb([255, 255, 255])
            } else {
                Rgb([0, 0, 0])
            }
        })
    };
    let blurred = |odd| shrink(&png(&stripes(odd)), true).unwrap();
    let (one, other) = (opened(&blurred(0)), opened(&blurred(1)));
    assert_eq!(one.dimensions(), (560, 560));
    let apart = one
        .pixels()
        .zip(other.pixels())
        .map(|(one, other)| one.0[0].abs_diff(other.0[0]))
        .max()
        .unwrap();
    assert!(apart < 40, "{apart}");
    let contrast = |picture: &RgbImage| {
        picture.pixels().map(|pixel| pixel.0[0]).max().unwrap()
            - picture.pixels().map(|pixel| pixel.0[0]).min().unwrap()
    };
    assert!(
        contrast(&one) < 60 && contrast(&opened(&shrink(&png(&stripes(0)), false).unwrap())) > 200
    );
}

#[test]
fn png_of_30000_by_30000_pixels_is_refused_up_front() {
    let huge = bare_png(30_000, 30_000, &[chunk(*b"IDAT", &zeros(1_000_000))]);
    assert_eq!(shrink(&huge, false), Err(MissingReason::TooLarge));
    assert_eq!(
        shrink(
            &bare_png(12_000, 12_000, &[chunk(*b"IDAT", &zeros(1_000))]),
            false
        ),
        Err(MissingReason::TooLarge),
        "144 megapixels"
    );
    let absurd = shrink(&bare_png(u32::MAX, u32::MAX, &[]), false);
    assert!(
        matches!(
            absurd,
            Err(MissingReason::TooLarge | MissingReason::NotAPicture)
        ),
        "{absurd:?}"
    );
}

#[test]
fn zip_bomb_png_costs_no_more_than_its_pixels() {
    // A thousand times the size of the pixels after the pixels, and the same in a text, a profile
    // and a compressed text chunk.
    let (rows, bomb) = (zeros(101 * 100 + 258), zeros(500_000_000));
    let text = [b"Comment\0\0".as_slice(), &bomb].concat();
    let unicode = [b"Comment\0\x01\0\0\0".as_slice(), &bomb].concat();
    let profile = [b"p\0\0".as_slice(), &bomb].concat();
    for (name, chunks) in [
        ("pixels", vec![chunk(*b"IDAT", &bomb)]),
        ("text", vec![chunk(*b"zTXt", &text), chunk(*b"IDAT", &rows)]),
        (
            "unicode text",
            vec![chunk(*b"iTXt", &unicode), chunk(*b"IDAT", &rows)],
        ),
        (
            "profile",
            vec![chunk(*b"iCCP", &profile), chunk(*b"IDAT", &rows)],
        ),
    ] {
        let bytes = bare_png(100, 100, &chunks);
        assert!(bytes.len() < 4_000_000, "{name}: {} bytes", bytes.len());
        match shrink(&bytes, false) {
            Ok(preview) => assert_eq!((preview.width, preview.height), (100, 100), "{name}"),
            Err(why) => assert!(
                matches!(why, MissingReason::NotAPicture | MissingReason::TooLarge),
                "{name}: {why}"
            ),
        }
    }
}

#[test]
fn files_that_only_look_like_images_are_refused() {
    let whole = png(&gradient(64, 64));
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;
    let gif = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\0;";
    for (name, bytes) in [
        ("nothing", &b""[..]),
        ("svg", svg),
        ("gif", gif),
        ("html", b"<!DOCTYPE html><title>404</title>"),
        ("the beginning of a png", &whole[..whole.len() / 2]),
        ("a png's signature", &whole[..8]),
        ("a jpeg's signature", b"\xFF\xD8\xFF\xE0"),
        ("a webp's signature", b"RIFF\x04\0\0\0WEBP"),
        (
            "a png that calls itself jpeg",
            &[b"\xFF\xD8\xFF", &whole[3..]].concat(),
        ),
    ] {
        assert_eq!(
            shrink(bytes, false),
            Err(MissingReason::NotAPicture),
            "{name}"
        );
    }
}

#[test]
fn polyglot_file_is_reduced_to_its_pixels() {
    let script = b"<script>alert(1)</script>PK\x03\x04";
    let text = chunk(*b"tEXt", &[b"Comment\0".as_slice(), script].concat());
    let plain = png(&gradient(64, 64));
    let polyglot = [&plain[..33], &text, &plain[33..], script].concat();
    let preview = shrink(&polyglot, false).unwrap();
    assert_eq!(preview, shrink(&plain, false).unwrap());
    assert!(!preview.jpeg.windows(7).any(|window| window == b"<script"));
}

#[test]
fn a_decoder_that_panics_costs_only_its_picture() {
    assert_eq!(
        survive(|| panic!("a fault of the decoder, made by this test")),
        Err(MissingReason::NotAPicture)
    );
    assert!(
        shrink(&png(&gradient(8, 8)), false).is_ok(),
        "the next one goes on"
    );
}

#[test]
fn sixteen_bits_and_grey_are_pictures_too() {
    let mut deep = Vec::new();
    PngEncoder::new(&mut deep)
        .write_image(
            &[0x80, 0].repeat(4 * 16 * 16),
            16,
            16,
            ExtendedColorType::Rgba16,
        )
        .unwrap();
    assert_eq!(shrink(&deep, false).unwrap().width, 16);
    let mut grey = Vec::new();
    image::GrayImage::from_pixel(16, 16, image::Luma([128]))
        .write_with_encoder(PngEncoder::new(&mut grey))
        .unwrap();
    assert!(alike(
        *opened(&shrink(&grey, false).unwrap()).get_pixel(8, 8),
        [128; 3]
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any content after a valid signature gives an answer, and a thumbnail within its bounds.
    #[test]
    fn damaged_files_are_answered_and_never_fatal(kind in 0_usize..3, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let picture = gradient(40, 30);
        let mut bytes = [png(&picture), jpeg(&picture), webp(&picture)][kind].clone();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(preview) = shrink(&bytes, false) {
            prop_assert!(preview.jpeg.len() <= Thumbnail::MAX_BYTES && preview.width <= Thumbnail::MAX_WIDTH && preview.height <= Thumbnail::MAX_HEIGHT);
        }
    }
}
