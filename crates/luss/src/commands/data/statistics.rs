//! Describes a dataset: the tables and figures of the paper's section 3.1.2.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use imagenet_s::{
    Dataset,
    statistics::{Agreement, agreement, statistics, write_page},
    terminal::show,
};
use luss::OrRefuse;

use super::watcher;

/// Describes a dataset, as section 3.1.2 of the paper does for ImageNet-S: pictures of each split,
/// categories in a picture, sizes and places of objects, pictures and pixels of each class.
///
/// Example: luss data statistics ~/luss/ImageNetS50 --out described
///
/// With --annotators it tells instead how far two or more annotators of the same pictures agree.
/// Every mask is read once, on all cores.
///
/// Leaves the page and the numbers in --out, or nothing without it.
#[derive(Args)]
pub(crate) struct Describe {
    /// Root of a tree in the ImageNet-S layout.
    #[arg(required_unless_present = "annotators", value_name = "DIR")]
    root: Option<PathBuf>,
    /// Folders of masks, one for each annotator.
    #[arg(long, num_args = 2.., conflicts_with = "root", value_name = "DIR")]
    annotators: Vec<PathBuf>,
    /// A folder for statistics.html, its charts and maps, and statistics.json with all numbers; of
    /// annotators for agreement.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Describe {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let Some(root) = &self.root else {
            return self.compare();
        };
        let data = Dataset::open(root).or_refuse()?;
        let statistics = statistics(&data, &watcher()).or_refuse()?;
        show(format_args!("{}", statistics.to_string().trim_end()))?;
        if let Some(folder) = &self.out {
            write_page(&statistics, folder)?;
            show(format_args!("\nwritten to {}", folder.display()))?;
        }
        Ok(())
    }

    fn compare(&self) -> anyhow::Result<()> {
        let agreement = agreement(&self.annotators, &watcher()).or_refuse()?;
        show(format_args!("{}", agreement.to_string().trim_end()))?;
        match &self.out {
            Some(folder) => write_agreement(&agreement, folder),
            None => Ok(()),
        }
    }
}

fn write_agreement(agreement: &Agreement, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join("agreement.json");
    let text = serde_json::to_string_pretty(agreement)?;
    whole_file::write_bytes(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
    show(format_args!("\nwritten to {}", path.display()))?;
    Ok(())
}
