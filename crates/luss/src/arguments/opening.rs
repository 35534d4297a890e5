//! From a command line to an open run.

use std::{
    env, num::NonZero, path::Path, sync::OnceLock, thread::available_parallelism, time::SystemTime,
};

use anyhow::{Context as _, bail};
use burn::tensor::Device;
use humantime::format_rfc3339_seconds;
use imagenet_s::terminal::tell;
use pass_model::group::Group;
use pass_train::{Context, RunFile, Start, Step, StopRequest, Verbosity, quoted, run_file::Source};

use super::{Arguments, advice::with_command};
use crate::{
    OrRefuse,
    outcome::listen,
    pick_device,
    rank_threads::Devices,
    ranks::{RankArguments, device_of_rank},
};

impl Arguments {
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

    pub(super) fn check_begun(&self) -> anyhow::Result<()> {
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

    pub(super) fn with_devices(
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
    pub(super) fn open_heeding(&self, ranks: Group, device: &str) -> anyhow::Result<Context> {
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
}

/// With hundreds of threads a core, those that look for work keep the others from it.
fn most_useful_threads() -> usize {
    4 * available_parallelism().map_or(4, NonZero::get)
}
