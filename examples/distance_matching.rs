//! The k-NN protocol.

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::Arguments;
use pass_train::step::distance::distance_matching;

/// Distance matching: pixels take the class of their nearest labelled embeddings.
///
/// Needs step 1 in the same --run directory and the masks of train-semi. Leaves
/// distance_matching/validation/FOLDER/PICTURE.png with class ids.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open_begun()?;
    distance_matching(&context)?;
    show(format_args!(
        "predictions: {}",
        context.run.file("distance_matching").display()
    ))?;
    Ok(())
}
