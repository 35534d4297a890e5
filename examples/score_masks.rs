//! Two folders of PNG masks, a table of scores: luss-metrics without any network. The program `luss-eval` does
//! this on all cores and has every protocol.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Parser;
use imagenet_s::terminal::show;
use luss_metrics::{
    CoOccurrence, Evaluator, LabelMask, Matching, Protocol,
    folder::{Pairing, Tree, read_mask},
};

/// Matches predicted clusters to classes on these very masks and scores them.
#[derive(Parser)]
struct Cli {
    /// True masks: id = R + 256 G, 0 other, 1000 ignored.
    truth: PathBuf,
    /// Predicted masks of the same names.
    predictions: PathBuf,
    /// How many classes there are, and clusters.
    classes: u16,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let pairing = Pairing::new(
        &Tree::of_masks(&cli.truth)?,
        &Tree::of_masks(&cli.predictions)?,
    );
    ensure!(pairing.problems().is_empty(), "{:?}", pairing.problems());

    // Once to see which cluster lies on which class …
    let mut counts = CoOccurrence::new(cli.classes, cli.classes);
    for (truth, predicted) in pairing.files() {
        counts.add(&mask(predicted)?, &mask(truth)?)?;
    }
    let matching = Matching::image_level(&counts)?;

    // … and once to score the matched masks.
    let mut evaluator = Evaluator::new(Protocol::new(cli.classes));
    for (truth, predicted) in pairing.files() {
        let matched = matching.apply(&mask(predicted)?)?;
        evaluator.add(&matched, &mask(truth)?)?;
    }
    show(format_args!("{}", evaluator.report()))?;
    Ok(())
}

fn mask(path: &Path) -> anyhow::Result<LabelMask> {
    Ok(read_mask(path)?.0)
}
