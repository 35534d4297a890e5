//! Packs predictions for the test server of ImageNet-S.

use std::path::PathBuf;

use clap::Args;
use imagenet_s::{
    Dataset, Split,
    submission::{Method, Submission, write_submission},
    terminal::show,
};
use luss::OrRefuse;

use super::watcher;
use crate::commands::split_of;

/// Packs the predicted masks of a split into the archive that the test server of ImageNet-S takes:
/// a PNG for each picture, match.json, method.txt.
///
/// Example: luss data submit ~/luss/ImageNetS50 runs/s50/fine_tuned/test --match-file runs/s50/match.json
///
/// Every prediction is checked first: there is one for each picture and no other, it has the
/// picture's size, and its ids are clusters or classes. All faults are listed, and nothing is written.
/// The archive is read again before it gets its name.
///
/// Leaves the archive.
#[derive(Args)]
pub(crate) struct Submit {
    /// Root of the tree whose pictures were predicted.
    #[arg(value_name = "DIR")]
    root: PathBuf,
    /// The folder of predictions: CLASS/NAME.png with id = R + 256 G.
    #[arg(value_name = "PREDICTIONS")]
    predictions: PathBuf,
    /// The split that was predicted.
    #[arg(long, value_parser = split_of(&SCORED), default_value = "test")]
    split: Split,
    /// The matching of generated ids to classes; left out, the ids are classes already.
    #[arg(long, value_name = "FILE")]
    match_file: Option<PathBuf>,
    /// The archive [default: test.zip or validation.zip, here].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
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
const SCORED: [Split; 2] = [Split::Validation, Split::Test];

impl Submit {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let data = Dataset::open(&self.root).or_refuse()?;
        let in_place = || format!("{}.zip", self.split.name()).into();
        let out = self.out.clone().unwrap_or_else(in_place);
        let submission = self.submission();
        let written = write_submission(&data, &submission, &out, &watcher()).or_refuse()?;
        let megabytes = written.bytes as f64 / 1e6;
        show(format_args!(
            "{}: {} predictions, {megabytes:.1} MB, read again",
            out.display(),
            written.predictions
        ))?;
        Ok(())
    }

    fn submission(self) -> Submission {
        Submission {
            split: self.split,
            predictions: self.predictions,
            matching: self.match_file,
            method: Method {
                name: self.name,
                training_data: self.training_data,
                training_scheme: self.training_scheme,
                networks: self.networks,
                link: self.link,
                description: self.description,
            },
        }
    }
}
