//! Several devices of one process: a rank for each, in a thread of its own.

use std::{panic::resume_unwind, sync::Arc};

use anyhow::bail;
use burn::tensor::{Device, Tensor};
use pass_model::group::Group;
use pass_ranks::{Ending, ThreadRanks, Transport};
use pass_train::Error;

use crate::{
    device::{kind_and_index, reason, without_panic_messages},
    pick_device,
};

/// Several devices that can be used.
pub(crate) struct Devices {
    devices: Arc<[Device]>,
    transport: Transport,
}

impl Devices {
    /// The devices of these names. Where all are CUDA GPUs, each another one, tensors go from GPU to
    /// GPU; else through the memory of the host.
    ///
    /// # Errors
    ///
    /// As [`pick_device`], or if GPUs cannot reach each other.
    pub(crate) fn open(names: &[String]) -> anyhow::Result<Self> {
        let devices = names.iter().map(|name| pick_device(name));
        let devices: Arc<[Device]> = devices.collect::<Result<_, _>>()?;
        if !are_distinct_gpus(names) {
            let transport = Transport::Host;
            return Ok(Self { devices, transport });
        }
        let transport = Transport::Gpus(devices.clone());
        let this = Self { devices, transport };
        this.probe_sum(names)?;
        Ok(this)
    }

    /// Does `work` once on each device, as one of so many ranks.
    ///
    /// # Errors
    ///
    /// That of the lowest rank that failed by itself, as [`OfRank`]; the others end at their next
    /// meeting with it.
    ///
    /// # Panics
    ///
    /// As `work` does on any of them.
    pub(crate) fn each(
        &self,
        work: impl Fn(Group, &Device) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        joined(self.endings(work))
    }

    fn endings<T: Send>(&self, work: impl Fn(Group, &Device) -> T + Sync) -> Vec<Ending<T>> {
        let group = ThreadRanks::group(self.devices.len(), self.transport.clone());
        ThreadRanks::endings(group, |ranks| {
            let device = &self.devices[ranks.rank()];
            work(ranks, device)
        })
    }

    /// Adds up one number of each: a missing NCCL shows here, not in the middle of a run.
    fn probe_sum(&self, names: &[String]) -> anyhow::Result<()> {
        let names = names.join(",");
        let (sums, first) = without_panic_messages(|| {
            self.endings(|ranks, device| {
                let sum = ranks.sum_tensor(Tensor::ones([1], device));
                sum.into_scalar::<f32>()
            })
        });
        for sum in sums {
            match sum {
                Ending::Returned(sum) if sum == self.devices.len() as f32 => {}
                Ending::Returned(sum) => bail!("--device {names}: as many ones add up to {sum}"),
                Ending::Panicked(panic) => {
                    let reason = first.as_deref().unwrap_or_else(|| reason(&*panic));
                    bail!(
                        "--device {names}: these GPUs cannot reach each other (install NCCL, or start a \
                         process for each by --mpi): {reason}"
                    )
                }
                Ending::Forsaken => {}
            }
        }
        Ok(())
    }
}

/// Whether burn's collectives can join these devices.
fn are_distinct_gpus(names: &[String]) -> bool {
    let gpu = |name: &String| match kind_and_index(name) {
        Ok(("cuda", index)) => Some(index),
        _ => None,
    };
    let Some(mut indices) = names.iter().map(gpu).collect::<Option<Vec<_>>>() else {
        return false;
    };
    indices.sort_unstable();
    indices.windows(2).all(|pair| pair[0] != pair[1])
}

/// The end of all, made of the end of each: of the errors one that is not about another rank's.
fn joined(endings: Vec<Ending<anyhow::Result<()>>>) -> anyhow::Result<()> {
    let mut errors = Vec::new();
    for (rank, ending) in endings.into_iter().enumerate() {
        let error = match ending {
            Ending::Returned(Ok(())) => continue,
            Ending::Returned(Err(error)) => error,
            Ending::Panicked(panic) => resume_unwind(panic),
            Ending::Forsaken => Error::AnotherRank.into(),
        };
        errors.push(OfRank { rank, error });
    }
    let about_another = |of: &OfRank| matches!(of.error.downcast_ref(), Some(Error::AnotherRank));
    let first = errors.into_iter().min_by_key(about_another);
    first.map_or(Ok(()), |of| Err(of.into()))
}

/// What went wrong on one of several ranks.
#[derive(Debug, thiserror::Error)]
#[error("rank {rank}: {error}")]
pub(crate) struct OfRank {
    /// Its number.
    pub(crate) rank: usize,
    /// Its error.
    pub(crate) error: anyhow::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn tensors_go_from_gpu_to_gpu_where_each_rank_has_one_of_its_own() {
        for list in ["cuda:0,cuda:1", "cuda,cuda:3,cuda:2"] {
            assert!(are_distinct_gpus(&names(list)), "{list}");
        }
        for list in [
            "cpu,cpu",
            "cuda:0,cuda:0",
            "cuda,cuda:0",
            "cuda:0,cpu",
            "wgpu,cuda:1",
        ] {
            assert!(!are_distinct_gpus(&names(list)), "{list}");
        }
    }

    #[cfg(feature = "flex")]
    fn ended(work: impl Fn(&Group) -> anyhow::Result<()> + Sync) -> OfRank {
        let devices = Devices::open(&names("cpu,cpu,cpu")).unwrap();
        let outcome = devices.each(|ranks, _| work(&ranks));
        outcome.unwrap_err().downcast().unwrap()
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_error_of_a_rank_ends_the_others_and_is_the_one_that_is_told() {
        let ended = ended(|ranks| {
            anyhow::ensure!(ranks.rank() != 2, "the disk is full");
            ranks.barrier();
            Ok(())
        });
        assert_eq!(
            (ended.rank, ended.error.to_string()),
            (2, "the disk is full".into())
        );
    }

    #[test]
    #[cfg(feature = "flex")]
    fn of_errors_on_all_ranks_the_one_with_the_reason_is_told() {
        let ended = ended(|ranks| match ranks.rank() {
            1 => bail!("the reason"),
            _ => Err(Error::AnotherRank.into()),
        });
        assert_eq!(
            (ended.rank, ended.error.to_string()),
            (1, "the reason".into())
        );
    }

    #[test]
    #[cfg(feature = "flex")]
    #[should_panic = "a fault of rank 1"]
    fn a_panic_of_a_rank_is_one_of_all() {
        ended(|ranks| {
            assert!(ranks.rank() != 1, "a fault of rank 1");
            ranks.barrier();
            Ok(())
        });
    }
}
