//! Packs the pictures of a dataset into one file.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, ValueEnum};
use imagenet_s::{
    Dataset, Split,
    pack::{verify_pack, write_pack},
    progress_lines,
    terminal::show,
};

/// Packs the pictures of a dataset into one file, for disks on which many small files are slow.
///
/// The files go in as they are: a run that reads the pack (data.pack = "FILE" in its run file) has the
/// same results to the bit. An interrupted packing goes on where it stopped. The tree stays where it is;
/// a run lists its folders, and reads its masks there.
#[derive(Parser)]
struct Arguments {
    /// Root of a tree in the ImageNet-S layout.
    #[arg(required_unless_present = "pictures")]
    root: Option<PathBuf>,
    /// Any folder of pictures in place of a tree, e.g. train-full for data.pretrain_pack.
    #[arg(long, value_name = "FOLDER", conflicts_with = "root")]
    pictures: Option<PathBuf>,
    /// The pack.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// A split to pack; may be repeated [default: all that the tree has].
    #[arg(long = "split", value_enum, value_name = "SPLIT")]
    splits: Vec<Packable>,
    /// Packs nothing: compares the pack with the files, byte for byte.
    #[arg(long)]
    verify: bool,
}

/// The splits by the names of their folders.
#[derive(Clone, Copy, ValueEnum)]
enum Packable {
    Train,
    TrainSemi,
    Validation,
    Test,
}

impl From<Packable> for Split {
    fn from(split: Packable) -> Self {
        match split {
            Packable::Train => Split::Train,
            Packable::TrainSemi => Split::TrainSemi,
            Packable::Validation => Split::Validation,
            Packable::Test => Split::Test,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let data = match (&arguments.root, &arguments.pictures) {
        (Some(root), _) => Dataset::open(root)?,
        (None, Some(folder)) => Dataset::open_pictures(folder, 1)?,
        (None, None) => bail!("give a tree or --pictures FOLDER"),
    };
    let mut splits: Vec<Split> = arguments.splits.into_iter().map(Split::from).collect();
    if splits.is_empty() {
        splits = Split::ALL.to_vec();
    }
    splits.sort_unstable();
    splits.dedup();
    let output = &arguments.output;
    let summary = match arguments.verify {
        true => verify_pack(&data, output, &progress_lines())?,
        false => write_pack(&data, &splits, output, &progress_lines())?,
    };
    let (pictures, megabytes) = (summary.pictures, summary.bytes as f64 / 1e6);
    let path = output.display();
    match arguments.verify {
        true => show(format_args!(
            "{path}: {pictures} pictures are those of the files, {megabytes:.1} MB"
        )),
        false => show(format_args!(
            "{path}: {pictures} pictures, {megabytes:.1} MB, {} of them packed before",
            summary.kept
        )),
    }?;
    Ok(())
}
