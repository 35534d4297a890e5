//! Surfaces of the embedded dataset: object textures, background patches, colours.

use crate::views::Stream;

/// Texture of an object, two-toned, with a period of 1 in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pattern {
    Stripes,
    Dots,
    Net,
    Checker,
    Mottle,
    Bricks,
    Rings,
    Zigzag,
    Scales,
    Pluses,
    Triangles,
    Layers,
}

impl Pattern {
    /// Tone in `0..=1` at a point of the texture's frame; `noise` gives the irregular ones.
    pub(super) fn tone(self, u: f64, v: f64, noise: &Noise) -> f64 {
        let (x, y) = (u.rem_euclid(1.0) - 0.5, v.rem_euclid(1.0) - 0.5);
        let inside = match self {
            Self::Stripes => x.abs() < 0.25,
            Self::Dots => x.hypot(y) < 0.34,
            Self::Net => x.abs() < 0.15 || y.abs() < 0.15,
            Self::Checker => (x < 0.0) == (y < 0.0),
            Self::Mottle => noise.at(2.6 * u, 2.6 * v) > 0.5,
            Self::Bricks => return bricks(u, v),
            Self::Rings => (0.18..0.44).contains(&x.hypot(y)),
            Self::Zigzag => ((v + (x.abs() * 2.0)).rem_euclid(1.0)) < 0.5,
            Self::Scales => return scales(u, v),
            Self::Pluses => x.abs().min(y.abs()) < 0.13 && x.abs().max(y.abs()) < 0.42,
            Self::Triangles => y + 0.5 > 2.0 * x.abs(),
            Self::Layers => y.abs() < 0.25,
        };
        f64::from(u8::from(inside))
    }

    /// Mean tone over the texture. Objects subtract it, so that brightness knows no category.
    pub(super) fn mean_tone(self, noise: &Noise) -> f64 {
        const CELLS: u32 = 64;
        let at = |i: u32| (f64::from(i) + 0.5) * 4.0 / f64::from(CELLS);
        let lattice = (0..CELLS).flat_map(|j| (0..CELLS).map(move |i| (at(i), at(j))));
        let sum: f64 = lattice.map(|(u, v)| self.tone(u, v, noise)).sum();
        sum / f64::from(CELLS * CELLS)
    }
}

/// Flat bricks, each second row shifted by half a brick, with dark joints.
fn bricks(u: f64, v: f64) -> f64 {
    let row = (2.0 * v).floor();
    let x = (u * 0.8 + 0.5 * row).rem_euclid(1.0);
    let y = (2.0 * v).rem_euclid(1.0);
    f64::from(u8::from(x > 0.16 && y > 0.26))
}

/// Overlapping fish scales: arcs in shifted rows.
fn scales(u: f64, v: f64) -> f64 {
    let row = (2.0 * v).floor();
    let x = (u + 0.5 * row).rem_euclid(1.0) - 0.5;
    let y = (2.0 * v).rem_euclid(1.0) * 0.5;
    f64::from(u8::from((0.36..0.52).contains(&x.hypot(y))))
}

/// Smooth value noise on an integer lattice, keyed by one number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u32);

impl Noise {
    /// Draws the key.
    pub(super) fn draw(stream: &mut Stream) -> Self {
        Self(stream.below(1 << 30) as u32)
    }

    /// Value in `0..=1`; neighbouring lattice points are independent.
    pub(super) fn at(&self, x: f64, y: f64) -> f64 {
        let (column, row) = (x.floor(), y.floor());
        let smooth = |t: f64| t * t * (3.0 - 2.0 * t);
        let (s, t) = (smooth(x - column), smooth(y - row));
        let corner = |dx: i32, dy: i32| self.lattice(column as i32 + dx, row as i32 + dy);
        let upper = corner(0, 0) * (1.0 - s) + corner(1, 0) * s;
        let lower = corner(0, 1) * (1.0 - s) + corner(1, 1) * s;
        upper * (1.0 - t) + lower * t
    }

