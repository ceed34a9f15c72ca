//! What the demo's pictures are painted with: colours, noise, soft edges and a few shapes.
//!
//! Everything is a function of the place: x and y run from 0 to 1, y downwards. Same place, same
//! paint, on every machine that computes with IEEE floats.

/// A colour as red, green and blue from 0 to 1.
pub(super) type Colour = [f32; 3];

/// A colour from its usual six digits.
pub(super) fn hex(rgb: u32) -> Colour {
    let [_, red, green, blue] = rgb.to_be_bytes();
    [red, green, blue].map(|part| f32::from(part) / 255.0)
}

/// `share` of the way from one colour to another.
pub(super) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    let [r, g, b] = from;
    let [to_r, to_g, to_b] = to;
    [
        r + (to_r - r) * share,
        g + (to_g - g) * share,
        b + (to_b - b) * share,
    ]
}

/// Light falling on a colour: added, as light is.
pub(super) fn light(on: Colour, colour: Colour, strength: f32) -> Colour {
    let [r, g, b] = on;
    let [add_r, add_g, add_b] = colour;
    [
        r + add_r * strength,
        g + add_g * strength,
        b + add_b * strength,
    ]
}

/// A gradient through colours at rising places.
pub(super) fn gradient(at: f32, stops: &[(f32, u32)]) -> Colour {
    let mut last = stops.first().map_or([0.0; 3], |stop| hex(stop.1));
    for pair in stops.windows(2) {
        let [(start, from), (end, to)] = pair else {
            break;
        };
        if at < *end {
            return mix(hex(*from), hex(*to), step(*start, *end, at));
        }
        last = hex(*to);
    }
    last
}

/// 0 before `start`, 1 after `end`, smooth between.
pub(super) fn step(start: f32, end: f32, at: f32) -> f32 {
    let share = ((at - start) / (end - start)).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// How much of a pixel lies inside a shape, from its signed distance to the shape's edge (negative
/// inside).
pub(super) fn inside(distance: f32) -> f32 {
    1.0 - step(-0.0016, 0.0016, distance)
}

/// The whole number below.
#[expect(
    clippy::cast_possible_truncation,
    reason = "places on the picture are small numbers; the cast saturates"
)]
pub(super) fn cell(at: f32) -> i32 {
    at.floor() as i32
}

/// A number from 0 to 1 that looks drawn by lot, the same for the same cell and seed.
pub(super) fn chance(column: i32, row: i32, seed: u32) -> f32 {
    let mut lot = column.cast_unsigned().wrapping_mul(0x9e37_79b1)
        ^ row.cast_unsigned().wrapping_mul(0x85eb_ca6b)
        ^ seed.wrapping_mul(0xc2b2_ae35);
    for turn in [15, 13, 16] {
        lot = (lot ^ (lot >> turn)).wrapping_mul(0x2c1b_3c6d);
    }
    let [high, low, ..] = (lot ^ (lot >> 16)).to_be_bytes();
    f32::from(u16::from_be_bytes([high, low])) / 65_535.0
}

/// A smooth line through random heights from 0 to 1, one at each whole number.
pub(super) fn wander(at: f32, seed: u32) -> f32 {
    let left = cell(at);
    let share = step(0.0, 1.0, at - at.floor());
    let (from, to) = (chance(left, 0, seed), chance(left + 1, 0, seed));
    from + (to - from) * share
}

/// A rugged line from 0 to 1: wandering, with ever smaller wanderings on it.
pub(super) fn ridge(at: f32, seed: u32) -> f32 {
    let octaves = [
        (1.0, 0.55),
        (2.1, 0.25),
        (4.3, 0.12),
        (9.1, 0.05),
        (19.0, 0.03),
    ];
    octaves
        .iter()
        .map(|(scale, weight)| wander(at * scale, seed) * weight)
        .sum()
}

/// The distance to a circle's edge.
pub(super) fn circle(x: f32, y: f32, centre: (f32, f32), radius: f32) -> f32 {
    (x - centre.0).hypot(y - centre.1) - radius
}

/// About the distance to an ellipse's edge; good enough near it.
pub(super) fn ellipse(x: f32, y: f32, centre: (f32, f32), radii: (f32, f32)) -> f32 {
    let reach = ((x - centre.0) / radii.0).hypot((y - centre.1) / radii.1);
    (reach - 1.0) * radii.0.min(radii.1)
}

/// The distance to a thick line with round ends.
pub(super) fn stroke(x: f32, y: f32, from: (f32, f32), to: (f32, f32), radius: f32) -> f32 {
    let (across, down) = (to.0 - from.0, to.1 - from.1);
    let along = ((x - from.0) * across + (y - from.1) * down) / (across * across + down * down);
    let along = along.clamp(0.0, 1.0);
    (x - from.0 - along * across).hypot(y - from.1 - along * down) - radius
}

/// The distance to a triangle whose corners go clockwise as seen on the picture.
pub(super) fn triangle(x: f32, y: f32, corners: [(f32, f32); 3]) -> f32 {
    let [first, second, third] = corners;
    let side = |from: (f32, f32), to: (f32, f32)| {
        let (across, down) = (to.0 - from.0, to.1 - from.1);
        ((x - from.0) * down - (y - from.1) * across) / across.hypot(down)
    };
    side(first, second)
        .max(side(second, third))
        .max(side(third, first))
}

/// Two shapes grown together, softly over `width`.
pub(super) fn join(one: f32, other: f32, width: f32) -> f32 {
    let near = (width - (one - other).abs()).max(0.0) / width;
    one.min(other) - near * near * width * 0.25
}

/// The brightness of a night sky's stars, `fine` cells across.
pub(super) fn stars(x: f32, y: f32, fine: f32, seed: u32) -> f32 {
    let (column, row) = (cell(x * fine), cell(y * fine));
    if chance(column, row, seed) < 0.9 {
        return 0.0;
    }
    let place = |part: f32, lot: f32| (part * fine).fract() - 0.2 - 0.6 * lot;
    let away =
        place(x, chance(column, row, seed + 1)).hypot(place(y, chance(column, row, seed + 2)));
    (1.0 - step(0.0, 0.06 + 0.1 * chance(column, row, seed + 3), away))
        * (0.4 + 0.6 * chance(column, row, seed + 4))
}
