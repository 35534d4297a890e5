//! One picture of the embedded dataset with its mask.
//!
//! Drawn from back to front: a patchwork of background patches, scraps that distract, one or two
//! objects, then light and noise over everything.

use std::f64::consts::TAU;

use image::{Rgb, RgbImage};
use luss_metrics::{IGNORE, LabelMask, OTHER};

use super::{
    config::{SyntheticConfig, category},
    light::Light,
    object::{Frame, Object},
    shape::Shape,
    texture::{Backdrop, Noise},
};
use crate::views::Stream;

/// Sub-samples of a pixel along each axis.
const SUBSAMPLES: u32 = 2;

/// Largest rotation of an object to either side, in radians. Two crops of a picture share its
/// rotation, so nothing could teach a network that a category looks the same in all directions.
const MAX_TURN: f64 = 0.45;

/// A picture in vector form. Lengths are in units of the shorter side, the origin is top left.
pub(super) struct Scene {
    width_px: u32,
    height_px: u32,
    patches: Vec<Patch>,
    /// Bends the borders of the patches, along x and along y.
    wobble: [Noise; 2],
    scraps: Vec<Scrap>,
    /// From back to front; each with its class id.
    objects: Vec<(u16, Object)>,
    light: Light,
}

impl Scene {
    /// Draws a scene whose main object has the zero-based category `ranks[0]`; a second rank adds
    /// a second, smaller object.
    pub(super) fn draw(config: &SyntheticConfig, ranks: &[usize], stream: &mut Stream) -> Self {
        let longer = (f64::from(config.side_px) * stream.uniform(1.0, 1.25)).round() as u32;
        let landscape = stream.chance(0.6);
        let (width_px, height_px) = if landscape {
            (longer, config.side_px)
        } else {
            (config.side_px, longer)
        };
        let side = f64::from(config.side_px);
        let size = (f64::from(width_px) / side, f64::from(height_px) / side);
        Self {
            width_px,
            height_px,
            patches: (0..5 + stream.below(5))
                .map(|_| Patch::draw(size, stream))
                .collect(),
            wobble: [Noise::draw(stream), Noise::draw(stream)],
            scraps: (0..3 + stream.below(6))
                .map(|_| Scrap::draw(size, stream))
                .collect(),
            objects: draw_objects(config, ranks, size, stream),
            light: Light::draw(size, stream),
        }
    }

    /// The pixels.
    pub(super) fn picture(&self, stream: &mut Stream) -> RgbImage {
        RgbImage::from_fn(self.width_px, self.height_px, |column, row| {
            let colour = self.pixel(column, row);
            let (x, y) = self.position(column, row, 0.5, 0.5);
            let grain = self.light.noise_at(x, y);
            let gain = self.light.gain_at(x, y);
            Rgb(colour.map(|c| {
                let value = c * gain + grain * stream.normal();
                (value.clamp(0.0, 1.0) * 255.0).round() as u8
            }))
        })
    }

    /// The mask; `annotated` says which class ids are annotated, all others become ignored.
    pub(super) fn mask(&self, annotated: impl Fn(u16) -> bool) -> LabelMask {
        let (width, height) = (self.width_px as usize, self.height_px as usize);
        let rows = (0..self.height_px).flat_map(|row| (0..self.width_px).map(move |c| (c, row)));
        let labels = rows.map(|(column, row)| {
            let (x, y) = self.position(column, row, 0.5, 0.5);
            match self.label_at(x, y) {
                label @ (OTHER | IGNORE) => label,
                label if annotated(label) => label,
                _ => IGNORE,
            }
        });
        LabelMask::new(width, height, labels.collect()).expect("one label for each pixel")
    }

    fn label_at(&self, x: f64, y: f64) -> u16 {
        let mut objects = self.objects.iter().rev();
        let hit = objects.find_map(|(class, object)| match object {
            object if object.ignores(x, y) => Some(IGNORE),
            object if object.contains(x, y) => Some(*class),
            _ => None,
        });
        hit.unwrap_or(OTHER)
    }

