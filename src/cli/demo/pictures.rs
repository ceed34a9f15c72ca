//! The demo's sample pictures: painted when they are asked for, so that the demo needs no file and
//! no network.

use super::brush::{
    Colour, cell, chance, circle, ellipse, gradient, hex, inside, join, light, mix, ridge, stars,
    step, stroke, triangle, wander,
};
use super::png;

/// The width and height of each picture in pixels.
pub const SIDE: u16 = 512;

/// The names of the pictures.
pub const NAMES: [&str; 6] = ["dawn", "cat", "waves", "city", "forest", "aurora"];

/// Paints a picture by its name, with or without `.png`: a PNG file of [`SIDE`] times [`SIDE`]
/// pixels, about 790 kB. None when there is no picture of that name. Takes some tens of
/// milliseconds of one core: call it off the async threads.
pub fn picture(name: &str) -> Option<Vec<u8>> {
    let scene = scene(name.strip_suffix(".png").unwrap_or(name))?;
    Some(png::write(SIDE, SIDE, &paint(scene, SIDE)))
}

fn scene(name: &str) -> Option<fn(f32, f32) -> Colour> {
    match name {
        "dawn" => Some(dawn),
        "cat" => Some(cat),
        "waves" => Some(waves),
        "city" => Some(city),
        "forest" => Some(forest),
        "aurora" => Some(aurora),
        _ => None,
    }
}

fn paint(scene: fn(f32, f32) -> Colour, side: u16) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(usize::from(side) * usize::from(side) * 3);
    for row in 0..side {
        for column in 0..side {
            let (x, y) = (
                f32::from(column) / f32::from(side),
                f32::from(row) / f32::from(side),
            );
            let dark = 1.0 - 0.16 * step(0.45, 0.85, (x - 0.5).hypot(y - 0.5));
            // A little grain, so that gradients do not show as bands.
            let grain = (chance(i32::from(column), i32::from(row), 99) - 0.5) / 90.0;
            rgb.extend(scene(x, y).map(|part| byte(part * dark + grain)));
        }
    }
    rgb
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "held between 0 and 255 just before"
)]
fn byte(part: f32) -> u8 {
    (part * 255.0).round().clamp(0.0, 255.0) as u8
}

/// The sun rises behind hills that lie in mist.
fn dawn(x: f32, y: f32) -> Colour {
    let sun = circle(x, y, (0.62, 0.47), 0.075);
    let mut colour = gradient(
        y,
        &[
            (0.0, 0x2d_3d6b),
            (0.3, 0x7d_729f),
            (0.5, 0xf0_a080),
            (0.68, 0xff_dca8),
        ],
    );
    colour = light(colour, hex(0xff_b060), 0.5 * (-sun.max(0.0) * 6.0).exp());
    colour = mix(colour, hex(0xff_f3d6), inside(sun));
    for (layer, (base, height, scale, shade)) in [
        (0.60, 0.16, 2.6, 0xc9_8f97),
        (0.68, 0.15, 2.2, 0x9a_7391),
        (0.77, 0.15, 1.9, 0x67_567f),
        (0.88, 0.16, 1.6, 0x3d_3f66),
        (1.0, 0.16, 1.3, 0x1d_2443),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = u32::try_from(layer).unwrap_or(0) + 11;
        let below = y - (base - height * ridge(x * scale, seed));
        let mist = mix(
            hex(shade),
            hex(0xf2_bfa3),
            step(0.0, 0.16, below) * (1.05 - 0.75 * base),
        );
        colour = mix(colour, mist, inside(-below));
    }
    colour
}

/// A cat on a wall before the moon.
fn cat(x: f32, y: f32) -> Colour {
    let mut colour = gradient(y, &[(0.0, 0x0b_1030), (0.5, 0x27_3070), (0.85, 0x6a_5596)]);
    colour = light(colour, hex(0xff_ffff), stars(x, y, 26.0, 5));
    let moon = circle(x, y, (0.5, 0.43), 0.3);
    colour = light(colour, hex(0xff_e0a0), 0.34 * (-moon.max(0.0) * 9.0).exp());
    let mut face = mix(hex(0xff_f2cf), hex(0xf6_d795), step(0.2, 0.75, y));
    for (centre, radius) in [
        ((0.36, 0.30), 0.06),
        ((0.62, 0.27), 0.035),
        ((0.68, 0.45), 0.05),
        ((0.30, 0.50), 0.03),
        ((0.48, 0.2), 0.025),
    ] {
        face = mix(
            face,
            hex(0xe8_c583),
            0.5 * inside(circle(x, y, centre, radius)),
        );
    }
    colour = mix(colour, face, inside(moon));
    let wall = 0.845 - 0.006 * wander(x * 14.0, 3);
    let shadow = mix(hex(0x10_1228), hex(0x1b_1d3d), step(0.84, 1.0, y));
    colour = mix(
        colour,
        shadow,
        inside(wall - y).max(inside(cat_outline(x, y))),
    );
    for eye in [0.468, 0.532] {
        let almond = circle(x, y, (eye, 0.478), 0.02).max(circle(x, y, (eye, 0.502), 0.02));
        colour = mix(colour, hex(0xff_d166), inside(almond));
        colour = mix(
            colour,
            hex(0x10_1228),
            inside(ellipse(x, y, (eye, 0.49), (0.0032, 0.009))),
        );
    }
    colour
}

