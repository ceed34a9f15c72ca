//! Converts colours from an image's ICC profile to sRGB, which mail clients assume for a JPEG
//! without a profile.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// Maximum size of a profile; those of cameras and screens have a few kilobytes.
const MAX_PROFILE: usize = 4 * 1_024 * 1_024;

/// The image in sRGB. Without a profile it is sRGB already; with a broken or unsuitable profile it
/// stays unchanged.
pub(super) fn in_srgb(picture: DynamicImage, profile: Option<&[u8]>) -> DynamicImage {
    let Some(profile) = profile.filter(|profile| profile.len() <= MAX_PROFILE) else {
        return picture;
    };
    catch_unwind(AssertUnwindSafe(|| converted(&picture, profile)))
        .ok()
        .flatten()
        .map_or(picture, DynamicImage::ImageRgba8)
}

fn converted(picture: &DynamicImage, profile: &[u8]) -> Option<RgbaImage> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let (layout, pixels) = match profile.color_space {
        DataColorSpace::Rgb => (Layout::Rgba, picture.to_rgba8().into_raw()),
        DataColorSpace::Gray if !picture.color().has_color() => {
            (Layout::GrayAlpha, picture.to_luma_alpha8().into_raw())
        }
        _ => return None,
    };
    let transform = profile
        .create_transform_8bit(
            layout,
            &ColorProfile::new_srgb(),
            Layout::Rgba,
            TransformOptions::default(),
        )
        .ok()?;
    let mut converted = RgbaImage::new(picture.width(), picture.height());
    transform.transform(&pixels, &mut converted).ok()?;
    Some(converted)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    fn of(colour: [u8; 3]) -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_pixel(2, 2, Rgb(colour)))
    }

    fn near(picture: &DynamicImage, expected: [u8; 3]) -> bool {
        picture
            .to_rgb8()
            .get_pixel(1, 1)
            .0
            .iter()
            .zip(expected)
            .all(|(one, other)| one.abs_diff(other) <= 3)
    }

    #[test]
    fn display_p3_and_grey_profiles_become_srgb() {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let picture = in_srgb(of([200, 100, 50]), Some(&p3));
        assert!(
            near(&picture, [217, 96, 28]),
            "{:?}",
            picture.to_rgb8().get_pixel(1, 1)
        );
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        assert!(near(
            &in_srgb(of([200, 100, 50]), Some(&srgb)),
            [200, 100, 50]
        ));
        let gray = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let picture = in_srgb(
            DynamicImage::ImageLuma8(GrayImage::from_pixel(2, 2, Luma([55]))),
            Some(&gray),
        );
        assert!(
            near(&picture, [128, 128, 128]),
            "{:?}",
            picture.to_rgb8().get_pixel(1, 1)
        );
    }

    #[test]
    fn broken_or_unsuitable_profile_is_ignored() {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let gray = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        for profile in [
            &b""[..],
            b"not a profile",
            &p3[..p3.len() / 2],
            &gray,
            &vec![0; MAX_PROFILE + 1],
        ] {
            assert!(near(
                &in_srgb(of([200, 100, 50]), Some(profile)),
                [200, 100, 50]
            ));
        }
    }
}
