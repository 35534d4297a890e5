//! The label of every pixel of a picture from its small map of logits: bilinear, then arg-max.
//!
//! The logits at picture resolution never exist: at 919 classes they would take 700 MB for a
//! picture of 500×375. Each output row blends two rows of the map, each pixel two columns of that.

use luss_metrics::LabelMask;
use pixel_attention::distance_matching::resize_labels;
use rayon::prelude::*;

/// Pictures of more pixels than this fall under the cap.
const CAPPED_ABOVE: usize = 1000 * 1000;

/// A map of logits, row-major, classes innermost: `[height, width, channels]`.
pub(crate) struct Logits {
    pub(crate) values: Vec<f32>,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

/// Bilinear upsampling (no corner alignment) to `[width, height]`, then the lowest of the largest
/// channels.
///
/// A picture of more than a megapixel is labelled at `longer_side_cap` pixels on its longer side
/// and the labels brought to size by nearest neighbour; a cap of 0 does not cap.
pub(crate) fn upsampled_argmax(
    logits: &Logits,
    [width, height]: [usize; 2],
    longer_side_cap: usize,
) -> LabelMask {
    let longer = width.max(height);
    if longer_side_cap == 0 || width * height <= CAPPED_ABOVE || longer <= longer_side_cap {
        return labels_at(logits, [width, height]);
    }
    let small = [
        width * longer_side_cap / longer,
        height * longer_side_cap / longer,
    ];
    resize_labels(
        &labels_at(logits, small.map(|side| side.max(1))),
        width,
        height,
    )
}

fn labels_at(logits: &Logits, [width, height]: [usize; 2]) -> LabelMask {
    let columns = taps(width, logits.width);
    let rows = taps(height, logits.height);
    let mut labels = vec![0u16; width * height];
    labels
        .par_chunks_mut(width)
        .zip(rows)
        .for_each(|(out, row)| {
            let blended = blend_rows(logits, row);
            for (label, tap) in out.iter_mut().zip(&columns) {
                *label = largest(&blended, logits.channels, *tap);
            }
        });
    LabelMask::new(width, height, labels).expect("one label a pixel")
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

fn blend_rows(logits: &Logits, (top, bottom, weight): Tap) -> Vec<f32> {
    let row = |y: usize| {
        &logits.values[y * logits.width * logits.channels..][..logits.width * logits.channels]
    };
    row(top)
        .iter()
        .zip(row(bottom))
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

    fn logits() -> Logits {
        let [height, width, channels] = [3, 5, 4];
        let values = (0..height * width * channels)
            .map(|i| ((i * 7919 + 13) % 101) as f32 / 10.0)
            .collect();
        Logits {
            values,
            height,
            width,
            channels,
        }
    }

    #[test]
    fn the_fast_path_equals_upsampling_everything_first() {
        let logits = logits();
        let shape = [1, logits.height, logits.width, logits.channels];
        let tensor = Tensor::<4>::from_data(
            TensorData::new(logits.values.clone(), shape),
            &Device::default(),
        );
        let large = upsample_bilinear(tensor.permute([0, 3, 1, 2]), [11, 17]);
        let expected: Vec<u16> = large
            .argmax(1)
            .into_data()
            .iter::<i64>()
            .map(|id| id as u16)
            .collect();
        assert_eq!(upsampled_argmax(&logits, [17, 11], 0).labels(), expected);
    }

    #[test]
    fn a_picture_above_a_megapixel_is_labelled_at_the_cap() {
        let mask = upsampled_argmax(&logits(), [2000, 600], 100);
        assert_eq!([mask.width(), mask.height()], [2000, 600]);
        assert!(
            mask.labels()
                .chunks(20)
                .all(|run| run.iter().all(|&id| id == run[0]))
        );
    }
}
