//! Step 4: inference.

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::Arguments;
use pass_train::step::predict::predict;

/// Step 4, a predicted mask for every validation and test picture (training pictures where there are
/// neither).
///
/// Needs step 3 in the same --run directory. Leaves fine_tuned/SPLIT/FOLDER/PICTURE.png with the ids
/// of the generated categories.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open_begun()?;
    predict(&context)?;
    show(format_args!(
        "predictions: {}",
        context.run.file("fine_tuned").display()
    ))?;
    Ok(())
}
