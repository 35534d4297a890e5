//! Step 4, inference: the fine-tuned network labels every pixel of the evaluated pictures.

use std::time::Instant;

use burn::tensor::Tensor;
use imagenet_s::{Split, remove_torn_masks, write_mask};
use pass_model::{norm::NormMode, segmentation_net::SegmentationNet};

use crate::{
    Context, Error, Step,
    cursor::Cursor,
    inference::{Pass, Shape, for_each_batch},
    step::finetune::finetuned_net,
    upsampled_argmax::{Logits, upsampled_argmax},
};

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
    for split in context.shown_splits() {
        predict_split(context, &mut net, split)?;
    }
    context
        .run
        .finish(Step::Predict, &started.elapsed().as_secs_f64())
}

fn predict_split(context: &Context, net: &mut SegmentationNet, split: Split) -> Result<(), Error> {
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    remove_torn_masks(&context.run.masks("fine_tuned", split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::Predict, split.name())?;
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
            let mask = upsampled_argmax(&logits, picture.original, section.longer_side_cap);
            let key = &samples[picture.index].key;
            write_mask(&context.run.mask("fine_tuned", split.name(), key), &mask)?;
        }
        cursor.advance(pictures.len())
    })?;
    cursor.store()
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
