//! The command line of what several processes or devices do together.

use anyhow::{anyhow, ensure};
use clap::Args;
use pass_model::{backbone::BackboneConfig, group::Group};
use pass_train::Context;

use super::Arguments;
use crate::{OrRefuse, ranks::RankArguments};

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

    /// [`Arguments::for_suggestion`], which one process does on one device.
    ///
    /// # Errors
    ///
    /// If several are asked for.
    pub(crate) fn for_suggestion(&self) -> anyhow::Result<Option<Arguments>> {
        let found = self.arguments.for_suggestion();
        ensure!(
            found.is_none() || !self.ranks.mpi,
            "--classes auto with --mpi: one process finds the number; start once without --mpi, or give --classes a number"
        );
        let devices = self.arguments.device.as_slice();
        ensure!(
            found.is_none() || devices.len() == 1,
            "--classes auto with --device {}: one device finds the number; start with --device {} alone, or give --classes \
             a number",
            devices.join(","),
            devices[0]
        );
        Ok(found)
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
        ensure!(
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
