//! What a checkpoint holds: network with its buffers, optimiser state, memory, and where the loop
//! stands. Everything random is keyed by (seed, epoch, picture), so the number of finished iterations
//! is the position in the data, in the schedule and in every random stream.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use burn::{
    optim::GradientsParams,
    tensor::{Bytes, DType, TensorData},
};
use pass_model::{
    checkpoint::{load_module, save_module},
    group::Group,
    optim::{NetworkOptimizer, OptimConfig, Rates},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{Error, health::Counters, loss_scale::LossScale, training::Task};

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

/// A task and the optimiser of its network: all that the next iterations depend on, beside where the
/// loop stands.
pub(crate) struct Learner<T> {
    pub(crate) task: T,
    optimizer: NetworkOptimizer,
}

impl<T: Task> Learner<T> {
    /// A task from its start.
    pub(crate) fn new(task: T, config: &OptimConfig) -> Self {
        let optimizer = config.init(&task.parameter_groups());
        Self { task, optimizer }
    }

    /// One step of the optimiser.
    pub(crate) fn update(&mut self, rates: Rates, gradients: GradientsParams) {
        let net = self.task.net().clone();
        *self.task.net_mut() = self.optimizer.step(rates, net, gradients);
    }

    /// The same at a learning rate, with the published decay.
    #[cfg(test)]
    pub(crate) fn update_at(&mut self, lr: f64, gradients: GradientsParams) {
        let rates = Rates {
            lr,
            base_lr: lr,
            weight_decay: OptimConfig::default().weight_decay,
        };
        self.update(rates, gradients);
    }

    /// What the memories of all ranks hold: any number of ranks can go on from it. Collective.
    pub(crate) fn memory(&mut self, ranks: &Group) -> MemoryTensors {
        let memory = self.task.memory();
        memory.map_or_else(MemoryTensors::new, |memory| memory.save(ranks))
    }

    /// Rows of its memory, where it has any.
    pub(crate) fn memory_rows(&mut self) -> Option<usize> {
        let rows = self.task.memory().map(|memory| memory.rows());
        rows.filter(|&rows| rows > 0)
    }

    /// Writes network, optimiser and memory into a checkpoint's folder.
    pub(crate) fn save(&self, dir: &Path, memory: &MemoryTensors) -> Result<(), Error> {
        save_module(self.task.net(), &dir.join("net.safetensors"))?;
        let place = dir.join("optimizer.bpk");
        let saved = self.optimizer.save(&place);
        saved.map_err(|cause| damaged(&place, cause))?;
        if memory.is_empty() {
            return Ok(());
        }
        write_tensors(&dir.join(MEMORY), memory)
    }

    /// Takes up what [`Self::save`] wrote. Collective.
    pub(crate) fn restore(&mut self, dir: &Path, ranks: &Group) -> Result<(), Error> {
        load_module(self.task.net_mut(), &dir.join("net.safetensors"))?;
        let place = dir.join("optimizer.bpk");
        self.optimizer.load(self.task.net(), &place)?;
        let Some(memory) = self.task.memory() else {
            return Ok(());
        };
        let places = [MEMORY, FORMER_MEMORY].map(|name| dir.join(name));
        let place = places.iter().find(|place| place.exists());
        let saved = match place {
            Some(place) => read_tensors(place)?,
            None => MemoryTensors::new(),
        };
        memory
            .restore(&saved, ranks)
            .map_err(|cause| damaged(place.unwrap_or(&places[0]), cause))
    }
}

/// What memories hold, by name.
pub(crate) type MemoryTensors = BTreeMap<String, TensorData>;

const MEMORY: &str = "memory.safetensors";
/// Its name in checkpoints of earlier versions.
const FORMER_MEMORY: &str = "queue.safetensors";

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

/// The kinds of number that a memory consists of.
fn dtype(kind: DType) -> Dtype {
    match kind {
        DType::F32 => Dtype::F32,
        DType::I64 => Dtype::I64,
        other => panic!("a memory holds f32 and i64, not {other:?}"),
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