fn cat_outline(x: f32, y: f32) -> f32 {
    let body = ellipse(x, y, (0.5, 0.735), (0.115, 0.15));
    let chest = ellipse(x, y, (0.5, 0.62), (0.072, 0.12));
    let head = ellipse(x, y, (0.5, 0.49), (0.084, 0.073));
    let left = triangle(x, y, [(0.421, 0.373), (0.492, 0.428), (0.419, 0.47)]);
    let right = triangle(x, y, [(0.579, 0.373), (0.581, 0.47), (0.508, 0.428)]);
    let trunk = join(join(body, chest, 0.08), head, 0.03);
    // A bow and a counter-bow, drawn as short straight lines; elsewhere on the picture nobody is
    // near it.
    let near_tail = (0.55..0.85).contains(&x) && (0.58..0.9).contains(&y);
    let bow = |part: u8| {
        let (t, rest) = (f32::from(part) / 24.0, 1.0 - f32::from(part) / 24.0);
        let weigh = |from: f32, one: f32, two: f32, to: f32| {
            rest * rest * rest * from + 3.0 * rest * t * (rest * one + t * two) + t * t * t * to
        };
        (
            weigh(0.58, 0.86, 0.69, 0.765),
            weigh(0.837, 0.88, 0.725, 0.625),
        )
    };
    let tail = if near_tail {
        (0..24)
            .map(|part| stroke(x, y, bow(part), bow(part + 1), 0.019))
            .fold(1.0, f32::min)
    } else {
        1.0
    };
    join(trunk, tail, 0.03).min(left).min(right)
}

/// Waves roll in under a red sun, as on an old print.
fn waves(x: f32, y: f32) -> Colour {
    let mut colour = gradient(y, &[(0.0, 0xf3_e2c3), (0.5, 0xf7_d3a6)]);
    let sun = circle(x, y, (0.69, 0.27), 0.13);
    colour = mix(colour, hex(0xd8_4a2f), inside(sun));
    for band in [0.235, 0.29] {
        colour = mix(
            colour,
            hex(0xf6_dcb5),
            0.8 * inside((y - band - 0.01 * (x * 9.0).sin()).abs() - 0.006) * step(0.42, 0.55, x),
        );
    }
    let shades = [
        0xa9_ccc5, 0x7d_b4b8, 0x4f_94a8, 0x2f_7396, 0x1f_557f, 0x16_3c66, 0x10_294c,
    ];
    for (layer, shade) in shades.into_iter().enumerate() {
        let near = f32::from(u8::try_from(layer).unwrap_or(0)) / 6.0;
        let roll = x * (6.5 - 2.6 * near) + near * 7.3 + 0.35 * (x * 5.0 + near * 20.0).sin();
        let crest = 1.0 - (roll * 1.4).sin().abs();
        let top = 0.47 + 0.44 * near - (0.045 + 0.075 * near) * crest * crest;
        let below = y - top;
        let rings = step(0.55, 0.8, ((below - 0.02) * (150.0 - 60.0 * near)).sin())
            * step(0.022, 0.03, below)
            * (1.0 - step(0.06, 0.15, below));
        let water = mix(hex(shade), hex(0xf4_f1e4), 0.28 * rings);
        let foam = 0.009 + 0.012 * crest * wander(x * 60.0, 40) + 0.004 * near;
        let painted = mix(water, hex(0xfb_f7ea), inside(below - foam));
        colour = mix(colour, painted, inside(-below));
    }
    colour
}

