//! Packs predictions for the test server of ImageNet-S.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use imagenet_s::{
    Dataset, Split, progress_lines,
    submission::{Method, Submission, write_submission},
    terminal::show,
};

/// Packs the predicted masks of a split into the archive that the test server of ImageNet-S takes:
/// a PNG for each picture, match.json, method.txt.
///
/// Every prediction is checked first: there is one for each picture and no other, it has the
/// picture's size, and its ids are clusters or classes. All faults are listed, and nothing is written.
/// The archive is read again before it gets its name.
///
/// Example: submission ~/luss/ImageNetS50 runs/s50/fine_tuned/test --match-file runs/s50/match.json
/// --output test.zip --name PASS --training-data ImageNet-S50
#[derive(Parser)]
struct Arguments {
    /// Root of the tree whose pictures were predicted.
    root: PathBuf,
    /// The folder of predictions: CLASS/NAME.png with id = R + 256 G.
    predictions: PathBuf,
    /// The split that was predicted.
    #[arg(long, value_enum, default_value = "test")]
    split: Predicted,
    /// The matching of generated ids to classes; left out, the ids are classes already.
    #[arg(long, value_name = "FILE")]
    match_file: Option<PathBuf>,
    /// The archive [default: test.zip or validation.zip, here].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// method.txt: name of the method.
    #[arg(long, default_value = "example submission")]
    name: String,
    /// method.txt: training data.
    #[arg(long, default_value = "null")]
    training_data: String,
    /// method.txt: training scheme, e.g. unsupervised.
    #[arg(long, default_value = "null")]
    training_scheme: String,
    /// method.txt: networks.
    #[arg(long, default_value = "null")]
    networks: String,
    /// method.txt: link to the paper or project.
    #[arg(long, default_value = "null")]
    link: String,
    /// method.txt: description, in one line.
    #[arg(long, default_value = "null")]
    description: String,
}

/// The splits that are scored.
#[derive(Clone, Copy, ValueEnum)]
enum Predicted {
    Validation,
    Test,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let split = match arguments.split {
        Predicted::Validation => Split::Validation,
        Predicted::Test => Split::Test,
    };
    let output = arguments.output;
    let output = output.unwrap_or_else(|| format!("{}.zip", split.name()).into());
    let submission = Submission {
        split,
        predictions: arguments.predictions,
        matching: arguments.match_file,
        method: Method {
            name: arguments.name,
            training_data: arguments.training_data,
            training_scheme: arguments.training_scheme,
            networks: arguments.networks,
            link: arguments.link,
            description: arguments.description,
        },
    };
    let data = Dataset::open(&arguments.root)?;
    let written = write_submission(&data, &submission, &output, &progress_lines())?;
    let megabytes = written.bytes as f64 / 1e6;
    show(format_args!(
        "{}: {} predictions, {megabytes:.1} MB, read again",
        output.display(),
        written.predictions
    ))?;
    Ok(())
}
