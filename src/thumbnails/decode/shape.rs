//! Crops very tall and very wide images, so that their thumbnail is more than a strip.

use image::metadata::Orientation;

/// An image taller than this many times its width is cropped at the bottom …
const TALL: u32 = 3;
/// … to this many times its width, the shape of the largest thumbnail.
const TALL_SHOWN: u32 = 2;
/// An image wider than this many times its height is cropped at the right …
const WIDE: u32 = 8;
/// … to this many times its height.
const WIDE_SHOWN: u32 = 4;

/// A part of an image, in stored pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The part to show of an image with this size and orientation; `None` for all of it.
pub(super) fn part(width: u32, height: u32, orientation: Orientation) -> Option<Part> {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270,
        Rotate270FlipH,
    };
    let (on_its_side, top_is_far, left_is_far) = match orientation {
        NoTransforms => (false, false, false),
        FlipHorizontal => (false, false, true),
        FlipVertical => (false, true, false),
        Rotate180 => (false, true, true),
        // Stored sideways: its top is the left or right edge, its left the bottom or top edge.
        Rotate90 => (true, false, true),
        Rotate90FlipH => (true, false, false),
        Rotate270 => (true, true, false),
        Rotate270FlipH => (true, true, true),
    };
    let (across, down) = if on_its_side {
        (height, width)
    } else {
        (width, height)
    };
    let (shown_across, shown_down) = if down > across.saturating_mul(TALL) {
        (across, across.saturating_mul(TALL_SHOWN))
    } else if across > down.saturating_mul(WIDE) {
        (down.saturating_mul(WIDE_SHOWN), down)
    } else {
        return None;
    };
    let left = if left_is_far {
        across - shown_across
    } else {
        0
    };
    let top = if top_is_far { down - shown_down } else { 0 };
    Some(if on_its_side {
        Part {
            x: top,
            y: left,
            width: shown_down,
            height: shown_across,
        }
    } else {
        Part {
            x: left,
            y: top,
            width: shown_across,
            height: shown_down,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_starts_at_the_top_left_in_any_orientation() {
        use Orientation::{
            FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180,
            Rotate270, Rotate270FlipH,
        };
        // A tall image of 10 × 100 with its top marked, and a wide one of 100 × 10 with its left
        // marked, as stored in each orientation.
        for orientation in [
            NoTransforms,
            FlipHorizontal,
            FlipVertical,
            Rotate90,
            Rotate90FlipH,
            Rotate180,
            Rotate270,
            Rotate270FlipH,
        ] {
            for (width, height) in [(10, 100), (100, 10)] {
                let mut stored = image::DynamicImage::new_luma8(width, height);
                stored.apply_orientation(orientation);
                let (width, height) = (stored.width(), stored.height());
                let number = |x: u32, y: u32| image::Luma([u8::try_from(x + y).unwrap()]);
                let mut upright = image::DynamicImage::ImageLuma8(image::GrayImage::from_fn(
                    width, height, number,
                ));
                let shown = part(width, height, orientation).unwrap();
                let mut cropped = upright.crop_imm(shown.x, shown.y, shown.width, shown.height);
                upright.apply_orientation(orientation);
                cropped.apply_orientation(orientation);
                assert_eq!(
                    cropped,
                    upright.crop_imm(0, 0, cropped.width(), cropped.height()),
                    "{orientation:?} {width} × {height}"
                );
                assert_eq!(
                    cropped.width() * cropped.height(),
                    if upright.height() > upright.width() {
                        200
                    } else {
                        400
                    },
                    "{orientation:?}"
                );
            }
        }
    }

    #[test]
    fn images_of_usual_shapes_are_not_cropped() {
        for (width, height) in [
            (1_024, 1_024),
            (1_080, 2_400),
            (100, 300),
            (8_000, 1_000),
            (1, 1),
        ] {
            assert_eq!(part(width, height, Orientation::NoTransforms), None);
        }
        let tall = Part {
            x: 0,
            y: 0,
            width: 800,
            height: 1_600,
        };
        assert_eq!(part(800, 20_000, Orientation::NoTransforms), Some(tall));
    }
}
