//! Objects of the embedded dataset: an outline with a texture, and the part its mask leaves out.

use std::f64::consts::TAU;

use super::{
    config::{Category, category},
    shape::Shape,
    texture::{Noise, Pattern, Tint},
};
use crate::views::Stream;

/// An object of a category.
pub(super) struct Object {
    frame: Frame,
    pattern: Pattern,
    /// Texture periods in a radius.
    frequency: f64,
    phase: (f64, f64),
    wobble: Noise,
    tints: [Tint; 4],
    /// Brightness of the two tones.
    tones: [f64; 2],
    ignored: Ignored,
}

/// The part of an object that the mask leaves out.
#[derive(Clone, Copy)]
enum Ignored {
    Nothing,
    /// A band along the outline.
    Rim,
    /// A disc, in the frame of the object.
    Disc {
        x: f64,
        y: f64,
        radius: f64,
    },
}

impl Object {
    pub(super) fn draw(rank: usize, frame: Frame, ignore_ratio: f64, stream: &mut Stream) -> Self {
        let Category {
            pattern, fineness, ..
        } = category(rank);
        let middle = stream.uniform(0.3, 0.7);
        // Bright marks on a dark ground, now and then the other way round.
        let polarity = if stream.chance(0.8) { 1.0 } else { -1.0 };
        let contrast = polarity * stream.uniform(0.4, 0.64);
        let wobble = Noise::draw(stream);
        let dark = middle - contrast * pattern.mean_tone(&wobble);
        Self {
            frame,
            pattern,
            // The object's own scale, so that near and far objects of a category look alike.
            frequency: fineness * stream.uniform(2.0, 2.4) * (frame.radius / 0.36).sqrt(),
            phase: (stream.uniform(0.0, 1.0), stream.uniform(0.0, 1.0)),
            wobble,
            tints: std::array::from_fn(|_| Tint::draw(stream)),
            tones: [dark, dark + contrast],
            ignored: Ignored::draw(ignore_ratio, stream),
        }
    }

    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        self.frame.contains(x, y)
    }

    pub(super) fn ignores(&self, x: f64, y: f64) -> bool {
        let (u, v) = self.frame.local(x, y);
        match self.ignored {
            Ignored::Nothing => false,
            Ignored::Rim => {
                let inside = |scale: f64| self.frame.shape.contains(u * scale, v * scale);
                inside(0.94) != inside(1.06)
            }
            Ignored::Disc { x, y, radius } => (u - x).hypot(v - y) < radius,
        }
    }

    pub(super) fn colour_at(&self, x: f64, y: f64) -> [f64; 3] {
        let (u, v) = self.frame.local(x, y);
        let bend = 0.12 * (self.wobble.at(2.0 * u + 9.0, 2.0 * v) - 0.5);
        let (s, t) = ((u + bend) * self.frequency, (v - bend) * self.frequency);
        let tone = self
            .pattern
            .tone(s + self.phase.0, t + self.phase.1, &self.wobble);
        let shade = 0.2 * (self.wobble.at(1.3 * u + 5.0, 1.3 * v + 5.0) - 0.5);
        let brightness = self.tones[0] + (self.tones[1] - self.tones[0]) * tone + shade;
        // Both tones change their tint across the object.
        let across = 0.5 + 0.5 * u.clamp(-1.0, 1.0);
        let pair = if tone > 0.5 {
            [self.tints[0], self.tints[1]]
        } else {
            [self.tints[2], self.tints[3]]
        };
        let (a, b) = (pair[0].at(brightness), pair[1].at(brightness));
        std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * across)
    }
}

impl Ignored {
    fn draw(ratio: f64, stream: &mut Stream) -> Self {
        let angle = stream.uniform(0.0, TAU);
        let radius = stream.uniform(0.2, 0.4);
        match (stream.chance(ratio), stream.chance(0.5)) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Rim,
            (true, false) => Self::Disc {
                x: 0.7 * angle.cos(),
                y: 0.7 * angle.sin(),
                radius,
            },
        }
    }
}

/// An outline placed into the picture.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) shape: Shape,
    pub(super) centre: (f64, f64),
    pub(super) radius: f64,
    pub(super) turn: (f64, f64),
    pub(super) stretch: f64,
}

impl Frame {
    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        let (u, v) = self.local(x, y);
        u * u + v * v < 1.0 && self.shape.contains(u, v)
    }

    /// A point of the picture in the frame of the outline (the unit disc).
    fn local(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (
            (x - self.centre.0) / self.radius,
            (y - self.centre.1) / self.radius,
        );
        let (cos, sin) = self.turn;
        (
            (dx * cos + dy * sin) / self.stretch,
            (dy * cos - dx * sin) * self.stretch,
        )
    }
}
