//! The command line that every step understands.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use burn::tensor::Device;
use clap::Args;
use pass_model::ranks::Ranks;
use pass_train::{Context, RunDir, RunFile, StopRequest, Verbosity, run_file::Source};

use crate::{
    outcome::listen,
    pick_device,
    rank_threads::Devices,
    ranks::{RankArguments, device_of_rank},
};

/// The run file of the embedded dataset.
const SYNTHETIC: &str = include_str!("../configs/synthetic.toml");

/// The run file for a folder of pictures on a CPU.
const SMALL: &str = include_str!("../configs/small.toml");

/// What to run on, where, and with which settings.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Run file (TOML). Left out: the one stored in the run directory, else the embedded
    /// `small.toml` with --data or --images, else the embedded `synthetic.toml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A tree in the ImageNet-S layout: train/CLASS/*.JPEG, validation/…, validation-segmentation/…
    #[arg(long, value_name = "DIR", conflicts_with = "images")]
    data: Option<PathBuf>,

    /// Any folder of pictures without labels, flat or nested (JPEG, PNG, WebP).
    #[arg(long, value_name = "DIR", requires = "classes")]
    images: Option<PathBuf>,

    /// How many categories to discover in --images.
    #[arg(long, value_name = "K", requires = "images")]
    classes: Option<u16>,

    /// The run directory [default: runs/ and the name of the data].
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,

    /// Seed of every random stream of the run.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// cpu, cuda, cuda:1, wgpu: where tensors live (the binary must have been built with it). A list,
    /// as cuda:0,cuda:1, trains on all of them together, each with its share of every batch
    /// (pretrain, tune_attention, cluster, finetune and pipeline; docs/DISTRIBUTED.md). With --mpi,
    /// cuda gives each process of a machine its own GPU.
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "cpu",
        value_delimiter = ','
    )]
    device: Vec<String>,

    /// Threads of the arithmetic and of the loader; the result does not depend on it. With several
    /// devices the arithmetic of all has so many, and the loader of each.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// One setting of the run file, e.g. --set pretrain.epochs=40; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// Say only what starts, what ends and what fails.
    #[arg(long)]
    quiet: bool,
}

/// The command line of the steps that several processes or devices take together.
#[derive(Args, Clone, Debug)]
pub struct RankedArguments {
    #[command(flatten)]
    arguments: Arguments,

    #[command(flatten)]
    ranks: RankArguments,
}

impl RankedArguments {
    /// Opens the run and does `work` on it, on all ranks where the command line asks for several:
    /// processes that `mpirun` has started, or one thread for each of a list of devices.
    ///
    /// # Errors
    ///
    /// As [`Arguments::open`], if the ranks cannot find together, and those of `work`.
    pub fn on_all_ranks(
        &self,
        work: impl Fn(&Context) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        let devices = self.arguments.device.as_slice();
        if let (true, [_, _, ..]) = (self.ranks.mpi, devices) {
            bail!(
                "--device {} with --mpi: of several processes each uses one device; leave out one of \
                 the two",
                devices.join(",")
            );
        }
        let processes = self.ranks.ranks()?;
        match devices {
            [device] => work(&self.arguments.open_heeding(processes, device)?),
            names => self.arguments.with_devices(names, work),
        }
    }
}

impl Arguments {
    /// Opens the run: reads the run file, picks the device, checks the data.
    ///
    /// # Errors
    ///
    /// Whatever stops the run before it starts, with path or key, cause and remedy.
    pub fn open(&self) -> anyhow::Result<Context> {
        let ranks = RankArguments::default().ranks()?;
        let [device] = self.device.as_slice() else {
            bail!(
                "--device {}: this step uses one device; a list is for pretrain, tune_attention, \
                 cluster, finetune and pipeline",
                self.device.join(",")
            )
        };
        self.open_heeding(ranks, device)
    }

    fn with_devices(
        &self,
        names: &[String],
        work: impl Fn(&Context) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        self.limit_threads()?;
        let devices = Devices::open(names)?;
        let stop = StopRequest::default();
        devices.each(|ranks, device| {
            let mut context = self.open_on(ranks, device.clone())?;
            context.stop = stop.clone();
            if context.speaks() {
                listen(&stop)?;
            }
            work(&context)
        })
    }

    /// Opens the run of this process, which from then on heeds signals.
    fn open_heeding(&self, ranks: Arc<dyn Ranks>, device: &str) -> anyhow::Result<Context> {
        self.limit_threads()?;
        let device = pick_device(&device_of_rank(device))?;
        let context = self.open_on(ranks, device)?;
        listen(&context.stop)?;
        Ok(context)
    }

    fn limit_threads(&self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            anyhow::ensure!(threads > 0, "--threads 0: at least one thread is needed");
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()?;
        }
        Ok(())
    }

    fn open_on(&self, ranks: Arc<dyn Ranks>, device: Device) -> anyhow::Result<Context> {
        let root = self.run_dir();
        let file = self.run_file(&root)?;
        let verbosity = if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Auto
        };
        Context::open_of_ranks(&root, file, device, verbosity, ranks)
            .with_context(|| format!("the run in {} cannot start", root.display()))
    }

    fn run_dir(&self) -> PathBuf {
        if let Some(run) = &self.run {
            return run.clone();
        }
        let data = self.data.as_deref().or(self.images.as_deref());
        let name = data
            .and_then(Path::file_name)
            .map_or("synthetic".into(), |name| name.to_owned());
        Path::new("runs").join(name)
    }

    fn run_file(&self, root: &Path) -> anyhow::Result<RunFile> {
        let mut file = match &self.config {
            Some(path) => RunFile::read(path, &self.settings)?,
            None => self.implied_run_file(root)?,
        };
        if let Some(path) = &self.data {
            file.data.source = Source::Layout {
                path: absolute(path)?,
            };
        }
        if let (Some(path), Some(classes)) = (&self.images, self.classes) {
            file.data.source = Source::Pictures {
                path: absolute(path)?,
                classes,
            };
        }
        if let Some(seed) = self.seed {
            file.seed = seed;
        }
        if let Some(threads) = self.threads {
            file.data.workers = threads;
        }
        Ok(file)
    }

    fn implied_run_file(&self, root: &Path) -> anyhow::Result<RunFile> {
        let stored = root.join("run.toml");
        let named = self.data.is_some() || self.images.is_some();
        Ok(if !named && self.run.is_some() && stored.exists() {
            match self.settings.as_slice() {
                [] => RunDir::stored(root)?.expect("just seen"),
                settings => RunFile::read(&stored, settings)?,
            }
        } else if named {
            RunFile::parse(SMALL, "small.toml (embedded)", &self.settings)?
        } else {
            RunFile::parse(SYNTHETIC, "synthetic.toml (embedded)", &self.settings)?
        })
    }
}

/// Run files keep absolute paths: a run may be continued from another folder.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    let found = path
        .canonicalize()
        .with_context(|| format!("{shown}: no such folder; check the path of the pictures"))?;
    anyhow::ensure!(
        found.is_dir(),
        "{shown}: this is a file; give the folder that holds the pictures"
    );
    Ok(found)
}
