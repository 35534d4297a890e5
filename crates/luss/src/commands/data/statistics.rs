//! Describes a dataset: the tables and figures of the paper's section 3.1.2.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Parser;
use imagenet_s::{
    Dataset, progress_lines,
    statistics::{Agreement, agreement, statistics, write_page},
    terminal::show,
};

/// Describes a dataset, as section 3.1.2 of the paper does for ImageNet-S: pictures of each split,
/// categories in a picture, sizes and places of objects, pictures and pixels of each class.
///
/// With --annotators it tells instead how far two or more annotators of the same pictures agree.
/// Every mask is read once, on all cores.
#[derive(Parser)]
struct Arguments {
    /// Root of a tree in the ImageNet-S layout.
    #[arg(required_unless_present = "annotators")]
    root: Option<PathBuf>,
    /// Folders of masks, one for each annotator.
    #[arg(long, num_args = 2.., conflicts_with = "root", value_name = "FOLDER")]
    annotators: Vec<PathBuf>,
    /// A folder for statistics.html, its charts and maps, and statistics.json with all numbers; of
    /// annotators for agreement.json.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let output = arguments.output.as_deref();
    match (&arguments.root, arguments.annotators.as_slice()) {
        (Some(root), _) => {
            let statistics = statistics(&Dataset::open(root)?, &progress_lines())?;
            show(format_args!("{}", statistics.to_string().trim_end()))?;
            if let Some(folder) = output {
                write_page(&statistics, folder)?;
                show(format_args!("\nwritten to {}", folder.display()))?;
            }
        }
        (None, folders @ [_, _, ..]) => {
            let agreement = agreement(folders, &progress_lines())?;
            show(format_args!("{}", agreement.to_string().trim_end()))?;
            if let Some(folder) = output {
                write_agreement(&agreement, folder)?;
            }
        }
        (None, _) => bail!("--annotators needs two folders at least"),
    }
    Ok(())
}

fn write_agreement(agreement: &Agreement, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("agreement.json");
    let text = serde_json::to_string_pretty(agreement)?;
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    show(format_args!("\nwritten to {}", path.display()))?;
    Ok(())
}
