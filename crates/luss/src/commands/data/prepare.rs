//! Prepares ImageNet-S trees from ImageNet-1k and the published archives of masks.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use imagenet_s::{
    Split, Subset,
    prepare::{Config, ImageNet, Placing, Plan, free_bytes, prepare},
    terminal::show,
};
use luss::OrRefuse;

use super::{manifest, watcher};

/// Prepares ImageNet-S trees from ImageNet-1k and the published archives of masks.
///
/// Example: luss data prepare --imagenet ~/imagenet --annotations ~/Downloads --out ~/luss --subset 50
///
/// May be interrupted and started again, and run by several processes at once: what is there
/// already is left alone.
///
/// Leaves ImageNetS50, ImageNetS300 and ImageNetS919 in --out.
#[derive(Args)]
pub(crate) struct Prepare {
    /// Root of an unpacked ImageNet-1k: train/CLASS, and val flat or in class folders.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["imagenet_train", "imagenet_val"])]
    imagenet: Option<PathBuf>,
    /// Folder of the training pictures, where it is not IMAGENET/train.
    #[arg(long, value_name = "DIR", requires = "imagenet_val")]
    imagenet_train: Option<PathBuf>,
    /// Folder of the validation pictures, where it is not IMAGENET/val.
    #[arg(long, value_name = "DIR", requires = "imagenet_train")]
    imagenet_val: Option<PathBuf>,
    /// Folder of the archives of masks, as named in the manifest.
    #[arg(long, value_name = "DIR")]
    annotations: PathBuf,
    /// Folder of ImageNetS_im*_mapping_test.txt; without it there is no test split.
    #[arg(long, value_name = "DIR")]
    test_mappings: Option<PathBuf>,
    /// Folder in which ImageNetS50, ImageNetS300 and ImageNetS919 are made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// 50, 300, 919 or all.
    #[arg(long, default_value = "all", value_parser = subsets)]
    subset: Subsets,
    /// How pictures are placed: symlink, hardlink or copy.
    #[arg(long, default_value = "symlink", value_parser = placing)]
    placing: Placing,
    /// Leaves out train-full, the pictures of all 1000 categories, from the 919 tree.
    #[arg(long)]
    no_train_full: bool,
    /// A manifest of your own in place of the embedded datasets.toml.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Checks and counts everything, tells the space needed, and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone)]
struct Subsets(Vec<Subset>);

fn subsets(text: &str) -> Result<Subsets, String> {
    if text == "all" {
        return Ok(Subsets(Subset::ALL.to_vec()));
    }
    let one = text.parse().map_err(|error| format!("{error}, or all"))?;
    Ok(Subsets(vec![one]))
}

fn placing(text: &str) -> Result<Placing, String> {
    match text {
        "symlink" => Ok(Placing::Symlink),
        "hardlink" => Ok(Placing::Hardlink),
        "copy" => Ok(Placing::Copy),
        _ => Err("write symlink, hardlink or copy".to_owned()),
    }
}

impl Prepare {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let plans = self.plans().or_refuse()?;
        plans.iter().try_for_each(announce)?;
        forecast(&plans, &self.out).or_refuse()?;
        if self.dry_run {
            return Ok(());
        }
        for plan in &plans {
            let root = plan.root.display();
            let done = prepare(plan, &watcher()).with_context(|| format!("preparing {root}"))?;
            show(format_args!(
                "{root}: {} placed, {} were there already",
                done.placed, done.kept
            ))?;
        }
        Ok(())
    }

    fn plans(&self) -> anyhow::Result<Vec<Plan>> {
        let manifest = manifest(self.manifest.as_deref())?;
        let config = self.config()?;
        let plan = |&subset: &Subset| Plan::new(&config, &manifest, subset);
        Ok(self.subset.0.iter().map(plan).collect::<Result<_, _>>()?)
    }

    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config {
            imagenet: self.imagenet()?,
            annotations: self.annotations.clone(),
            test_mappings: self.test_mappings.clone(),
            output: self.out.clone(),
            placing: self.placing,
            train_full: !self.no_train_full,
        })
    }

    fn imagenet(&self) -> anyhow::Result<ImageNet> {
        Ok(
            match (&self.imagenet, &self.imagenet_train, &self.imagenet_val) {
                (_, Some(train), Some(val)) => ImageNet::of_folders(train, val)?,
                (Some(root), _, _) => ImageNet::open(root)?,
                _ => bail!("--imagenet is missing"),
            },
        )
    }
}

fn announce(plan: &Plan) -> io::Result<()> {
    let counts = Split::ALL.map(|split| {
        let count = plan.pictures[split as usize];
        format!("{} {count}", split.name())
    });
    show(format_args!(
        "ImageNet-S{}: {}, {} masks; pictures by {}",
        plan.subset,
        counts.join(", "),
        plan.masks,
        plan.placing
    ))?;
    if plan.pictures[Split::Test as usize] == 0 {
        show(format_args!(
            "  no test split: it needs --test-mappings, the folder data/mapping of the toolbox"
        ))?;
    }
    Ok(())
}

/// Tells the space needed by all trees, and refuses to begin what cannot be finished.
fn forecast(plans: &[Plan], output: &Path) -> anyhow::Result<()> {
    let needed: u64 = plans.iter().map(|plan| plan.missing_bytes).sum();
    let free = free_bytes(output)?;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    show(format_args!(
        "space: at most {} MiB to be written, {} MiB free",
        mib(needed),
        mib(free)
    ))?;
    ensure!(
        needed <= free,
        "{}: {needed} bytes are needed and {free} are free; make room, choose another output, or \
         place links instead of copies",
        output.display()
    );
    Ok(())
}
