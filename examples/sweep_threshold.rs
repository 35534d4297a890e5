//! Step 2.3: the attention threshold.

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::Arguments;
use pass_train::step::threshold::sweep_threshold;

/// Step 2.3, the attention threshold below which a pixel is OTHER.
///
/// Needs step 2.2 in the same --run directory. By default it takes the threshold with the best mIoU
/// on the validation masks, as the paper; threshold.rule = "otsu" uses no mask. Leaves
/// threshold.json with the whole curve.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open_begun()?;
    let chosen = sweep_threshold(&context)?.chosen;
    show(format_args!(
        "threshold {}, labels used: {}",
        chosen.threshold, chosen.labels_used
    ))?;
    Ok(())
}
