//! Outlines of the embedded dataset's objects, in a frame of their own.
//!
//! The frame has its origin in the middle of the object; every outline fits into the unit disc.

use std::f64::consts::{FRAC_PI_2, TAU};

/// Outline of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Ellipse,
    Star,
    Gear,
    Triangle,
    Cross,
    Crescent,
    Heart,
    Square,
    Bow,
    Capsule,
    Elbow,
    Annulus,
}

impl Shape {
    /// Every outline; the scraps of the background are drawn from all of them.
    pub(super) const ALL: [Self; 12] = [
        Self::Ellipse,
        Self::Star,
        Self::Gear,
        Self::Triangle,
        Self::Cross,
        Self::Crescent,
        Self::Heart,
        Self::Square,
        Self::Bow,
        Self::Capsule,
        Self::Elbow,
        Self::Annulus,
    ];

    /// Whether the point `(x, y)` of the object's frame lies inside (y points down).
    pub(super) fn contains(self, x: f64, y: f64) -> bool {
        let radius = x.hypot(y);
        let angle = y.atan2(x);
        match self {
            Self::Ellipse => x * x + (y / 0.72).powi(2) < 1.0,
            Self::Star => radius < star_radius(angle),
            Self::Gear => radius < 0.82 + 0.18 * (7.0 * angle).cos().signum(),
            Self::Triangle => polygon_contains(3, x, y),
            Self::Cross => x.abs().max(y.abs()) < 0.94 && x.abs().min(y.abs()) < 0.34,
            Self::Crescent => radius < 1.0 && (x - 0.62).hypot(y) > 0.72,
            Self::Heart => heart_contains(x, y),
            Self::Square => x.abs().max(y.abs()) < 0.7,
            Self::Bow => x.abs() < 0.86 && y.abs() < 0.14 + 0.42 * x.abs(),
            Self::Capsule => (x.abs() - 0.55).max(0.0).hypot(y) < 0.43,
            Self::Elbow => x.abs().max(y.abs()) < 0.7 && (x < -0.12 || y > 0.12),
            Self::Annulus => (0.5..1.0).contains(&radius),
        }
    }

    /// Area of the outline in its frame (the unit disc has π), by counting on a fine lattice.
    pub(super) fn area(self) -> f64 {
        const CELLS: u32 = 128;
        let at = |i: u32| (f64::from(i) + 0.5) / f64::from(CELLS) * 2.0 - 1.0;
        let inside = (0..CELLS).flat_map(|j| (0..CELLS).map(move |i| (at(i), at(j))));
        let inside = inside.filter(|&(x, y)| self.contains(x, y)).count();
        4.0 * inside as f64 / f64::from(CELLS * CELLS)
    }
}

/// Distance from the middle to the rim of a five-pointed star in this direction.
fn star_radius(angle: f64) -> f64 {
    let within_point = (angle.rem_euclid(TAU / 5.0) / (TAU / 5.0) - 0.5).abs() * 2.0;
    0.44 + 0.56 * within_point.powf(1.3)
}

/// Whether a regular polygon with its corners on the unit circle contains the point.
fn polygon_contains(corners: u32, x: f64, y: f64) -> bool {
    let sector = TAU / f64::from(corners);
    let angle = (y.atan2(x) + FRAC_PI_2).rem_euclid(sector) - 0.5 * sector;
    x.hypot(y) * angle.cos() < (0.5 * sector).cos()
}

/// The sextic heart, moved and scaled into the unit disc.
fn heart_contains(x: f64, y: f64) -> bool {
    let (x, y) = (x * 1.35, 0.12 - y * 1.35);
    let bowl = x * x + y * y - 1.0;
    bowl.powi(3) < x * x * y.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outline_fits_into_the_unit_disc() {
        for shape in Shape::ALL {
            let rim = (0..720).map(|i| f64::from(i) * TAU / 720.0);
            for angle in rim {
                let outside = shape.contains(1.001 * angle.cos(), 1.001 * angle.sin());
                assert!(!outside, "{shape:?} leaves the disc at {angle}");
            }
        }
    }

    #[test]
    fn no_outline_is_thin() {
        for shape in Shape::ALL {
            assert!(shape.area() > 1.0, "{shape:?} covers {}", shape.area());
        }
    }

    #[test]
    fn areas_agree_with_geometry() {
        // A lattice cell is 1/64 wide; half a cell along the outline is 0.05.
        let wheel = 0.75 * std::f64::consts::PI;
        assert!((Shape::Annulus.area() - wheel).abs() < 0.05);
        assert!((Shape::Square.area() - 1.4 * 1.4).abs() < 0.05);
    }
}
