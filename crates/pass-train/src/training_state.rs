//! What a checkpoint holds: network with its buffers, optimiser state, queue, and where the loop
//! stands. Everything random is keyed by (seed, epoch, picture), so the number of finished iterations
//! is the position in the data, in the schedule and in every random stream.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use burn::{
    module::Module,
    optim::ModuleOptimizer,
    tensor::{Bytes, DType, TensorData},
};
use pass_model::{
    checkpoint::{load_module, save_module},
    optim::load_optimizer,
    queue::Queue,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use serde::{Deserialize, Serialize};

use crate::{Error, health::Counters, loss_scale::LossScale};

/// Where the loop stands after some iterations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoopState {
    /// Finished iterations.
    pub(crate) iterations: usize,
    /// Loss terms since the last line of the log.
    pub(crate) since_line: Means,
    /// Loss terms since the beginning of the epoch.
    pub(crate) since_epoch: Means,
    /// What the health watch remembers.
    pub(crate) health: Counters,
    /// Of a training in float16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_scale: Option<LossScale>,
}

const LOOP: &str = "loop.json";

impl LoopState {
    /// Writes it into a checkpoint's folder.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(LOOP);
        let text = serde_json::to_string(self).expect("plain data");
        fs::write(&path, text + "\n").map_err(Error::io(&path, "write"))
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn restore(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOOP);
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        serde_json::from_str(&text).map_err(|cause| damaged(&path, cause))
    }
}

/// Means of named numbers over some iterations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Means {
    count: u64,
    /// Sums by name, in order; their bits, since JSON's decimals need not be read back to the bit.
    sums: Vec<(Cow<'static, str>, u64)>,
}

impl Means {
    /// Counts one iteration, or one part of it; all have the same names.
    pub(crate) fn add(&mut self, terms: &[(Cow<'static, str>, f64)]) {
        if self.sums.is_empty() {
            let zeros = terms
                .iter()
                .map(|(name, _)| (name.clone(), 0.0f64.to_bits()));
            self.sums = zeros.collect();
        }
        for ((_, sum), (_, value)) in self.sums.iter_mut().zip(terms) {
            *sum = (f64::from_bits(*sum) + value).to_bits();
        }
        self.count += 1;
    }

    /// The means so far, after which all begins anew.
    pub(crate) fn take(&mut self) -> Vec<(Cow<'static, str>, f64)> {
        let Self { count, sums } = std::mem::take(self);
        let mean = |sum: u64| f64::from_bits(sum) / count as f64;
        sums.into_iter()
            .map(|(name, sum)| (name, mean(sum)))
            .collect()
    }
}

/// Writes network, optimiser and queue into a checkpoint's folder.
pub(crate) fn save_training<M: Module>(
    dir: &Path,
    net: &M,
    optimizer: &ModuleOptimizer,
    queue: Option<&Queue>,
) -> Result<(), Error> {
    save_module(net, &dir.join("net.safetensors"))?;
    let place = dir.join("optimizer.bpk");
    optimizer
        .save(&place)
        .map_err(|cause| damaged(&place, cause))?;
    match queue {
        Some(queue) => write_tensors(&dir.join("queue.safetensors"), &queue.to_tensors()),
        None => Ok(()),
    }
}

/// Takes up network and optimiser as [`save_training`] wrote them.
pub(crate) fn restore_training<M: Module>(
    dir: &Path,
    net: &mut M,
    optimizer: &mut ModuleOptimizer,
) -> Result<(), Error> {
    load_module(net, &dir.join("net.safetensors"))?;
    let place = dir.join("optimizer.bpk");
    *optimizer = load_optimizer(optimizer.clone(), net, &place)?;
    Ok(())
}

/// Takes up the queue as [`save_training`] wrote it; `fresh` is one of its size. Nothing where no
/// queue had begun.
pub(crate) fn restore_queue(dir: &Path, fresh: Option<Queue>) -> Result<Option<Queue>, Error> {
    let place = dir.join("queue.safetensors");
    match fresh {
        Some(mut queue) if place.exists() => {
            queue
                .restore(&read_tensors(&place)?)
                .map_err(|cause| damaged(&place, cause))?;
            Ok(Some(queue))
        }
        _ => Ok(None),
    }
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, TensorData>) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(dtype(data.dtype()), data.shape().to_vec(), data.as_bytes());
        (name.clone(), view.expect("a tensor's bytes fit its shape"))
    });
    let bytes = safetensors::serialize(views, None).map_err(|cause| damaged(path, cause))?;
    fs::write(path, bytes).map_err(Error::io(path, "write"))
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorData>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|cause| damaged(path, cause))?;
    file.iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::I64 => DType::I64,
                other => return Err(damaged(path, format!("`{name}` is of type {other:?}"))),
            };
            let bytes = Bytes::from_bytes_vec(view.data().to_vec());
            Ok((
                name.to_string(),
                TensorData::from_bytes(bytes, view.shape().to_vec(), kind),
            ))
        })
        .collect()
}

/// The kinds of number that a queue consists of.
fn dtype(kind: DType) -> Dtype {
    match kind {
        DType::F32 => Dtype::F32,
        DType::I64 => Dtype::I64,
        other => panic!("a queue holds f32 and i64, not {other:?}"),
    }
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Damaged {
        path: path.into(),
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_loop_state_is_read_back_to_the_bit() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = LoopState {
            iterations: 7,
            ..LoopState::default()
        };
        for third in [1.0 / 3.0, f64::MIN_POSITIVE / 3.0, f64::NAN] {
            state.since_line.add(&[("total".into(), third)]);
            state.save(dir.path()).unwrap();
            assert_eq!(LoopState::restore(dir.path()).unwrap(), state);
        }
    }

    #[test]
    fn means_are_over_what_was_added_since_they_were_taken() {
        let mut means = Means::default();
        for value in [1.0, 4.0] {
            means.add(&[("a".into(), value), ("b".into(), 2.0 * value)]);
        }
        assert_eq!(means.take(), [("a".into(), 2.5), ("b".into(), 5.0)]);
        assert!(means.take().is_empty());
    }
}
