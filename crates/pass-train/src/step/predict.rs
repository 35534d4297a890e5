//! Step 4, inference: the fine-tuned network labels every pixel of the evaluated pictures.

use std::time::Instant;

use imagenet_s::{Split, remove_torn_masks};
use luss_metrics::LabelMask;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    apply::{Sizing, fine_tuned::FineTuned},
    inference::{Pass, Shape, for_each_batch},
    run::cursor::Cursor,
    step::finetune::finetuned_net,
    view_batch::normalization,
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
    let mut network = network(context)?;
    let mut pixels = vec![0; usize::from(context.data.classes()) + 1];
    for split in context.shown_splits() {
        predict_split(context, &mut network, split, &mut pixels)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let summary = PredictSummary { seconds, pixels };
    findings::tell(context, Step::Predict, &findings::of_masks(&summary));
    context.run.finish(Step::Predict, &summary)
}

fn network(context: &Context) -> Result<FineTuned, Error> {
    Ok(FineTuned {
        net: finetuned_net(context, Step::Predict)?,
        backbone: context.file.network.backbone.clone(),
        classes: context.data.classes().into(),
        normalization: normalization(&context.file),
        inference: context.file.predict.inference,
        device: context.device.clone(),
    })
}

/// Adds what it predicts, and what an earlier process has, to the `pixels` of each id.
fn predict_split(
    context: &Context,
    network: &mut FineTuned,
    split: Split,
    pixels: &mut [u64],
) -> Result<(), Error> {
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    remove_torn_masks(&context.run.masks("fine_tuned", split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::Predict, split.name())?;
    for sample in &samples[..cursor.done()] {
        count(
            &context.read_mask("fine_tuned", split, &sample.key)?,
            pixels,
        );
    }
    let pass = Pass {
        name: &format!("predict {}", split.name()),
        split,
        done: cursor.done(),
        shape: Shape::Whole(section.resize),
        batch: section.batch,
    };
    let sizing = Sizing::of_step(section);
    for_each_batch(context, &pass, |pictures, tensor| {
        let labelled = network.label(pictures, &sizing, || tensor)?;
        for (picture, labelled) in pictures.iter().zip(labelled) {
            count(&labelled.mask, pixels);
            let key = &samples[picture.index].key;
            context.write_mask("fine_tuned", split, key, &labelled.mask)?;
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
