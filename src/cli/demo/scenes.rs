//! The demo's sample images: small landscapes, drawn on request, so that the demo needs neither
//! files nor a network.

use std::f32::consts::TAU;
use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// Width and height of each image in pixels.
pub(super) const SIDE: u16 = 512;

/// The names of the images.
pub(super) const NAMES: [&str; 6] = ["dawn", "cat", "waves", "city", "forest", "aurora"];

/// Coordinates run from 0 to 1, y downwards.
struct Scene {
    /// Colours of the sky, from top to bottom.
    sky: [u32; 3],
    /// Sun or moon: centre, radius and colour.
    disc: (f32, f32, f32, u32),
    /// The foreground, from far to near.
    layers: [Layer; 3],
}

/// The shape of a layer's upper edge, its mean height, its amplitude and its colour.
type Layer = (Outline, f32, f32, u32);

#[derive(Clone, Copy)]
enum Outline {
    /// Rolling lines, this many across the image.
    Waves(f32),
    /// Triangles, this many across the image.
    Peaks(f32),
    /// Flat roofs of different heights, this many across the image.
    Roofs(f32),
}

use Outline::{Peaks, Roofs, Waves};

/// In the order of [`NAMES`].
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "colours are written as in CSS")]
const SCENES: [Scene; 6] = [
    Scene { sky: [0x5b6bb5, 0xf3b08c, 0xffe3b0], disc: (0.62, 0.55, 0.09, 0xfff3d0), layers: [
        (Waves(2.0), 0.62, 0.05, 0xa98ba6), (Waves(1.6), 0.74, 0.06, 0x6d6492), (Waves(1.2), 0.86, 0.05, 0x37375f)] },
    Scene { sky: [0x101638, 0x2a2f66, 0x5a4f8c], disc: (0.50, 0.42, 0.27, 0xf7e9bd), layers: [
        (Waves(1.5), 0.80, 0.03, 0x2c2c58), (Waves(0.8), 0.82, 0.03, 0x1d1d40), (Waves(0.6), 0.88, 0.02, 0x14142e)] },
    Scene { sky: [0xf5d9a8, 0xf3b58b, 0xe98d72], disc: (0.35, 0.36, 0.13, 0xd9483b), layers: [
        (Waves(5.0), 0.56, 0.03, 0x5e93ad), (Waves(4.0), 0.70, 0.05, 0x2f6690), (Waves(3.0), 0.84, 0.06, 0x163e63)] },
    Scene { sky: [0x28306b, 0x8a5a94, 0xf0a17e], disc: (0.76, 0.24, 0.05, 0xf9efd8), layers: [
        (Roofs(14.0), 0.60, 0.12, 0x6f4f83), (Roofs(10.0), 0.72, 0.14, 0x3c3567), (Waves(8.0), 0.88, 0.01, 0x1c2450)] },
    Scene { sky: [0xbfd8d2, 0xdbe8dc, 0xf3f2e0], disc: (0.30, 0.26, 0.07, 0xfffbe6), layers: [
        (Peaks(11.0), 0.52, 0.14, 0x93b3a6), (Peaks(8.0), 0.66, 0.18, 0x4f7f70), (Peaks(6.0), 0.80, 0.22, 0x1f4a42)] },
    Scene { sky: [0x0b1030, 0x1c6b66, 0x5fd6a0], disc: (0.22, 0.18, 0.03, 0xeef4ff), layers: [
        (Peaks(4.0), 0.66, 0.16, 0x3b5878), (Peaks(3.0), 0.78, 0.14, 0x20344f), (Waves(1.0), 0.90, 0.01, 0x0e1b30)] },
];

