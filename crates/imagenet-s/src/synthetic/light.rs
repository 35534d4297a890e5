//! Light and noise of a picture of the embedded dataset.

use std::f64::consts::TAU;

use crate::views::Stream;

/// Gain and noise, both with a gradient over the picture.
pub(super) struct Light {
    gain: [f64; 2],
    noise: [f64; 2],
    direction: (f64, f64),
    size: (f64, f64),
}

impl Light {
    pub(super) fn draw(size: (f64, f64), stream: &mut Stream) -> Self {
        let angle = stream.uniform(0.0, TAU);
        Self {
            gain: [stream.uniform(0.65, 1.3), stream.uniform(0.65, 1.3)],
            noise: [stream.uniform(0.0, 0.05), stream.uniform(0.0, 0.05)],
            direction: (angle.cos(), angle.sin()),
            size,
        }
    }

    pub(super) fn gain_at(&self, x: f64, y: f64) -> f64 {
        self.between(self.gain, x, y)
    }

    /// Standard deviation of the pixel noise.
    pub(super) fn noise_at(&self, x: f64, y: f64) -> f64 {
        self.between(self.noise, y, x)
    }

    fn between(&self, ends: [f64; 2], x: f64, y: f64) -> f64 {
        let (x, y) = (x / self.size.0 - 0.5, y / self.size.1 - 0.5);
        let along = (0.5 + x * self.direction.0 + y * self.direction.1).clamp(0.0, 1.0);
        ends[0] + (ends[1] - ends[0]) * along
    }
}
