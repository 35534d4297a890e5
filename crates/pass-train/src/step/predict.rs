//! Step 4, inference: the fine-tuned network labels every pixel of the evaluated pictures.

use std::time::Instant;

use imagenet_s::{Split, remove_torn_masks};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    apply::{Sizing, fine_tuned::FineTuned},
    inference::{Pass, Shape, for_each_batch},
    run::cursor::Cursor,
    step::finetune::finetuned_net,
    view_batch::normalization,
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
    let mut network = network(context)?;
    let mut counts = MaskCounts::new(context.data.classes());
    for split in context.shown_splits() {
        predict_split(context, &mut network, split, &mut counts)?;
    }
    findings::tell(context, &masks::of_masks(Step::Predict, &counts));
    let seconds = started.elapsed().as_secs_f64();
    let summary = PredictSummary { seconds, counts };
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

/// Adds what it predicts, and what an earlier process has, to the counts.
fn predict_split(
    context: &Context,
    network: &mut FineTuned,
    split: Split,
    counts: &mut MaskCounts,
) -> Result<(), Error> {
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    remove_torn_masks(&context.run.masks("fine_tuned", split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::Predict, split.name())?;
    for sample in &samples[..cursor.done()] {
        counts.add(&context.read_mask("fine_tuned", split, &sample.key)?);
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
        let labelled = network.label(pictures, &sizing, tensor)?;
        for (picture, labelled) in pictures.iter().zip(labelled) {
            counts.add(&labelled.mask);
            let key = &samples[picture.index].key;
            context.write_mask("fine_tuned", split, key, &labelled.mask)?;
        }
        cursor.advance(pictures.len())
    })?;
    cursor.store()
}
