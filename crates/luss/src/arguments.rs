//! The command line that a run and every step of it understand.

use std::{
    env,
    ffi::{OsStr, OsString},
    num::NonZero,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread::available_parallelism,
    time::SystemTime,
};

use anyhow::{Context as _, anyhow, bail};
use burn::tensor::Device;
use clap::Args;
use humantime::format_rfc3339_seconds;
use imagenet_s::{Split, terminal::tell};
use pass_model::{backbone::BackboneConfig, group::Group};
use pass_train::{
    Context, Error, RunDir, RunFile, Start, Step, StopRequest, Verbosity, quoted,
    run_file::{BadPictures, Source},
    step::objects::suggest::SUGGESTION,
};

use crate::{
    Classes, OrRefuse,
    numbers::threads,
    outcome::listen,
    pick_device,
    rank_threads::Devices,
    ranks::{RankArguments, device_of_rank},
};

/// The run file of the embedded dataset.
const SYNTHETIC: &str = include_str!("../../../examples/configs/synthetic.toml");

/// The run file for a folder of pictures on a CPU.
const SMALL: &str = include_str!("../../../examples/configs/small.toml");

/// The run file for a folder of pictures and a backbone with published weights.
const PRETRAINED: &str = include_str!("../../../examples/configs/pretrained.toml");

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

/// The command line of the steps that several processes or devices take together.
#[derive(Args, Clone, Debug)]
pub struct RankedArguments {
    #[command(flatten)]
    arguments: Arguments,

    #[command(flatten)]
    ranks: RankArguments,
}

impl RankedArguments {
    /// The same with a number of categories.
    pub(crate) fn with_classes(mut self, classes: u16) -> Self {
        self.arguments = self.arguments.with_classes(classes);
        self
    }

    /// [`Arguments::for_suggestion`], which one process does.
    pub(crate) fn for_suggestion(&self) -> Option<Arguments> {
        self.arguments.for_suggestion()
    }