/// A city at dusk, doubled by the water.
fn city(x: f32, y: f32) -> Colour {
    let shore = 0.74;
    if y < shore {
        return skyline(x, y);
    }
    let depth = y - shore;
    let ripple = (wander(y * 150.0, 8) - 0.5) * (0.008 + depth * 0.12) + 0.002 * (y * 300.0).sin();
    let seen = skyline(x + ripple, (shore - depth * 1.25).max(0.0));
    let water = mix(seen, hex(0x1c_1247), 0.35 + depth);
    mix(
        water,
        hex(0xff_c9a3),
        0.22 * step(
            0.86,
            0.97,
            wander(x * 22.0 + y * 5.0, cell(y * 120.0).cast_unsigned()),
        ),
    )
}

fn skyline(x: f32, y: f32) -> Colour {
    let mut colour = gradient(
        y,
        &[
            (0.0, 0x1d_1450),
            (0.28, 0x5f_2c80),
            (0.52, 0xe0_608c),
            (0.74, 0xff_bd86),
        ],
    );
    colour = light(
        colour,
        hex(0xff_ffff),
        0.8 * stars(x, y, 30.0, 21) * (1.0 - step(0.1, 0.35, y)),
    );
    let sun = circle(x, y, (0.31, 0.5), 0.13);
    colour = light(colour, hex(0xff_8060), 0.25 * (-sun.max(0.0) * 7.0).exp());
    colour = mix(
        colour,
        mix(hex(0xff_e3a1), hex(0xff_8a7a), step(0.38, 0.64, y)),
        inside(sun),
    );
    for (wide, low, high, shade, seed) in [
        (19.0, 0.10, 0.22, 0x9c_4585, 31),
        (14.0, 0.07, 0.33, 0x5a_2a70, 47),
        (10.0, 0.05, 0.25, 0x2a_1750, 63),
    ] {
        let lot = cell(x * wide);
        let across = (x * wide).fract();
        let tall = low + (high - low) * chance(lot, 1, seed);
        let spire =
            chance(lot, 2, seed) > 0.72 && (across - 0.5).abs() < 0.035 && y > 0.74 - tall - 0.06;
        if y > 0.74 - tall || spire {
            colour = mix(hex(shade), hex(0xe0_608c), 0.25 * step(0.55, 0.74, y));
            let (column, row) = (cell(x * wide * 6.0), cell(y * 78.0));
            let pane = (x * wide * 6.0).fract() > 0.3
                && (y * 78.0).fract() > 0.42
                && (0.1..0.9).contains(&across)
                && !spire;
            if pane && chance(column, row, seed + 1) > 0.62 {
                colour = mix(
                    colour,
                    hex(0xff_dc96),
                    0.45 + 0.5 * chance(column, row, seed + 2),
                );
            }
        }
    }
    colour
}

/// Firs stand in the morning mist, row behind row.
fn forest(x: f32, y: f32) -> Colour {
    let mut colour = gradient(y, &[(0.0, 0xcf_e3df), (0.45, 0xee_efe0), (0.8, 0xc8_dcd2)]);
    let sun = circle(x, y, (0.34, 0.24), 0.07);
    colour = light(colour, hex(0xff_f0c0), 0.18 * (-sun.max(0.0) * 5.0).exp());
    colour = mix(colour, hex(0xff_fbe9), 0.85 * inside(sun));
    let rows = [
        (0.50, 20.0, 0x9f_c0b8),
        (0.60, 15.0, 0x77_a69d),
        (0.71, 11.0, 0x4d_857d),
        (0.84, 8.0, 0x2a_605b),
        (1.0, 5.5, 0x12_3a3b),
    ];
    for (row, (ground, wide, shade)) in rows.into_iter().enumerate() {
        let seed = u32::try_from(row).unwrap_or(0) * 7 + 70;
        let floor = ground - 0.05 * ridge(x * 2.0, seed);
        let mut near = floor - y;
        for lot in (cell(x * wide) - 1)..=(cell(x * wide) + 1) {
            near = near.min(fir(x, y, lot, wide, floor, seed));
        }
        let mist = step(floor - 0.10, floor + 0.10, y);
        colour = mix(
            colour,
            mix(
                hex(shade),
                hex(0xdf_eae0),
                0.75 * mist * (1.0 - ground * 0.6),
            ),
            inside(near),
        );
    }
    colour
}

/// About the distance to the fir in the `lot`th place of a row.
fn fir(x: f32, y: f32, lot: i32, wide: f32, floor: f32, seed: u32) -> f32 {
    let place = f32::from(i16::try_from(lot).unwrap_or(0)) + 0.2 + 0.6 * chance(lot, 0, seed);
    let tall = (0.9 + 1.5 * chance(lot, 1, seed)) / wide + 0.05;
    let down = (y - (floor - tall)) / tall;
    let twigs = 0.62 + 0.38 * (down * (9.0 + 4.0 * chance(lot, 2, seed))).fract();
    let half = 0.24 * tall * down * twigs;
    let aside = (x - place / wide).abs();
    if down < 0.0 {
        aside.max(tall * -down)
    } else {
        aside - half - 0.0012
    }
}

