//! Examines ImageNet-S trees and says whether training may start.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use imagenet_s::{
    Manifest, OddPictures, Subset,
    doctor::{Options, examine},
    progress_lines,
    terminal::{show, tell},
};

/// Examines ImageNet-S trees, or trees of your own in that layout, and lists everything that is
/// wrong with its remedy.
///
/// Exit code 0: training may start. 1: there are faults. 2: the examination could not be done.
#[derive(Parser)]
struct Arguments {
    /// Roots of the trees. Of several, what they share is told too.
    #[arg(required = true)]
    roots: Vec<PathBuf>,
    /// 50, 300 or 919, where the tree does not tell.
    #[arg(long)]
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
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Also writes all faults to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            tell(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let manifest = match &arguments.manifest {
        Some(path) => Manifest::read(path)?,
        None => Manifest::embedded(),
    };
    let options = Options {
        subset: arguments.subset,
        manifest,
        odd: match arguments.accept_odd_pictures {
            true => OddPictures::Decode,
            false => OddPictures::Refuse,
        },
        open_files: !arguments.quick,
        record: arguments.record,
    };
    let report = examine(&arguments.roots, &options, &progress_lines())?;
    show(format_args!("{report}"))?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    Ok(report.may_train())
}