    /// The same with another backbone than that of the run file.
    pub fn with_network(mut self, network: BackboneConfig) -> Self {
        self.arguments.network = Some(network);
        self
    }

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
        let processes = self.processes(devices).or_refuse()?;
        match devices {
            [device] => work(&self.arguments.open_heeding(processes, device).or_refuse()?),
            names => self.arguments.with_devices(names, work),
        }
    }

    fn processes(&self, devices: &[String]) -> anyhow::Result<Group> {
        anyhow::ensure!(
            !self.ranks.mpi || devices.len() == 1,
            "--device {} with --mpi: of several processes each uses one device; leave out one of the two",
            devices.join(",")
        );
        self.ranks.ranks()
    }

    /// Opens a run that an earlier step has begun, for a step that one process does alone.
    ///
    /// # Errors
    ///
    /// If several are asked for, and as [`Arguments::open_begun`].
    pub fn open_alone(&self) -> anyhow::Result<Context> {
        if self.ranks.mpi {
            return Err(anyhow!(
                "--mpi: one process does this step; start it without"
            ))
            .or_refuse();
        }
        self.arguments.open_begun()
    }

    /// [`RankedArguments::on_all_ranks`] of a step that needs what an earlier one left in the run.
    ///
    /// # Errors
    ///
    /// As [`Arguments::open_begun`], and as [`RankedArguments::on_all_ranks`].
    pub fn on_all_ranks_of_begun(
        &self,
        work: impl Fn(&Context) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        self.arguments.check_begun().or_refuse()?;
        self.on_all_ranks(work)
    }
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

    /// Opens a run that an earlier step has begun, for one that needs its result: a mistyped --run
    /// leaves nothing behind.
    ///
    /// # Errors
    ///
    /// If there is no run, and as [`Arguments::open`].
    pub fn open_begun(&self) -> anyhow::Result<Context> {
        self.one_device().or_refuse()?;
        self.check_begun().or_refuse()?;
        self.open()
    }

    fn check_begun(&self) -> anyhow::Result<()> {
        let root = self.run_dir();
        anyhow::ensure!(
            root.join("run.toml").is_file(),
            "no run at {}: this step needs what earlier ones left there; check --run, or begin with \
             `luss run` or `luss step pretrain` there",
            root.display()
        );
        Ok(())
    }

    /// Opens the run: reads the run file, picks the device, checks the data.
    ///
    /// # Errors
    ///
    /// Whatever stops the run before it starts, with path or key, cause and remedy.
    pub fn open(&self) -> anyhow::Result<Context> {
        let ranks = RankArguments::default().ranks().or_refuse()?;
        let device = self.one_device().or_refuse()?;
        self.open_heeding(ranks, device).or_refuse()
    }

    fn one_device(&self) -> anyhow::Result<&str> {
        let [device] = self.device.as_slice() else {
            bail!(
                "--device {}: this uses one device; a list is for `luss run` and the steps pretrain, \
                 tune_attention, cluster and finetune",
                self.device.join(",")
            )
        };
        Ok(device)
    }

    fn with_devices(
        &self,
        names: &[String],
        work: impl Fn(&Context) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        self.limit_threads().or_refuse()?;
        let devices = Devices::open(names).or_refuse()?;
        let stop = StopRequest::default();
        devices.each(|ranks, device| {
            let mut context = self.open_on(ranks, device.clone()).or_refuse()?;
            context.stop = stop.clone();
            if context.speaks() {
                listen(&stop)?;
            }
            work(&context)
        })
    }

    /// Opens the run of this process, which any signal ends at once.
    pub(crate) fn open_unheeding(&self) -> anyhow::Result<Context> {
        self.limit_threads()?;
        let device = pick_device(&device_of_rank(self.one_device()?))?;
        self.open_on(Group::default(), device)
    }

    /// Opens the run of this process, which from then on heeds signals.
    fn open_heeding(&self, ranks: Group, device: &str) -> anyhow::Result<Context> {
        self.limit_threads()?;
        let device = pick_device(&device_of_rank(device))?;
        let context = self.open_on(ranks, device)?;
        listen(&context.stop)?;
        Ok(context)
    }

    /// Once in a process, which may open several runs.
    fn limit_threads(&self) -> anyhow::Result<()> {
        static LIMITED: OnceLock<()> = OnceLock::new();
        let Some(asked) = self.threads.filter(|_| LIMITED.set(()).is_ok()) else {
            return Ok(());
        };
        let threads = asked.min(most_useful_threads());
        if threads < asked {
            tell(format_args!(
                "warning: --threads {asked}: {threads} compute, more would only wait for each other"
            ));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .with_context(|| format!("--threads {threads}: they cannot start; ask for fewer"))
    }

    fn open_on(&self, ranks: Group, device: Device) -> anyhow::Result<Context> {
        let root = self.run_dir();
        let file = self.run_file(&root)?;
        let verbosity = if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Auto
        };
        let rerun = self.rerun.as_deref().and_then(Step::from_name);
        if ranks.is_first() {
            self.tell_new_synthetic(&root, &file);
        }
        let context = Context::open_of_ranks(&root, file, device, verbosity, ranks, rerun)
            .map_err(with_command)
            .with_context(|| format!("the run in {} cannot start", root.display()))?;
        if context.speaks() {
            context.run.note_start(&self.start())?;
        }
        Ok(context)
    }

    /// Who mistypes --run does not want images of the program's own making.
    fn tell_new_synthetic(&self, root: &Path, file: &RunFile) {
        let drawn = matches!(file.data.source, Source::Synthetic(_)) && self.config.is_none();
        if drawn && self.run.is_some() && !root.join("run.toml").exists() {
            tell(format_args!(
                "no run at {}: begins one there, with images of its own making; give --images DIR --classes K \
                 or --data DIR for yours, and check --run if you meant one that has begun",
                root.display()
            ));
        }
    }

    fn start(&self) -> Start {
        let words = env::args_os().map(|word| quoted(Path::new(&word)));
        Start {
            time: format_rfc3339_seconds(SystemTime::now()).to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.device.join(","),
            command: words.collect::<Vec<_>>().join(" "),
        }
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

/// With hundreds of threads a core, those that look for work keep the others from it.
fn most_useful_threads() -> usize {
    4 * available_parallelism().map_or(4, NonZero::get)
}

/// Says what to type where a library can only say what to call.
fn with_command(error: Error) -> anyhow::Error {
    match error {
        Error::AnotherRun { ref path, .. } => {
            anyhow!("{error}\nto go on: {} --run {}", command(), quoted(path))
        }
        Error::Faults(ref faults) if faults.may_be_skipped => anyhow!(
            "{error}\nto leave them out and list them: {} --skip-broken",
            command_line()
        ),
        Error::Data(imagenet_s::Error::LoosePicture { path }) => anyhow!(
            "{}: this picture lies outside the class folders of --data; move it into one, or use \
             --images and --classes in place of --data, which need no classes",
            path.display()
        ),
        Error::Data(imagenet_s::Error::TreeNotFolder { path, train }) => anyhow!(
            "{}: this is the root of an ImageNet-S tree, whose masks would be taken for pictures; \
             use --data {} in place of --images, or --images {}",
            path.display(),
            quoted(&path),
            quoted(&train)
        ),
        other => other.into(),
    }
}

/// The words that named this program and its subcommand.
fn command() -> String {
    let words = env::args_os().enumerate();
    let words = words.take_while(|(place, word)| *place == 0 || !is_option(word));
    joined(words.map(|(_, word)| word))
}

/// All words that started this program.
fn command_line() -> String {
    joined(env::args_os())
}

fn joined(words: impl Iterator<Item = OsString>) -> String {
    let words: Vec<String> = words.map(|word| quoted(Path::new(&word))).collect();
    words.join(" ")
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
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
