//! The command line that a run and every step of it understand: [`Arguments`] and the run file that follows.

mod advice;
mod opening;
mod ranked;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use imagenet_s::Split;
use pass_model::backbone::BackboneConfig;
use pass_train::{
    RunDir, RunFile, quoted,
    run_file::{BadPictures, Source},
    step::objects::suggest::SUGGESTION,
};

use crate::{Classes, numbers::threads};

pub use ranked::RankedArguments;

/// The run file of the embedded dataset.
const SYNTHETIC: &str = include_str!("../../../../examples/configs/synthetic.toml");

/// The run file for a folder of pictures on a CPU.
const SMALL: &str = include_str!("../../../../examples/configs/small.toml");

/// The run file for a folder of pictures and a backbone with published weights.
const PRETRAINED: &str = include_str!("../../../../examples/configs/pretrained.toml");

/// What to run on, where, and with which settings.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Any folder of images without labels, flat or nested (JPEG, PNG, WebP, TIFF, BMP). They are
    /// turned as EXIF says, and transparent ones laid on white (docs/DATA.md has the settings).
    #[arg(
        long,
        value_name = "DIR",
        requires = "classes",
        help_heading = "Images"
    )]
    images: Option<PathBuf>,

    /// How many categories to discover in --images. With auto, `luss run --backbone` suggests a number.
    #[arg(
        long,
        value_name = "K|auto",
        requires = "images",
        help_heading = "Images"
    )]
    classes: Option<Classes>,

    /// Take only pictures of these names, e.g. --pattern '*.jpg' where masks lie beside them.
    #[arg(long, value_name = "PATTERN", help_heading = "Images")]
    pattern: Option<String>,

    /// Leave out training pictures that cannot be read, in all steps and in every later start: they
    /// are listed in done/check_data.json.
    #[arg(long, help_heading = "Images")]
    skip_broken: bool,

    /// A tree in the ImageNet-S layout: train/CLASS/*.JPEG, validation/…, validation-segmentation/…
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "images",
        help_heading = "Images"
    )]
    data: Option<PathBuf>,

    /// The run directory [default: runs/ and the name of the data].
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    run: Option<PathBuf>,

    /// Run file (TOML).
    ///
    /// Left out: the one stored in the run directory, else the embedded
    /// `pretrained.toml` with --data or --images and --backbone, `small.toml` with the former alone,
    /// else the embedded `synthetic.toml`.
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,

    /// One setting of the run file, e.g. --set pretrain.epochs=40; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Run")]
    settings: Vec<String>,

    /// Seed of every random stream of the run.
    #[arg(long, help_heading = "Run", value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,

    /// Let a changed setting run pretrain and all behind it again.
    ///
    /// Other steps need no leave: what depends on a changed setting runs again, and what comes before is kept.
    #[arg(long, value_name = "STEP", value_parser = ["pretrain"], help_heading = "Run")]
    rerun: Option<String>,

    /// Where tensors live: cpu, cuda, cuda:1, wgpu, or a list.
    ///
    /// The program must have been built with it. A list,
    /// as cuda:0,cuda:1, trains on all of them together, each with its share of every batch
    /// (whole runs, pretrain, tune_attention, cluster and finetune; docs/DISTRIBUTED.md). With --mpi,
    /// cuda gives each process of a machine its own GPU.
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "cpu",
        value_delimiter = ',',
        help_heading = "Machine"
    )]
    device: Vec<String>,

    /// Threads of the arithmetic and of the loader; the result does not depend on it.
    ///
    /// With several
    /// devices the arithmetic of all has so many, and the loader of each.
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "Machine")]
    threads: Option<usize>,

    /// Say only what starts, what ends and what fails.
    #[arg(long, help_heading = "Machine")]
    quiet: bool,

    /// The backbone in place of that of the run file.
    #[arg(skip)]
    network: Option<BackboneConfig>,
}

impl Arguments {
    /// The same with another backbone than that of the run file.
    pub fn with_network(mut self, network: BackboneConfig) -> Self {
        self.network = Some(network);
        self
    }

    /// The same with a number of categories.
    pub(crate) fn with_classes(mut self, classes: u16) -> Self {
        self.classes = Some(Classes::Number(classes));
        self
    }

    /// What opens the run in which a number of categories is found, if the command line leaves it open and
    /// the run has none yet.
    pub(crate) fn for_suggestion(&self) -> Option<Self> {
        let root = self.run_dir();
        let open = self.classes == Some(Classes::Auto) && !root.join("run.toml").exists();
        open.then(|| {
            let mut inner = self.clone().with_classes(2);
            inner.run = Some(root.join(SUGGESTION));
            inner
        })
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
            file.data.source = Source::Layout { path: tree(path)? };
        }
        if let (Some(path), Some(classes)) = (&self.images, self.classes) {
            file.data.source = Source::Pictures {
                path: absolute(path)?,
                classes: number_of(classes, root)?,
            };
        }
        if let Some(pattern) = &self.pattern {
            file.data.pattern = Some(pattern.clone());
        }
        if self.skip_broken {
            file.data.bad_pictures = BadPictures::Skip;
        }
        if let Some(network) = &self.network {
            file.network.backbone = network.clone();
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
        } else if named && self.network.is_some() {
            RunFile::parse(PRETRAINED, "pretrained.toml (embedded)", &self.settings)?
        } else if named {
            RunFile::parse(SMALL, "small.toml (embedded)", &self.settings)?
        } else {
            RunFile::parse(SYNTHETIC, "synthetic.toml (embedded)", &self.settings)?
        })
    }
}

/// The number that was asked for, or that the run has begun with.
fn number_of(classes: Classes, root: &Path) -> anyhow::Result<u16> {
    let stored = RunDir::stored(root)?.map(|file| file.data.source);
    match (classes, stored) {
        (Classes::Number(number), _) => Ok(number),
        (Classes::Auto, Some(Source::Pictures { classes, .. })) => Ok(classes),
        (Classes::Auto, _) => bail!(
            "--classes auto: there is no run at {} whose number could be taken; `luss run --backbone \
             NAME=FILE` suggests one, all else needs a number",
            root.display()
        ),
    }
}

/// The root of an ImageNet-S tree.
fn tree(path: &Path) -> anyhow::Result<PathBuf> {
    let root = absolute(path)?;
    let train = Split::Train.pictures(&root);
    anyhow::ensure!(
        train.is_dir(),
        "{}: folder is missing; give the root of an ImageNet-S tree with --data, or for a plain folder \
         of pictures use --images {} --classes K",
        train.display(),
        quoted(path)
    );
    Ok(root)
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
    anyhow::ensure!(
        found.to_str().is_some(),
        "{shown}: the name of this folder is no UTF-8, so no run.toml can hold it; rename it, or give a \
         link to it"
    );
    Ok(found)
}
