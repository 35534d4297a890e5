//! Step 4, inference: the fine-tuned network labels every pixel of the evaluated pictures.

use std::time::Instant;

use burn::tensor::Tensor;
use imagenet_s::{Split, read_mask, remove_torn_masks, write_mask};
use luss_metrics::LabelMask;
use pass_model::{norm::NormMode, segmentation_net::SegmentationNet};
use pixel_attention::cam::{CamNormalization, cam_labels};
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
    watch::{
        findings::{self, masks},
        mask_counts::MaskCounts,
    },
};

/// What the step leaves in `done/predict.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PredictSummary {
    /// Wall time.
    pub seconds: f64,
    /// How the masks that it leaves use the categories.
    #[serde(flatten)]
    pub counts: MaskCounts,
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
    let mut counts = MaskCounts::new(context.data.classes());
    for split in context.shown_splits() {
        predict_split(context, &mut net, split, &mut counts)?;
    }
    findings::tell(context, &masks::of_masks(&counts));
    let seconds = started.elapsed().as_secs_f64();
    let summary = PredictSummary { seconds, counts };
    context.run.finish(Step::Predict, &summary)
}

/// Adds what it predicts, and what an earlier process has, to the counts.
fn predict_split(
    context: &Context,
    net: &mut SegmentationNet,
    split: Split,
    counts: &mut MaskCounts,
) -> Result<(), Error> {
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    remove_torn_masks(&context.run.masks("fine_tuned", split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::Predict, split.name())?;
    for sample in &samples[..cursor.done()] {
        let place = context.run.mask("fine_tuned", split.name(), &sample.key);
        counts.add(&read_mask(&place)?);
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
                Inference::Cam {
                    normalization,
                    threshold,
                } => cam_mask(&logits, picture.original, normalization, threshold)?,
            };
            counts.add(&mask);
            let key = &samples[picture.index].key;
            write_mask(&context.run.mask("fine_tuned", split.name(), key), &mask)?;
        }
        cursor.advance(pictures.len())
    })?;
    cursor.store()
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
