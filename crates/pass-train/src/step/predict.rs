//! Step 4, inference: the fine-tuned network labels every pixel of the evaluated pictures.

use std::time::Instant;

use burn::tensor::Tensor;
use imagenet_s::{Split, read_mask, remove_torn_masks, write_mask};
use luss_metrics::LabelMask;
use ndarray::Array2;
use pass_model::{norm::NormMode, segmentation_net::SegmentationNet};
use pixel_attention::{
    cam::{CamNormalization, cam_labels},
    foreground::components,
    label_generation::FeatureLabels,
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    inference::{Pass, Shape, check_finite, for_each_batch},
    run::cursor::Cursor,
    run_file::Inference,
    step::{
        finetune::finetuned_net,
        upsampled_argmax::{Logits, upsampled_argmax},
    },
    watch::findings,
};

/// What the step leaves in `done/predict.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PredictSummary {
    /// Wall time.
    pub seconds: f64,
    /// Pixels of each id in the masks that it leaves, from 0, OTHER, on.
    pub pixels: Vec<u64>,
}

/// Runs step 4 and leaves `fine_tuned/SPLIT/FOLDER/PICTURE.png`, generated ids. Goes on after a
/// kill.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 3; else from data or disk.
pub fn predict(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    context.run.begin(Step::Predict)?;
    let mut net = finetuned_net(context, Step::Predict)?;
    let mut pixels = vec![0; usize::from(context.data.classes()) + 1];
    for split in context.shown_splits() {
        predict_split(context, &mut net, split, &mut pixels)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let summary = PredictSummary { seconds, pixels };
    findings::tell(context, Step::Predict, &findings::of_masks(&summary));
    context.run.finish(Step::Predict, &summary)
}

/// Adds what it predicts, and what an earlier process has, to the `pixels` of each id.
fn predict_split(
    context: &Context,
    net: &mut SegmentationNet,
    split: Split,
    pixels: &mut [u64],
) -> Result<(), Error> {
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    remove_torn_masks(&context.run.masks("fine_tuned", split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::Predict, split.name())?;
    for sample in &samples[..cursor.done()] {
        let place = context.run.mask("fine_tuned", split.name(), &sample.key);
        count(&read_mask(&place)?, pixels);
    }
    let pass = Pass {
        name: &format!("predict {}", split.name()),
        split,
        done: cursor.done(),
        shape: Shape::Whole(section.resize),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |pictures, tensor| {
        let logits = net.forward(tensor, NormMode::Moving);
        for (picture, logits) in pictures.iter().zip(host_logits(logits)) {
            check_finite("logit", &logits.values)?;
            let mask = match section.inference {
                Inference::ArgMax => {
                    upsampled_argmax(&logits, picture.original, section.longer_side_cap)
                }
                Inference::Components => {
                    let [width, height] = picture.original;
                    component_labels(&logits).to_mask(width, height, FOREGROUND)
                }
                Inference::Cam {
                    normalization,
                    threshold,
                } => cam_mask(&logits, picture.original, normalization, threshold)?,
            };
            count(&mask, pixels);
            let key = &samples[picture.index].key;
            write_mask(&context.run.mask("fine_tuned", split.name(), key), &mask)?;
        }
        cursor.advance(pictures.len())
    })?;
    cursor.store()
}

fn count(mask: &LabelMask, pixels: &mut [u64]) {
    for &id in mask.labels() {
        pixels[usize::from(id)] += 1;
    }
}

/// The share of the probability from which on a pixel is foreground.
const FOREGROUND: f32 = 0.5;

/// Each connected part of the foreground under one category, and the probability of foreground in place of
/// the attention. Cells of the background have the id of the nearest part, into which pixels between
/// cells may fall.
fn component_labels(logits: &Logits) -> FeatureLabels {
    let (size, channels) = ((logits.height, logits.width), logits.channels);
    let cells: Vec<&[f32]> = logits.values.chunks(channels).collect();
    let probability = cells.iter().map(|cell| foreground_probability(cell));
    let attention: Vec<f32> = probability.collect();
    let inside = attention.iter().map(|&share| share >= FOREGROUND).collect();
    let inside = Array2::from_shape_vec(size, inside).expect("a value a cell");
    let place = |(row, column)| row * logits.width + column;
    let mut labelled = Vec::new();
    for part in components(&inside) {
        let id = largest_mean(part.iter().map(|&cell| cells[place(cell)]), channels);
        labelled.extend(part.into_iter().map(|cell| (cell, id)));
    }
    let ids = inside
        .indexed_iter()
        .map(|(cell, _)| nearest(cell, &labelled));
    FeatureLabels {
        width: logits.width,
        height: logits.height,
        ids: ids.collect(),
        attention,
    }
}

/// One minus the softmax of OTHER.
fn foreground_probability(cell: &[f32]) -> f32 {
    let largest = cell.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = cell.iter().map(|logit| (logit - largest).exp()).sum();
    1.0 - (cell[0] - largest).exp() / all
}

/// The category of the largest mean logit of some cells, the first of equals.
fn largest_mean<'a>(cells: impl Iterator<Item = &'a [f32]> + Clone, channels: usize) -> u16 {
    let sum = |channel: usize| {
        cells
            .clone()
            .map(|cell| f64::from(cell[channel]))
            .sum::<f64>()
    };
    let best = (1..channels).map(|channel| (sum(channel), channel));
    let best = best.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let (_, channel) = best.expect("a category");
    u16::try_from(channel).expect("class ids fit u16")
}

/// The id of the nearest of some cells, the first of equals; 1 without any.
fn nearest((row, column): (usize, usize), labelled: &[((usize, usize), u16)]) -> u16 {
    let distance =
        |&((y, x), _): &((usize, usize), u16)| y.abs_diff(row).pow(2) + x.abs_diff(column).pow(2);
    labelled
        .iter()
        .min_by_key(|cell| distance(cell))
        .map_or(1, |&(_, id)| id)
}

/// The category of the largest mean logit, OTHER left out, where its map reaches the threshold.
fn cam_mask(
    logits: &Logits,
    [width, height]: [usize; 2],
    normalization: CamNormalization,
    threshold: f32,
) -> Result<LabelMask, Error> {
    let channels = 1..logits.channels;
    let map = |channel| logits.values.iter().skip(channel).step_by(logits.channels);
    let maps: Vec<f32> = channels.flat_map(map).copied().collect();
    let labels = cam_labels(&maps, [logits.width, logits.height], normalization)?;
    Ok(labels.to_mask(width, height, threshold))
}

/// The logits of each picture on the host, classes innermost.
fn host_logits(logits: Tensor<4>) -> Vec<Logits> {
    let [_, channels, height, width] = logits.dims();
    let values: Vec<f32> = logits.permute([0, 2, 3, 1]).into_data().iter().collect();
    values
        .chunks(height * width * channels)
        .map(|values| Logits {
            values: values.to_vec(),
            height,
            width,
            channels,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_foreground_has_one_category() {
        // A row of five cells: two of the left part, OTHER, and two of the right one.
        let logits = Logits {
            values: [
                [0.0, 3.0, 2.0],
                [0.0, 1.0, 4.0],
                [9.0, 1.0, 1.0],
                [0.0, 5.0, 1.0],
                [0.0, 1.0, 2.0],
            ]
            .concat(),
            height: 1,
            width: 5,
            channels: 3,
        };
        let labels = component_labels(&logits);
        assert_eq!(labels.ids, [2, 2, 2, 1, 1]);
        let mask = labels.to_mask(5, 1, FOREGROUND);
        assert_eq!(mask.labels(), [2, 2, 0, 1, 1]);
        // Two categories of which neither beats OTHER are foreground together.
        let split = Logits {
            values: vec![1.0, 0.9, 0.9],
            height: 1,
            width: 1,
            channels: 3,
        };
        assert_eq!(
            component_labels(&split).to_mask(2, 1, FOREGROUND).labels(),
            [1, 1]
        );
    }

    #[test]
    fn cam_inference_takes_one_category_where_it_is_active() {
        // Two pixels of three channels; OTHER is the largest everywhere, category 2 in the mean.
        let logits = Logits {
            values: vec![9.0, 0.0, 1.0, 9.0, 2.0, 4.0],
            height: 1,
            width: 2,
            channels: 3,
        };
        let cam = |normalization, threshold| {
            let mask = cam_mask(&logits, [2, 1], normalization, threshold);
            mask.unwrap().labels().to_vec()
        };
        assert_eq!(cam(CamNormalization::MinMax, 0.2), [0, 2]);
        assert_eq!(cam(CamNormalization::ReluMax, 0.2), [2, 2]);
        assert_eq!(cam(CamNormalization::ReluMax, 0.3), [0, 2]);
    }
}
