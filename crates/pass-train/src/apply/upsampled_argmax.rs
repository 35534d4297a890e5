//! The label of every pixel of a picture from its small map of logits: bilinear, then arg-max.
//!
//! The logits at picture resolution never exist: at 919 classes they would take 700 MB for a
//! picture of 500×375. Each output row blends two rows of the map, each pixel two columns of that.

use luss_metrics::LabelMask;
use pixel_attention::distance_matching::resize_labels;
use rayon::prelude::*;

/// Pictures of more pixels than this fall under the cap.
const CAPPED_ABOVE: usize = 1000 * 1000;

/// Labels a picture from the rows of its map of logits, which come from the top.
///
/// Bilinear upsampling (no corner alignment) to the picture, then the lowest of the largest channels.
/// A picture of more than a megapixel is labelled at `longer_side_cap` pixels on its longer side
/// and the labels brought to size by nearest neighbour; a cap of 0 does not cap.
pub(crate) struct UpsampledArgmax {
    /// Width and height of the picture, and those at which it is labelled.
    picture: [usize; 2],
    labelled: [usize; 2],
    channels: usize,
    /// Values of a row of the map.
    row: usize,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    labels: Vec<u16>,
    /// Rows that are labelled.
    done: usize,
    /// Rows of the map that are still needed, from row `first` on.
    held: Vec<f32>,
    first: usize,
}

impl UpsampledArgmax {
    /// Begins a picture; `map` and `picture` are width and height.
    pub(crate) fn new(
        map: [usize; 2],
        channels: usize,
        picture: [usize; 2],
        longer_side_cap: usize,
    ) -> Self {
        let labelled = capped(picture, longer_side_cap);
        Self {
            picture,
            labelled,
            channels,
            row: map[0] * channels,
            columns: taps(labelled[0], map[0]),
            rows: taps(labelled[1], map[1]),
            labels: vec![0; labelled[0] * labelled[1]],
            done: 0,
            held: Vec::new(),
            first: 0,
        }
    }

    /// Takes the next rows of the map, `[some rows, width, channels]`.
    pub(crate) fn push(&mut self, logits: &[f32]) {
        self.held.extend_from_slice(logits);
        let there = self.first + self.held.len() / self.row;
        let next = self.rows.partition_point(|&(_, bottom, _)| bottom < there);
        self.label_to(next);
        let needed = self
            .rows
            .get(next)
            .map_or(there, |&(top, ..)| top.min(there));
        self.held.drain(..(needed - self.first) * self.row);
        self.first = needed;
    }

    /// Labels rows of the picture, up to row `next`.
    fn label_to(&mut self, next: usize) {
        let (held, first, row) = (&self.held, self.first, self.row);
        let of_map = |y: usize| &held[(y - first) * row..][..row];
        let (columns, channels, width) = (&self.columns, self.channels, self.labelled[0]);
        let out = self.labels[self.done * width..next * width].par_chunks_mut(width);
        let taps = &self.rows[self.done..next];
        out.zip(taps).for_each(|(out, &(top, bottom, weight))| {
            let blended = blend_rows(of_map(top), of_map(bottom), weight);
            for (label, tap) in out.iter_mut().zip(columns) {
                *label = largest(&blended, channels, *tap);
            }
        });
        self.done = next;
    }

    /// The mask.
    ///
    /// # Panics
    ///
    /// If rows of the map are missing.
    pub(crate) fn finish(self) -> LabelMask {
        let [width, height] = self.labelled;
        assert_eq!(self.done, height, "rows of the map are missing");
        let mask = LabelMask::new(width, height, self.labels).expect("one label a pixel");
        match self.labelled == self.picture {
            true => mask,
            false => resize_labels(&mask, self.picture[0], self.picture[1]),
        }
    }
}

/// The size at which a picture is labelled.
fn capped([width, height]: [usize; 2], longer_side_cap: usize) -> [usize; 2] {
    let longer = width.max(height);
    if longer_side_cap == 0 || width * height <= CAPPED_ABOVE || longer <= longer_side_cap {
        return [width, height];
    }
    [width, height].map(|side| (side * longer_side_cap / longer).max(1))
}

