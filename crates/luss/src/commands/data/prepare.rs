//! Prepares ImageNet-S trees from ImageNet-1k and the published archives of masks.

use std::{io, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use imagenet_s::{
    Manifest, Split, Subset,
    prepare::{Config, ImageNet, Placing, Plan, free_bytes, prepare},
    progress_lines,
    terminal::show,
};

/// Prepares ImageNet-S trees from ImageNet-1k and the published archives of masks.
///
/// May be interrupted and started again, and run by several processes at once: what is there
/// already is left alone.
#[derive(Parser)]
struct Arguments {
    /// Root of an unpacked ImageNet-1k: train/CLASS, and val flat or in class folders.
    #[arg(long, required_unless_present_all = ["imagenet_train", "imagenet_val"])]
    imagenet: Option<PathBuf>,
    /// Folder of the training pictures, where it is not IMAGENET/train.
    #[arg(long, requires = "imagenet_val")]
    imagenet_train: Option<PathBuf>,
    /// Folder of the validation pictures, where it is not IMAGENET/val.
    #[arg(long, requires = "imagenet_train")]
    imagenet_val: Option<PathBuf>,
    /// Folder of the archives of masks, as named in the manifest.
    #[arg(long)]
    annotations: PathBuf,
    /// Folder of ImageNetS_im*_mapping_test.txt; without it there is no test split.
    #[arg(long)]
    test_mappings: Option<PathBuf>,
    /// Folder in which ImageNetS50, ImageNetS300 and ImageNetS919 are made.
    #[arg(long)]
    output: PathBuf,
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
    #[arg(long)]
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

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let manifest = match &arguments.manifest {
        Some(path) => Manifest::read(path)?,
        None => Manifest::embedded(),
    };
    let config = config(&arguments)?;
    let plans = arguments.subset.0.iter();
    let plans = plans.map(|&subset| Plan::new(&config, &manifest, subset));
    let plans: Vec<Plan> = plans.collect::<Result<_, _>>()?;
    plans.iter().try_for_each(announce)?;
    forecast(&plans, &arguments.output)?;
    if arguments.dry_run {
        return Ok(());
    }
    for plan in &plans {
        let root = plan.root.display();
        let summary =
            prepare(plan, &progress_lines()).with_context(|| format!("preparing {root}"))?;
        show(format_args!(
            "{root}: {} placed, {} were there already",
            summary.placed, summary.kept
        ))?;
    }
    Ok(())
}

fn config(arguments: &Arguments) -> anyhow::Result<Config> {
    let imagenet = match (&arguments.imagenet, &arguments.imagenet_train) {
        (_, Some(train)) => {
            let val = arguments.imagenet_val.as_deref();
            ImageNet::of_folders(train, val.context("--imagenet-val is missing")?)?
        }
        (Some(root), None) => ImageNet::open(root)?,
        (None, None) => anyhow::bail!("--imagenet is missing"),
    };
    Ok(Config {
        imagenet,
        annotations: arguments.annotations.clone(),
        test_mappings: arguments.test_mappings.clone(),
        output: arguments.output.clone(),
        placing: arguments.placing,
        train_full: !arguments.no_train_full,
    })
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
fn forecast(plans: &[Plan], output: &std::path::Path) -> anyhow::Result<()> {
    let needed: u64 = plans.iter().map(|plan| plan.missing_bytes).sum();
    let free = free_bytes(output)?;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    show(format_args!(
        "space: at most {} MiB to be written, {} MiB free",
        mib(needed),
        mib(free)
    ))?;
    anyhow::ensure!(
        needed <= free,
        "{}: {needed} bytes are needed and {free} are free; make room, choose another output, or \
         place links instead of copies",
        output.display()
    );
    Ok(())
}
