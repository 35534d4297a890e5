//! Convolutions of few channels a group, among them those of one (depthwise), without a matrix.
//!
//! A product would be as narrow as the group. Here each output channel of a group is a sum of its input
//! channels, shifted and weighted (`loops.rs`), of which eight vectors are in registers at a time; for
//! the shifts the maps are laid out in the cache (`planes.rs`). The gradient of the input is such a sum
//! of the gradients of the output, that of a weight one product of both.
//!
//! Source of depthwise convolutions: "Xception: Deep Learning with Depthwise Separable Convolutions",
//! <https://arxiv.org/abs/1610.02357>.

mod loops;
mod planes;

use self::{
    loops::{LANES, TILE, add_products, weighted},
    planes::Planes,
};
use super::convolution::Convolution;
use crate::flex::written;

/// Numbers that a task writes, about.
const PORTION: usize = 1 << 14;

/// Groups of pictures that a task takes, of maps of this many numbers a group.
fn together(of: &Convolution, numbers: usize) -> usize {
    (PORTION / numbers.max(1)).clamp(1, of.groups)
}

/// `[batch, channels_out, height_out, width_out]`.
pub(crate) fn output(of: &Convolution, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let (planes, [ins, outs]) = (Planes::new(of), of.of_group());
    let size = planes.count() * planes.size();
    let starts = starts(&planes, ins);
    let positions = planes.positions().next_multiple_of(TILE);
    let (maps, width) = (outs * of.places(), outs * starts.len());
    let together = together(of, maps);
    let count = of.input[0] * of.groups * maps;
    written(count, together * maps, |index, to| {
        let mut laid_out = vec![0.0; ins * size + positions];
        let mut sums = vec![0.0; outs * positions];
        for (at, maps) in to.chunks_exact_mut(maps).enumerate() {
            let at = index * together + at;
            let input = input[at * ins * of.pixels()..].chunks_exact(of.pixels());
            for (map, to) in input.zip(laid_out.chunks_exact_mut(size).take(ins)) {
                planes.lay_out(map, to);
            }
            let weight = &weight[at % of.groups * width..][..width];
            weighted(&laid_out, &starts, weight, &mut sums);
            let sums = sums.chunks_exact(positions);
            for (map, sums) in maps.chunks_exact_mut(of.places()).zip(sums) {
                planes.take_places(sums, map);
            }
        }
    })
}

/// Of each weight of an output channel, `[channels_in of a group, taps]`.
fn starts(planes: &Planes, ins: usize) -> Vec<usize> {
    let start = |channel: usize, tap: usize| {
        let (plane, start) = planes.start(tap);
        (channel * planes.count() + plane) * planes.size() + start
    };
    let taps = planes.of.taps();
    (0..ins * taps)
        .map(|weight| start(weight / taps, weight % taps))
        .collect()
}

/// `[batch, channels_in, height, width]`, from the gradient of the output.
pub(crate) fn input_gradient(of: &Convolution, output: &[f32], weight: &[f32]) -> Vec<f32> {
    let (planes, [ins, outs]) = (Planes::new(of), of.of_group());
    let size = planes.reach() + planes.size() + TILE;
    let backward: Vec<Backward> = (0..planes.count())
        .map(|plane| Backward::new(&planes, plane, size, weight))
        .collect();
    let maps = ins * of.pixels();
    let together = together(of, maps);
    written(
        of.input[0] * of.groups * maps,
        together * maps,
        |index, to| {
            let mut laid_out = vec![0.0; outs * size];
            let mut sums = vec![0.0; ins * (planes.size() + TILE)];
            for (at, maps) in to.chunks_exact_mut(maps).enumerate() {
                let at = index * together + at;
                let output = output[at * outs * of.places()..].chunks_exact(of.places());
                for (map, to) in output.zip(laid_out.chunks_exact_mut(size)) {
                    planes.lay_out_places(map, &mut to[planes.reach()..]);
                }
                for (plane, backward) in backward.iter().enumerate() {
                    let sums = &mut sums[..ins * backward.positions];
                    backward.write(at % of.groups, &laid_out, sums);
                    let sums = sums.chunks_exact(backward.positions);
                    for (map, sums) in maps.chunks_exact_mut(of.pixels()).zip(sums) {
                        planes.take_back(plane, sums, map);
                    }
                }
            }
        },
    )
}

/// What the gradient of a plane of the input is made of.
struct Backward {
    /// Of the rows that meet the map.
    positions: usize,
    /// `[channels_out of a group, taps that meet the plane]`.
    starts: Vec<usize>,
    /// `[groups, channels_in of a group, channels_out of a group, taps that meet the plane]`.
    weights: Vec<f32>,
    groups: usize,
}

impl Backward {
    /// `size`: numbers of a map of the output as it is laid out.
    fn new(planes: &Planes, plane: usize, size: usize, weight: &[f32]) -> Self {
        let (of, [ins, outs]) = (planes.of, planes.of.of_group());
        let meets = |&tap: &usize| planes.start(tap).0 == plane;
        let taps: Vec<usize> = (0..of.taps()).filter(meets).collect();
        let [met, _] = planes.met(plane);
        let of_channel = |channel: usize| {
            let first = channel * size + planes.reach() + met.place * planes.pitch;
            taps.iter().map(move |&tap| first - planes.start(tap).1)
        };
        let of_pair = |pair: usize| {
            let (group, channel, out) = (pair / (ins * outs), pair / outs % ins, pair % outs);
            let first = ((group * outs + out) * ins + channel) * of.taps();
            taps.iter().map(move |&tap| weight[first + tap])
        };
        Self {
            positions: (met.count * planes.pitch).max(1).next_multiple_of(TILE),
            starts: (0..outs).flat_map(of_channel).collect(),
            weights: (0..of.groups * ins * outs).flat_map(of_pair).collect(),
            groups: of.groups,
        }
    }

    /// Writes the plane of each input channel.
    fn write(&self, group: usize, laid_out: &[f32], sums: &mut [f32]) {
        match self.weights.len() / self.groups {
            0 => sums.fill(0.0),
            width => {
                let weights = &self.weights[group * width..][..width];
                weighted(laid_out, &self.starts, weights, sums);
            }
        }
    }
}

/// `[channels_out, channels_in of a group, kernel, kernel]`, from the gradient of the output.
pub(crate) fn weight_gradient(of: &Convolution, input: &[f32], output: &[f32]) -> Vec<f32> {
    let (planes, [ins, outs]) = (Planes::new(of), of.of_group());
    let size = planes.count() * planes.size();
    let starts = starts(&planes, ins);
    let positions = planes.positions().next_multiple_of(TILE);
    let width = outs * starts.len();
    written(of.groups * width, width, |group, gradient| {
        let mut laid_out = vec![0.0; ins * size + positions];
        let mut rows = vec![0.0; outs * positions];
        let mut sums = vec![0.0; width * LANES];
        for picture in 0..of.input[0] {
            let at = picture * of.groups + group;
            let input = input[at * ins * of.pixels()..].chunks_exact(of.pixels());
            for (map, to) in input.zip(laid_out.chunks_exact_mut(size).take(ins)) {
                planes.lay_out(map, to);
            }
            let output = output[at * outs * of.places()..].chunks_exact(of.places());
            for (map, to) in output.zip(rows.chunks_exact_mut(positions)) {
                planes.lay_out_places(map, to);
            }
            add_products(&laid_out, &starts, &rows, &mut sums);
        }
        for (gradient, lanes) in gradient.iter_mut().zip(sums.chunks_exact(LANES)) {
            *gradient = lanes.iter().sum();
        }
    })
}
