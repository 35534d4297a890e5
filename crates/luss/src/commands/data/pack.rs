//! Packs the pictures of a dataset into one file.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use imagenet_s::{
    Dataset, Split,
    pack::{PackSummary, verify_pack, write_pack},
    terminal::show,
};
use luss::OrRefuse;

use super::watcher;
use crate::commands::split_of;

/// Packs the pictures of a dataset into one file, for disks on which many small files are slow.
///
/// Example: luss data pack ~/luss/ImageNetS50 --out /fast/ImageNetS50.pack
///
/// The files go in as they are: a run that reads the pack (data.pack = "FILE" in its run file) has the
/// same results to the bit. An interrupted packing goes on where it stopped. The tree stays where it is;
/// a run lists its folders, and reads its masks there.
///
/// Leaves the pack.
#[derive(Args)]
pub(crate) struct Pack {
    /// Root of a tree in the ImageNet-S layout.
    #[arg(required_unless_present = "pictures", value_name = "DIR")]
    root: Option<PathBuf>,
    /// Any folder of pictures in place of a tree, e.g. train-full for data.pretrain_pack.
    #[arg(long, value_name = "DIR", conflicts_with = "root")]
    pictures: Option<PathBuf>,
    /// The pack.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A split to pack; may be repeated [default: all that the tree has].
    #[arg(long = "split", value_parser = split_of(&Split::ALL), value_name = "SPLIT")]
    splits: Vec<Split>,
    /// Packs nothing: compares the pack with the files, byte for byte.
    #[arg(long)]
    verify: bool,
}

impl Pack {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let data = self.dataset().or_refuse()?;
        if self.verify {
            let summary = verify_pack(&data, &self.out, &watcher()).or_refuse()?;
            return self.tell(&summary, "are those of the files");
        }
        let mut splits = self.splits.clone();
        if splits.is_empty() {
            splits = Split::ALL.to_vec();
        }
        splits.sort_unstable();
        splits.dedup();
        let summary = write_pack(&data, &splits, &self.out, &watcher())?;
        let before = format!("are packed, {} of them before", summary.kept);
        self.tell(&summary, &before)
    }

    fn dataset(&self) -> anyhow::Result<Dataset> {
        Ok(match (&self.root, &self.pictures) {
            (Some(root), _) => Dataset::open(root)?,
            (None, Some(folder)) => Dataset::open_pictures(folder, 1)?,
            (None, None) => bail!("give a tree or --pictures DIR"),
        })
    }

    fn tell(&self, summary: &PackSummary, how: &str) -> anyhow::Result<()> {
        let (path, megabytes) = (self.out.display(), summary.bytes as f64 / 1e6);
        let pictures = summary.pictures;
        show(format_args!(
            "{path}: {pictures} pictures {how}, {megabytes:.1} MB"
        ))?;
        Ok(())
    }
}
