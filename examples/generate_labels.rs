//! Step 2.4: pseudo labels.

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::Arguments;
use pass_train::step::labels::generate_labels;

/// Step 2.4, a pseudo label for every training picture.
///
/// Needs step 2.3 in the same --run directory. Leaves labels/ (feature resolution, with the
/// attention) and pseudo_labels/ (PNG masks of the evaluated pictures).
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open_begun()?;
    let summary = generate_labels(&context)?;
    show(format_args!(
        "{} pictures, {:.1} % foreground",
        summary.pictures,
        100.0 * summary.foreground
    ))?;
    Ok(())
}
