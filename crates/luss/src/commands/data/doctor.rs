//! Examines ImageNet-S trees and says whether training may start.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use imagenet_s::{
    OddPictures, Subset,
    doctor::{Options, Report, examine},
    terminal::show,
};
use luss::OrRefuse;

use super::{manifest, watcher};

/// Examines ImageNet-S trees, or trees of your own in that layout, and lists everything that is
/// wrong with its remedy.
///
/// Example: luss data doctor ~/luss/ImageNetS50 ~/luss/ImageNetS919
///
/// Exit code 0: training may start. 2: there are faults.
///
/// Leaves nothing, but the sums with --record and a file with --json.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Roots of the trees. Of several, what they share is told too.
    #[arg(required = true, value_name = "DIR")]
    roots: Vec<PathBuf>,
    /// 50, 300 or 919, where the tree does not tell.
    #[arg(long, value_name = "SUBSET")]
    subset: Option<Subset>,
    /// Accepts CMYK and misnamed pictures, as data.odd_pictures = "decode" does.
    #[arg(long)]
    accept_odd_pictures: bool,
    /// Decodes no file: looks at names, links and counts only, and compares the pictures of one
    /// name in two splits.
    #[arg(long)]
    quick: bool,
    /// Writes down the sums of all files for the next examination.
    #[arg(long, conflicts_with = "quick")]
    record: bool,
    /// A manifest of your own in place of the embedded datasets.toml.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Also writes all faults to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let options = Options {
            subset: self.subset,
            manifest: manifest(self.manifest.as_deref()).or_refuse()?,
            odd: match self.accept_odd_pictures {
                true => OddPictures::Decode,
                false => OddPictures::Refuse,
            },
            open_files: !self.quick,
            record: self.record,
        };
        let report = examine(&self.roots, &options, &watcher()).or_refuse()?;
        show(format_args!("{report}"))?;
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&report)?;
            whole_file::write_bytes(path, json.as_bytes())
                .with_context(|| path.display().to_string())?;
        }
        check(&report).or_refuse()
    }
}

fn check(report: &Report) -> anyhow::Result<()> {
    ensure!(
        report.may_train(),
        "mend each fault by the remedy in its line"
    );
    Ok(())
}