    /// Mean colour of a pixel's sub-samples, before light.
    fn pixel(&self, column: u32, row: u32) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for sample in 0..SUBSAMPLES * SUBSAMPLES {
            let offset = |i: u32| (f64::from(i) + 0.5) / f64::from(SUBSAMPLES);
            let (right, down) = (offset(sample % SUBSAMPLES), offset(sample / SUBSAMPLES));
            let (x, y) = self.position(column, row, right, down);
            let colour = self.colour_at(x, y);
            sum = std::array::from_fn(|channel| sum[channel] + colour[channel]);
        }
        sum.map(|channel| channel / f64::from(SUBSAMPLES * SUBSAMPLES))
    }

    fn position(&self, column: u32, row: u32, right: f64, down: f64) -> (f64, f64) {
        let side = f64::from(self.width_px.min(self.height_px));
        (
            (f64::from(column) + right) / side,
            (f64::from(row) + down) / side,
        )
    }

    fn colour_at(&self, x: f64, y: f64) -> [f64; 3] {
        if let Some((_, object)) = self.objects.iter().rev().find(|(_, o)| o.contains(x, y)) {
            return object.colour_at(x, y);
        }
        if let Some(scrap) = self.scraps.iter().find(|scrap| scrap.frame.contains(x, y)) {
            return scrap.surface.at(x, y);
        }
        self.patch_at(x, y).surface.at(x, y)
    }

    fn patch_at(&self, x: f64, y: f64) -> &Patch {
        let bend = |noise: &Noise| 0.12 * (noise.at(6.0 * x, 6.0 * y) - 0.5);
        let (x, y) = (x + bend(&self.wobble[0]), y + bend(&self.wobble[1]));
        let distance = |patch: &Patch| (x - patch.seed.0).powi(2) + (y - patch.seed.1).powi(2);
        let nearest = self
            .patches
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.expect("at least five patches")
    }
}

/// A cell of the background: all points nearer to its seed than to any other.
struct Patch {
    seed: (f64, f64),
    surface: Backdrop,
}

impl Patch {
    fn draw((width, height): (f64, f64), stream: &mut Stream) -> Self {
        Self {
            seed: (stream.uniform(0.0, width), stream.uniform(0.0, height)),
            surface: Backdrop::draw(stream),
        }
    }
}

/// A small thing in the background, of any shape and without an object's texture.
struct Scrap {
    frame: Frame,
    surface: Backdrop,
}

impl Scrap {
    fn draw((width, height): (f64, f64), stream: &mut Stream) -> Self {
        let angle = stream.uniform(0.0, TAU);
        let frame = Frame {
            shape: Shape::ALL[stream.below(Shape::ALL.len())],
            centre: (stream.uniform(0.0, width), stream.uniform(0.0, height)),
            radius: stream.uniform(0.05, 0.14),
            turn: (angle.cos(), angle.sin()),
            stretch: stream.uniform(0.7, 1.4),
        };
        Self {
            frame,
            surface: Backdrop::draw(stream),
        }
    }
}

/// The main object near the middle, or two objects on opposite sides of it.
fn draw_objects(
    config: &SyntheticConfig,
    ranks: &[usize],
    size: (f64, f64),
    stream: &mut Stream,
) -> Vec<(u16, Object)> {
    let direction = stream.uniform(0.0, TAU);
    let mut draw = |(index, &rank): (usize, &usize)| {
        let aside = if ranks.len() == 1 { 0.0 } else { 0.22 };
        let sign = if index == 0 { 1.0 } else { -1.0 };
        let offset = (
            sign * aside * direction.cos(),
            sign * aside * direction.sin(),
        );
        let share = if ranks.len() == 1 { 1.0 } else { 0.6 };
        let frame = draw_frame(config, rank, size, offset, share, stream);
        (
            rank as u16 + 1,
            Object::draw(rank, frame, config.ignore_ratio, stream),
        )
    };
    // The main object last: in front.
    ranks.iter().enumerate().rev().map(&mut draw).collect()
}

/// Places a category's outline so that it covers a share of the picture drawn from the range.
fn draw_frame(
    config: &SyntheticConfig,
    rank: usize,
    (width, height): (f64, f64),
    offset: (f64, f64),
    share: f64,
    stream: &mut Stream,
) -> Frame {
    let shape = category(rank).shape;
    let (smallest, largest) = config.object_ratio;
    let area = stream.uniform(smallest, largest) * share * width * height;
    let angle = stream.uniform(-MAX_TURN, MAX_TURN);
    let mut near_middle = |length: f64| length * stream.uniform(0.42, 0.58);
    Frame {
        shape,
        centre: (
            near_middle(width) + offset.0,
            near_middle(height) + offset.1,
        ),
        radius: (area / shape.area()).sqrt().min(0.62),
        turn: (angle.cos(), angle.sin()),
        stretch: stream.uniform(0.87, 1.15),
    }
}
