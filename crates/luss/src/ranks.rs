//! Whether this process trains alone or together with others that `mpirun` has started.

use std::env;

use anyhow::bail;
use clap::Args;
use pass_model::group::Group;

/// Training by several processes or devices.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct RankArguments {
    /// Train together with the other processes that mpirun has started.
    ///
    /// Each works on its share of every batch; the run directory and the images must be the same for all
    /// (docs/DISTRIBUTED.md). The program must have been built with --features mpi.
    #[arg(long, help_heading = "Machine")]
    pub(crate) mpi: bool,
}

/// Processes of this job by the variables of Open MPI and of the launchers that speak PMI.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

impl RankArguments {
    /// The processes of this training, as the command line asks for them.
    ///
    /// # Errors
    ///
    /// If MPI is asked for and not built in or cannot start, or if several processes were started
    /// without asking for it: each would do the whole work, on the same files.
    pub(crate) fn ranks(self) -> anyhow::Result<Group> {
        if self.mpi {
            return mpi::start();
        }
        let started = SIZES
            .iter()
            .filter_map(|name| env::var(name).ok()?.parse().ok());
        match started.max().unwrap_or(1) {
            0 | 1 => Ok(Group::default()),
            count => bail!(
                "{count} processes of this were started at once, and each would do the whole work: \
                 let `luss run`, or the steps pretrain, tune_attention, cluster and finetune, work \
                 together by --mpi, and start everything else without mpirun"
            ),
        }
    }
}

/// `cuda` means the GPU of this process's place on its machine; other names mean what they say.
pub(crate) fn device_of_rank(name: &str) -> String {
    match (name, mpi::local_rank()) {
        ("cuda", Some(index)) => format!("cuda:{index}"),
        _ => name.to_owned(),
    }
}

/// What precedes the messages of this process, where there are several.
pub(crate) fn signature() -> String {
    mpi::rank().map_or(String::new(), |rank| format!("rank {rank}: "))
}

pub(crate) use mpi::{abort, finish};

#[cfg(feature = "mpi")]
mod mpi {
    use super::*;
    use anyhow::Context as _;
    use pass_model::group::Communicator;
    use pass_ranks::MpiRanks;
    use std::sync::OnceLock;

    static STARTED: OnceLock<MpiRanks> = OnceLock::new();

    pub(super) fn start() -> anyhow::Result<Group> {
        let ranks = MpiRanks::start().context("--mpi: MPI cannot start")?;
        Ok(Group::new(STARTED.get_or_init(|| ranks).clone()))
    }

    pub(super) fn local_rank() -> Option<usize> {
        STARTED.get().map(MpiRanks::local_rank)
    }

    pub(super) fn rank() -> Option<usize> {
        STARTED
            .get()
            .filter(|ranks| ranks.size() > 1)
            .map(Communicator::rank)
    }

    /// Leaves the other processes in peace; waits until they have come to their end too.
    pub(crate) fn finish() {
        if let Some(ranks) = STARTED.get() {
            ranks.finish();
        }
    }

    /// Ends the other processes, which would wait for this one.
    pub(crate) fn abort() {
        if let Some(ranks) = STARTED.get() {
            ranks.abort();
        }
    }
}

#[cfg(not(feature = "mpi"))]
mod mpi {
    use super::*;

    pub(super) fn start() -> anyhow::Result<Group> {
        bail!("--mpi: this program was built without it; build with --features mpi")
    }

    pub(super) fn local_rank() -> Option<usize> {
        None
    }

    pub(super) fn rank() -> Option<usize> {
        None
    }

    pub(crate) fn finish() {}

    pub(crate) fn abort() {}
}