/// Draws an image by its name, with or without `.png`, as a PNG file; `None` if there is no such
/// image. Takes some milliseconds of CPU time: call it off the async threads.
pub(super) fn draw(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix(".png").unwrap_or(name);
    let scene = NAMES
        .iter()
        .zip(&SCENES)
        .find(|(known, _)| **known == name)?
        .1;
    let side = u32::from(SIDE);
    let image = RgbImage::from_fn(side, side, |column, row| {
        let (x, y) = (unit(column), unit(row));
        let mut colour = sky(scene.sky, y);
        let (disc_x, disc_y, radius, light) = scene.disc;
        colour = blend(colour, rgb(light), (x - disc_x).hypot(y - disc_y) - radius);
        for (outline, height, amplitude, ground) in scene.layers {
            colour = blend(
                colour,
                rgb(ground),
                height + amplitude * edge(outline, x) - y,
            );
        }
        if name == "cat" {
            colour = blend(colour, rgb(0x000c_0c1c), cat(x, y));
        }
        Rgb(colour.map(byte))
    });
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).ok()?;
    Some(png.into_inner())
}

fn sky([top, middle, bottom]: [u32; 3], y: f32) -> [f32; 3] {
    if y < 0.4 {
        mix(rgb(top), rgb(middle), y / 0.4)
    } else {
        mix(rgb(middle), rgb(bottom), ((y - 0.4) / 0.4).min(1.0))
    }
}

/// The height of an edge at `x`, from -1 (up) to 1.
fn edge(outline: Outline, x: f32) -> f32 {
    match outline {
        Waves(count) => 0.7 * (x * count * TAU).sin() + 0.3 * (x * count * 2.3 * TAU + 1.0).cos(),
        Peaks(count) => {
            let place = x * count;
            4.0 * (place.fract() - 0.5).abs() - 1.0 + 0.4 * (place.floor() * 2.4).sin()
        }
        Roofs(count) => ((x * count).floor() * 2.4).sin(),
    }
}

/// Signed distance to a cat that sits with its back to the viewer, negative inside.
fn cat(x: f32, y: f32) -> f32 {
    let side = (x - 0.5).abs();
    let body = (((x - 0.5) / 0.105).hypot((y - 0.70) / 0.18) - 1.0) * 0.105;
    let head = (x - 0.5).hypot((y - 0.47) / 0.9) - 0.078;
    let ear = (0.44 - y + (side - 0.052).abs() * 2.2 - 0.06).max(y - 0.44);
    let tail = ((x - 0.62).hypot(y - 0.80) - 0.085).abs() - 0.016;
    let tail = if y > 0.80 || x > 0.62 { tail } else { 1.0 };
    body.min(head).min(ear).min(tail)
}

/// Paints over a colour where `distance` is negative, with a soft edge of two pixels.
fn blend(below: [f32; 3], above: [f32; 3], distance: f32) -> [f32; 3] {
    mix(
        below,
        above,
        (0.5 - distance * f32::from(SIDE) / 2.0).clamp(0.0, 1.0),
    )
}

fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> [f32; 3] {
    let [red, green, blue] = from;
    let [to_red, to_green, to_blue] = to;
    [
        red + (to_red - red) * share,
        green + (to_green - green) * share,
        blue + (to_blue - blue) * share,
    ]
}

fn rgb(colour: u32) -> [f32; 3] {
    let [_, red, green, blue] = colour.to_be_bytes();
    [red, green, blue].map(f32::from)
}

fn unit(pixel: u32) -> f32 {
    f32::from(u16::try_from(pixel).unwrap_or(SIDE)) / f32::from(SIDE)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte"
)]
fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_draws_a_distinct_png() {
        let mut files: Vec<Vec<u8>> = NAMES.iter().filter_map(|name| draw(name)).collect();
        assert!(files.iter().all(|file| file.starts_with(b"\x89PNG")));
        files.sort();
        files.dedup();
        assert_eq!(files.len(), NAMES.len());
        assert_eq!(draw("cat.png"), draw("cat"));
    }

    #[test]
    fn unknown_name_draws_nothing() {
        assert_eq!(draw("nothing"), None);
    }
}