    /// Hash of a lattice point to `0..=1` (an integer finaliser with full avalanche).
    fn lattice(&self, column: i32, row: i32) -> f64 {
        let mut word = self.0 ^ (column as u32).wrapping_mul(0x9E37_79B1);
        word = (word ^ (word >> 15)).wrapping_mul(0x85EB_CA77) ^ (row as u32);
        word = (word ^ (word >> 13)).wrapping_mul(0xC2B2_AE3D);
        word = (word ^ (word >> 16)).wrapping_mul(0x27D4_EB2F);
        f64::from(word ^ (word >> 15)) / f64::from(u32::MAX)
    }
}

/// A colour: brightness in `0..=1` plus a tint that hardly changes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tint {
    hue: f64,
    strength: f64,
}

impl Tint {
    /// Draws hue and strength.
    pub(super) fn draw(stream: &mut Stream) -> Self {
        Self {
            hue: stream.uniform(0.0, std::f64::consts::TAU),
            strength: stream.uniform(0.0, 0.3),
        }
    }

    /// The colour of this tint at a brightness; channels may leave `0..=1`.
    pub(super) fn at(&self, brightness: f64) -> [f64; 3] {
        [0.0, 1.0, 2.0].map(|third: f64| {
            let phase = self.hue - third * std::f64::consts::TAU / 3.0;
            brightness + self.strength * phase.cos()
        })
    }
}

/// Surface of a background patch or scrap: two tints mixed by one field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backdrop {
    field: Field,
    noise: Noise,
    tints: [Tint; 2],
    brightness: [f64; 2],
    direction: (f64, f64),
    frequency: f64,
}

/// What mixes the two colours of a [`Backdrop`].
#[derive(Clone, Copy, Debug)]
enum Field {
    Gradient,
    Clouds,
    Grain,
    Blobs,
    Streaks,
}

impl Backdrop {
    const FIELDS: [Field; 5] = [
        Field::Gradient,
        Field::Clouds,
        Field::Grain,
        Field::Blobs,
        Field::Streaks,
    ];

    /// Draws field, colours, direction and frequency.
    pub(super) fn draw(stream: &mut Stream) -> Self {
        let angle = stream.uniform(0.0, std::f64::consts::TAU);
        let middle = stream.uniform(0.2, 0.8);
        let contrast = stream.uniform(0.03, 0.14);
        Self {
            field: Self::FIELDS[stream.below(Self::FIELDS.len())],
            noise: Noise::draw(stream),
            tints: [Tint::draw(stream), Tint::draw(stream)],
            brightness: [middle - contrast, middle + contrast],
            direction: (angle.cos(), angle.sin()),
            frequency: stream.uniform(0.7, 1.6),
        }
    }

    /// Colour at a point in units of the picture's shorter side.
    pub(super) fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let (dx, dy) = self.direction;
        let (along, across) = (
            (x * dx + y * dy) * self.frequency,
            (x * dy - y * dx) * self.frequency,
        );
        let mix = match self.field {
            Field::Gradient => (along * 1.4).rem_euclid(2.0) - 1.0,
            Field::Clouds => {
                0.65 * self.noise.at(6.0 * along, 6.0 * across)
                    + 0.35 * self.noise.at(15.0 * along, 15.0 * across)
            }
            Field::Grain => self.noise.at(42.0 * along, 42.0 * across),
            Field::Blobs => f64::from(u8::from(self.noise.at(7.0 * along, 7.0 * across) > 0.6)),
            Field::Streaks => self.noise.at(3.0 * along, 22.0 * across),
        };
        self.colour(mix.abs())
    }

    fn colour(&self, mix: f64) -> [f64; 3] {
        let brightness = self.brightness[0] + (self.brightness[1] - self.brightness[0]) * mix;
        let (a, b) = (self.tints[0].at(brightness), self.tints[1].at(brightness));
        std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * mix)
    }
}
