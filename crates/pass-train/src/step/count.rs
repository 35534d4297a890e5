//! The share of each id among the predicted pixels.

use crate::{Context, Error, Step, step::predict::PredictSummary};

/// Leaves `shares.json`: the shares of the ids, from OTHER on.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 4; else from the disk.
pub fn count_pixels(context: &Context) -> Result<(), Error> {
    context.run.begin(Step::CountPixels)?;
    let counted: PredictSummary = context.run.summary(Step::Predict)?;
    let all: u64 = counted.pixels.iter().sum();
    let share = |&pixels: &u64| pixels as f64 / all as f64;
    let shares: Vec<f64> = counted.pixels.iter().map(share).collect();
    context
        .run
        .write_json(&context.run.file("shares.json"), &shares)?;
    context.run.finish(Step::CountPixels, &all)
}