/// Two source positions and the weight of the second.
type Tap = (usize, usize, f32);

/// torch's bilinear rule without corner alignment.
fn taps(target: usize, source: usize) -> Vec<Tap> {
    let scale = source as f32 / target as f32;
    (0..target)
        .map(|i| {
            let place = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (place as usize).min(source - 1);
            (first, (first + 1).min(source - 1), place - first as f32)
        })
        .collect()
}

fn blend_rows(top: &[f32], bottom: &[f32], weight: f32) -> Vec<f32> {
    top.iter()
        .zip(bottom)
        .map(|(a, b)| a + weight * (b - a))
        .collect()
}

fn largest(row: &[f32], channels: usize, (left, right, weight): Tap) -> u16 {
    let column = |x: usize| &row[x * channels..][..channels];
    let mut best = (f32::NEG_INFINITY, 0);
    for (channel, (a, b)) in column(left).iter().zip(column(right)).enumerate() {
        let value = a + weight * (b - a);
        if value > best.0 {
            best = (value, channel);
        }
    }
    u16::try_from(best.1).expect("class ids fit u16")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor, TensorData};
    use pass_model::resize::upsample_bilinear;

    /// Width, height and channels.
    const MAP: [usize; 3] = [5, 3, 4];

    fn logits() -> Vec<f32> {
        let value = |i: usize| ((i * 7919 + 13) % 101) as f32 / 10.0;
        (0..MAP.iter().product()).map(value).collect()
    }

    /// The mask, with `rows` rows of the map at a time.
    fn labelled(picture: [usize; 2], cap: usize, rows: usize) -> LabelMask {
        let [width, height, channels] = MAP;
        let mut labels = UpsampledArgmax::new([width, height], channels, picture, cap);
        let logits = logits();
        logits
            .chunks(rows * width * channels)
            .for_each(|rows| labels.push(rows));
        labels.finish()
    }

    #[test]
    fn the_fast_path_equals_upsampling_everything_first() {
        let shape = [1, MAP[1], MAP[0], MAP[2]];
        let data = TensorData::new(logits(), shape);
        let tensor = Tensor::<4>::from_data(data, &Device::default());
        let large = upsample_bilinear(tensor.permute([0, 3, 1, 2]), [11, 17]);
        let expected: Vec<u16> = large
            .argmax(1)
            .into_data()
            .iter::<i64>()
            .map(|id| id as u16)
            .collect();
        assert_eq!(labelled([17, 11], 0, 3).labels(), expected);
    }

    #[test]
    fn rows_may_come_one_by_one() {
        for picture in [[17, 11], [4, 2], [1, 1], [7, 40]] {
            assert_eq!(labelled(picture, 0, 1), labelled(picture, 0, 3));
        }
    }

    /// Rows of the map that no row of the picture touches are passed over.
    #[test]
    fn a_picture_may_be_much_flatter_than_its_map() {
        let (map, channels) = ([2, 10], 3);
        let value = |i: usize| ((i * 7919 + 13) % 101) as f32 / 10.0;
        let logits: Vec<f32> = (0..60).map(value).collect();
        let labelled = |rows: usize| {
            let mut labels = UpsampledArgmax::new(map, channels, [3, 2], 0);
            let rows = logits.chunks(rows * map[0] * channels);
            rows.for_each(|rows| labels.push(rows));
            labels.finish()
        };
        for rows in [1, 3] {
            assert_eq!(labelled(rows), labelled(10), "{rows} rows at a time");
        }
    }

    #[test]
    fn a_picture_above_a_megapixel_is_labelled_at_the_cap() {
        let mask = labelled([2000, 600], 100, 3);
        assert_eq!([mask.width(), mask.height()], [2000, 600]);
        assert!(
            mask.labels()
                .chunks(20)
                .all(|run| run.iter().all(|&id| id == run[0]))
        );
    }
}