/// Northern lights over snowy mountains and a still lake.
fn aurora(x: f32, y: f32) -> Colour {
    let shore = 0.72;
    if y < shore {
        return north(x, y);
    }
    let depth = y - shore;
    let ripple = (wander(y * 110.0, 4) - 0.5) * (0.004 + depth * 0.06);
    let seen = north(x + ripple, (shore - depth * 1.6).max(0.0));
    mix(
        mix(seen, hex(0x05_1226), 0.3 + depth * 0.9),
        hex(0x8f_e8c8),
        0.10 * (1.0 - step(0.0, 0.02, depth)),
    )
}

fn north(x: f32, y: f32) -> Colour {
    let mut colour = gradient(y, &[(0.0, 0x05_0b20), (0.4, 0x0b_2342), (0.72, 0x1b_4a68)]);
    colour = light(colour, hex(0xff_ffff), 0.9 * stars(x, y, 28.0, 8));
    for (low, bend, strength, seed) in [
        (0.50, 0.15, 0.55, 90),
        (0.40, 0.19, 0.75, 91),
        (0.29, 0.13, 0.45, 92),
    ] {
        let hem = low + bend * (wander(x * 2.3, seed) - 0.5) + 0.03 * (x * 11.0 + low * 30.0).sin();
        let above = hem - y;
        let rays = 0.55
            + 0.45 * wander(x * 46.0 + above * 2.0, seed + 5) * (0.5 + wander(x * 7.0, seed + 9));
        let glow = strength * rays * step(-0.012, 0.02, above) * (-above.max(0.0) * 7.5).exp();
        colour = light(
            colour,
            mix(hex(0x4d_ffa8), hex(0x9a_5cff), step(0.04, 0.26, above)),
            glow,
        );
    }
    let far = [(0.13, 0.17), (0.36, 0.11), (0.60, 0.20), (0.90, 0.13)];
    let near = [
        (0.02, 0.10),
        (0.29, 0.18),
        (0.47, 0.09),
        (0.79, 0.15),
        (1.02, 0.11),
    ];
    for (peaks, rock, seed) in [
        (far.as_slice(), 0x1a_3c5c, 120),
        (near.as_slice(), 0x0b_1e35, 131),
    ] {
        let (summit, rise) = peaks
            .iter()
            .map(|(at, tall)| (*at, tall - 0.95 * (x - at).abs()))
            .fold(
                (0.0, -1.0),
                |high, peak| if peak.1 > high.1 { peak } else { high },
            );
        let below = y - (0.735 - rise.max(0.0) - 0.035 * (ridge(x * 9.0, seed) - 0.5));
        let gully = 0.05 * (ridge(y * 11.0, seed + 1) - 0.5);
        let sunny = step(-0.004, 0.004, summit + gully - x);
        let line = 0.69 - 0.02 * sunny + 0.045 * (wander(x * 38.0 + y * 5.0, seed + 2) - 0.5);
        let snow = 1.0 - step(line - 0.003, line + 0.003, y);
        let stone = mix(hex(rock), hex(0x4a_7c93), 0.35 * sunny);
        let face = mix(stone, mix(hex(0x6d_97b8), hex(0xe6_f6f5), sunny), snow);
        colour = mix(colour, face, inside(-below));
    }
    colour
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_picture_and_no_two_are_alike() {
        let mut seen = std::collections::BTreeSet::new();
        for name in NAMES {
            let rgb = paint(scene(name).expect(name), 48);
            assert_eq!(rgb.len(), 48 * 48 * 3);
            let distinct: std::collections::BTreeSet<_> = rgb.chunks(3).collect();
            assert!(
                distinct.len() > 500,
                "{name} is nearly empty: {} colours",
                distinct.len()
            );
            assert!(seen.insert(rgb), "{name} looks like another");
        }
    }

    #[test]
    fn a_picture_is_a_whole_file_of_bounded_size() {
        let png = picture("city.png").unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xae\x42\x60\x82"));
        assert!(png.len() < 1_200_000, "{} bytes", png.len());
    }

    #[test]
    fn an_unknown_name_has_no_picture() {
        for name in ["dog", "", "../cat", "cat.jpg"] {
            assert_eq!(picture(name), None, "{name}");
        }
    }
}
