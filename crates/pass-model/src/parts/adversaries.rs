//! The bank of AdCo: negatives that learn against the network (Hu et al. 2021,
//! <https://arxiv.org/abs/2011.08435>, §3.2).

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{
    group::Group,
    init::WeightStream,
    method::Memory,
    queue::{MemoryError, named},
};

const NAMES: [&str; 2] = ["bank.rows", "bank.velocity"];
const FILLED: &str = "bank.filled";

/// How the bank learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversariesConfig {
    /// Vectors of the bank, K.
    pub rows: usize,
    /// τ of the loss that it raises.
    pub temperature: f64,
    /// Its learning rate, which does not change.
    pub lr: f64,
    /// Its momentum.
    pub momentum: f64,
    /// Its weight decay.
    pub weight_decay: f64,
}

impl Default for AdversariesConfig {
    fn default() -> Self {
        Self {
            rows: 65_536,
            temperature: 0.02,
            lr: 3.0,
            momentum: 0.9,
            weight_decay: 1e-4,
        }
    }
}

/// Vectors of any length that move towards the queries. Every rank holds all of them.
///
/// The first batches fill it with their keys, and nothing moves until it is full.
#[derive(Clone, Debug)]
pub struct Adversaries {
    config: AdversariesConfig,
    rows: Tensor<2>,
    velocity: Tensor<2>,
    /// Rows that are keys.
    filled: usize,
    staged: Option<Staged>,
}

/// What an iteration does to the bank once the network has learned.
#[derive(Clone, Debug)]
enum Staged {
    Keys(Tensor<2>),
    Gradient(Tensor<2>),
}

impl Adversaries {
    /// Random rows of `dim` numbers from a standard normal.
    pub fn new(config: AdversariesConfig, dim: usize, seed: u64, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let shape = [config.rows, dim];
        Self {
            config,
            rows: (WeightStream::new(seed).normal(shape, 1.0, &device).val()).inner(),
            velocity: Tensor::zeros(shape, (&device, DType::F32)),
            filled: 0,
            staged: None,
        }
    }

    /// All rows, `[K, dim]`, of any length.
    pub fn vectors(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// Whether each row has been a key: before that the network learns against what is there.
    pub fn is_full(&self) -> bool {
        self.filled == self.config.rows
    }

    /// Keeps the keys of all ranks, `[batch, dim]`, for [`apply`](Self::apply), which writes them behind
    /// those that are there; what does not fit is dropped.
    pub fn stage_keys(&mut self, keys: Tensor<2>) {
        self.staged = Some(Staged::Keys(keys.inner()));
    }

    /// Keeps for [`apply`](Self::apply) the [`bank_gradient`](crate::loss::bank_gradient) of all ranks
    /// together, `[K, dim]`.
    pub fn stage_gradient(&mut self, gradient: Tensor<2>) {
        self.staged = Some(Staged::Gradient(gradient.inner()));
    }

    /// Does what was staged. A gradient `g` is ascended: `v ← μ·v - g + λ·W`, `W ← W - lr·v`.
    pub fn apply(&mut self) {
        match self.staged.take() {
            Some(Staged::Keys(keys)) => self.write(keys),
            Some(Staged::Gradient(gradient)) => self.ascend(gradient),
            None => {}
        }
    }

    fn write(&mut self, keys: Tensor<2>) {
        let [batch, dim] = keys.dims();
        let count = batch.min(self.config.rows - self.filled);
        let place = [self.filled..self.filled + count, 0..dim];
        let rows = self.rows.clone();
        self.rows = rows.slice_assign(place, keys.narrow(0, 0, count));
        self.filled += count;
    }

    fn ascend(&mut self, gradient: Tensor<2>) {
        let AdversariesConfig {
            lr,
            momentum,
            weight_decay,
            ..
        } = self.config;
        let decay = self.rows.clone() * weight_decay;
        self.velocity = self.velocity.clone() * momentum - gradient + decay;
        self.rows = self.rows.clone() - self.velocity.clone() * lr;
    }
}

impl Memory for Adversaries {
    fn save(&self, _group: &Group) -> BTreeMap<String, TensorData> {
        let [rows, velocity] = NAMES.map(String::from);
        BTreeMap::from([
            (rows, self.rows.to_data()),
            (velocity, self.velocity.to_data()),
            (FILLED.into(), TensorData::from([self.filled as i64])),
        ])
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        _group: &Group,
    ) -> Result<(), MemoryError> {
        let (shape, dtype) = (self.rows.dims(), self.rows.dtype());
        let [rows, velocity] = NAMES.map(|name| named(saved, name, &shape, dtype));
        let (rows, velocity) = (rows?, velocity?);
        let filled = named(saved, FILLED, &[1], DType::I64)?;
        let filled = filled.as_slice::<i64>().expect("the type was checked")[0];
        let length = self.config.rows;
        let valid = usize::try_from(filled).ok().filter(|rows| *rows <= length);
        self.filled = valid.ok_or(MemoryError::Filled { filled, length })?;
        let device = self.rows.device();
        self.rows = Tensor::from_data(rows.clone(), &device);
        self.velocity = Tensor::from_data(velocity.clone(), &device);
        self.staged = None;
        Ok(())
    }

    fn rows(&self) -> usize {
        self.config.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> Adversaries {
        let config = AdversariesConfig {
            rows: 3,
            ..Default::default()
        };
        Adversaries::new(config, 2, 5, &Device::default())
    }

    fn keys(first: f32) -> Tensor<2> {
        Tensor::from_floats([[first, 0.0], [first + 1.0, 0.0]], &Device::default())
    }

    fn numbers(rows: Tensor<2>) -> Vec<f32> {
        rows.try_into_vec_as().unwrap()
    }

    #[test]
    fn keys_fill_it_and_what_does_not_fit_is_dropped() {
        let mut bank = bank();
        for (first, full) in [(1.0, false), (5.0, true)] {
            bank.stage_keys(keys(first));
            bank.apply();
            assert_eq!(bank.is_full(), full);
        }
        assert_eq!(numbers(bank.vectors()), [1.0, 0.0, 2.0, 0.0, 5.0, 0.0]);
    }

    #[test]
    fn nothing_staged_moves_nothing() {
        let (mut bank, before) = (bank(), numbers(bank().vectors()));
        bank.apply();
        assert_eq!(numbers(bank.vectors()), before);
    }

    #[test]
    fn a_restored_bank_goes_on_as_the_saved_one() {
        let (mut saved, one) = (bank(), Group::default());
        saved.stage_gradient(saved.vectors() * 0.1);
        saved.apply();
        let mut other = Adversaries::new(saved.config, 2, 9, &Device::default());
        other.restore(&saved.save(&one), &one).unwrap();
        for bank in [&mut saved, &mut other] {
            bank.stage_gradient(bank.vectors() * 0.2);
            bank.apply();
        }
        assert_eq!(saved.save(&one), other.save(&one));
    }

    #[test]
    fn a_bank_of_another_size_is_refused() {
        let (config, one) = (
            AdversariesConfig {
                rows: 4,
                ..bank().config
            },
            Group::default(),
        );
        let mut other = Adversaries::new(config, 2, 5, &Device::default());
        let error = other
            .restore(&bank().save(&one), &one)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[3, 2]") && error.contains("[4, 2]"),
            "{error}"
        );
    }
}
