//! Whole training steps of `tests/oracle/make_steps.py`, and what a test does with them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{collections::BTreeMap, path::PathBuf};

use burn::{
    module::{Module, ModuleMapper, Param},
    store::{BurnToPyTorchAdapter, ModuleSnapshot, bridge},
    tensor::{Device, Gradients, Int, Tensor, TensorData},
};
use ndarray::ArrayD;
use pass_model::{
    backbone::ResNetConfig,
    loss::LossValues,
    pretrain_net::{NetworkConfig, PretrainNetConfig},
    queue::Queue,
};

/// Stages that D2S supervises in the fixtures.
pub(crate) const SHALLOW: [usize; 2] = [3, 2];
/// Pictures of a batch.
pub(crate) const PICTURES: usize = 4;
/// Updates of each fixture, and iterations of their schedule.
pub(crate) const UPDATES: u64 = 3;
pub(crate) const ITERATIONS: u64 = 5;

/// Loss terms are near 5, and float32 rounds the scores that τ = 0.1 and ε = 0.05 divide to 1e-6.
pub(crate) const LOSS: f64 = 1e-5;
/// Gradients pass a dozen norms, of which some see eight values; no kink is near (`MARGIN` there).
pub(crate) const GRADIENT: f64 = 1e-3;
/// Later updates start from weights that differ by the rounding of earlier gradients.
const LATER_LOSS: f64 = 1e-4;
/// Gradients below this share of the largest of all are rounding: a bias before a norm has none.
const VANISHING: f64 = 1e-6;
/// An addition below this is none at all.
const NOTHING: f64 = 1e-290;
/// Weights after three updates, each of about 1e-3 of them.
const WEIGHT: f64 = 1e-4;
/// What three updates add: the errors of the later gradients add up.
const MOVED: f64 = 1e-2;
/// Moving statistics at a rate of 0.6; a mean also follows the bias before its norm.
const STATISTIC: f64 = 1e-3;
/// A bias before a norm has no gradient. LARS scales what rounding leaves of it to a step of 1e-3
/// times the rate; with momentum three of them come to 3.4e-3 at a rate of 0.6.
const ADRIFT: f64 = 4e-3;

/// The network of the fixtures.
pub(crate) fn config() -> PretrainNetConfig {
    PretrainNetConfig {
        network: NetworkConfig {
            backbone: ResNetConfig {
                width: 3,
                ..ResNetConfig::resnet18()
            }
            .into(),
            hidden: 10,
            feature_dim: 6,
            prototypes: 7,
        },
        shallow: SHALLOW.to_vec(),
        ..Default::default()
    }
}

pub(crate) fn place(name: &str) -> PathBuf {
    // Also compiled into the tests of the crate next door.
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/../pass-model/tests/fixtures");
    PathBuf::from(crates).join(name)
}

/// All arrays of an `.npz` file.
pub(crate) struct Fixture(BTreeMap<String, ArrayD<f64>>);

impl Fixture {
    pub(crate) fn open(name: &str) -> Self {
        let mut arrays = golden::Arrays::open(&place(name));
        let names = arrays.names().into_iter();
        Self(
            names
                .map(|name| (name.clone(), arrays.numbers(&name)))
                .collect(),
        )
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0[name].sum()
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(data(&self.0[name], 1.0), device)
    }

    pub(crate) fn labels(&self, device: &Device) -> Tensor<3, Int> {
        let array = &self.0["labels"];
        let values: Vec<i32> = array.iter().map(|&v| v as i32).collect();
        Tensor::from_data(TensorData::new(values, array.shape().to_vec()), device)
    }

    /// Crops, normalised with the constants of the pre-training.
    pub(crate) fn pictures(&self, name: &str, device: &Device) -> Tensor<4> {
        let per_channel =
            |values: [f32; 3]| Tensor::<1>::from_floats(values, device).reshape([1, 3, 1, 1]);
        let crops = self.tensor::<4>(name, device) / 255.0;
        (crops - per_channel([0.485, 0.456, 0.406])) / per_channel([0.228, 0.224, 0.225])
    }

    pub(crate) fn grids(&self, device: &Device) -> Tensor<3> {
        self.tensor::<4>("grids", device)
            .reshape([2 * PICTURES, 49, 2])
    }

    /// The queue, full.
    pub(crate) fn queue(&self, device: &Device) -> Queue {
        let [_, length, dim] = self.tensor::<3>("queue", device).dims();
        let mut queue = Queue::new(length, PICTURES, dim, device);
        let rows = self.tensor::<3>("queue", device).split(1, 0);
        let crops = rows.into_iter().enumerate().map(|(crop, rows)| {
            let rows = rows.reshape([length, dim]).into_data();
            (format!("embeddings.{crop}"), rows)
        });
        let filled = TensorData::from([length as i64; 2]);
        let tensors = crops.chain([("rows_filled".to_owned(), filled)]).collect();
        queue.restore(&tensors).unwrap();
        queue
    }

    /// Tensors of a group by key; shares of a largest magnitude become numbers.
    pub(crate) fn group(&self, group: &str) -> BTreeMap<String, TensorData> {
        let keys = self.0.keys().filter_map(|name| {
            let key = name.strip_prefix(group)?.strip_prefix('/')?;
            (!key.ends_with("/scale")).then_some((name, key))
        });
        keys.map(|(name, key)| {
            let scale = self.0.get(&format!("{name}/scale"));
            let scale = scale.map_or(1.0, |scale| scale.sum());
            (key.to_owned(), data(&self.0[name], scale))
        })
        .collect()
    }

    /// Compares the loss terms of an update.
    #[track_caller]
    pub(crate) fn check_losses(&self, update: u64, terms: &[(&str, f64)]) {
        let tolerance = if update == 0 { LOSS } else { LATER_LOSS };
        let mut most: f64 = 0.0;
        let wrong = terms.iter().filter_map(|(name, actual)| {
            let expected = self.number(&format!("loss{update}/{name}"));
            let error = (actual - expected).abs() / expected.abs().max(least(update));
            most = most.max(error);
            let agrees = error < tolerance; // false for NaN
            (!agrees).then(|| format!("{name}: {actual} not {expected}, {error:.1e}"))
        });
        let wrong: Vec<_> = wrong.collect();
        println!("update {update}: loss terms off by {most:.1e} at most");
        assert!(wrong.is_empty(), "update {update}: {wrong:#?}");
    }
}

/// Terms below this are compared with this: a mean of cosines of later updates may be nearly zero.
fn least(update: u64) -> f64 {
    if update == 0 { 0.0 } else { 1.0 }
}

fn data(array: &ArrayD<f64>, scale: f64) -> TensorData {
    let values: Vec<f32> = array.iter().map(|&v| (v * scale) as f32).collect();
    TensorData::new(values, array.shape().to_vec())
}

/// Names and values of the terms, as the oracle calls them.
pub(crate) fn named(values: &LossValues) -> Vec<(&'static str, f64)> {
    let mut terms = vec![("total", values.total), ("swapped", values.image)];
    let d2s = |stage| ["d2s_0", "d2s_1", "d2s_2", "d2s_3"][stage];
    terms.extend(
        values
            .d2s
            .iter()
            .map(|(&stage, &value)| (d2s(stage), value)),
    );
    terms.extend(values.p2p.map(|value| ("p2p", value)));
    terms.extend(values.consistency.map(|value| ("consistency", value)));
    terms
}

/// Tensors of a module under the oracle's keys.
pub(crate) fn by_key<M: Module>(
    module: &M,
    key_of: impl Fn(&str) -> String,
) -> BTreeMap<String, TensorData> {
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let entry = |tensor: &_| bridge::to_data(tensor).unwrap();
    tensors
        .iter()
        .map(|tensor| (key_of(&tensor.name), entry(tensor)))
        .collect()
}

/// The module with the parameters of `values` that it has; no linear layer may be among them.
pub(crate) fn filled<M: Module>(
    mut module: M,
    key_of: impl Fn(&str) -> String,
    values: &BTreeMap<String, TensorData>,
) -> M {
    let torch = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let own = module.collect(None, None, true);
    let tensors = torch.iter().zip(own).filter_map(|(torch, own)| {
        let value = values.get(&key_of(&torch.name))?;
        Some(bridge::from_data(value.clone(), own.name, None))
    });
    let tensors: Vec<_> = tensors.collect();
    assert_eq!(tensors.len(), values.len(), "every value has a place");
    assert!(module.apply(tensors, None, None, true).errors.is_empty());
    module
}

/// The module with each parameter's gradient in its place; zero where there is none.
pub(crate) fn gradients_of<M: Module>(module: &M, gradients: &Gradients) -> M {
    struct Replace<'a>(&'a Gradients);
    impl ModuleMapper for Replace<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let value = param.val();
            let gradient = value
                .grad(self.0)
                .unwrap_or_else(|| value.inner().zeros_like());
            Param::initialized(param.id, gradient)
        }
    }
    module.clone().map(&mut Replace(gradients))
}

/// Every gradient of the fixture, relative to the largest of its tensor.
#[track_caller]
pub(crate) fn check_gradients(
    actual: &BTreeMap<String, TensorData>,
    expected: &BTreeMap<String, TensorData>,
) {
    let floor = VANISHING * expected.values().map(largest).fold(0.0, f64::max);
    let mut most: f64 = 0.0;
    let wrong = expected.iter().filter_map(|(key, expected)| {
        let error = difference(&actual[key], expected);
        if largest(expected) > floor {
            most = most.max(error / largest(expected));
        }
        let agrees = error < GRADIENT * largest(expected) + floor; // false for NaN
        (!agrees).then(|| {
            let relative = error / largest(expected);
            let size = largest(&actual[key]);
            format!("{key}: {relative:.1e}, largest {size:.1e}")
        })
    });
    let wrong: Vec<_> = wrong.collect();
    println!("gradients off by {most:.1e} at most");
    assert!(expected.len() > 2 && wrong.is_empty(), "{wrong:#?}");
}

/// Every parameter and moving statistic after the updates; `rate` is the highest one.
#[track_caller]
pub(crate) fn check_moved(
    fixture: &Fixture,
    rate: f64,
    before: &BTreeMap<String, TensorData>,
    after: &BTreeMap<String, TensorData>,
) {
    let (gradients, moved) = (fixture.group("grad"), fixture.group("moved"));
    let floor = VANISHING * gradients.values().map(largest).fold(0.0, f64::max);
    let (mut wrong, mut most) = (Vec::new(), 0.0f64);
    // An oracle may keep heads that a later network drops.
    let shared = moved.iter().filter(|(key, _)| before.contains_key(*key));
    for (key, moved) in shared {
        let [error, size, way] = way(&before[key], &after[key], moved);
        let adrift = gradients.get(key).is_some_and(|g| largest(g) < floor);
        let allowed = if adrift {
            ADRIFT * size * rate / 0.6
        } else if way < NOTHING {
            0.0
        } else if key.contains(".running_") {
            STATISTIC * size * (rate / 0.6).max(1.0)
        } else {
            most = most.max(error / size);
            // float32 keeps 6e-8 of a number, and so of what is added to it, each time.
            (WEIGHT * size).min(MOVED * way + 3e-7 * size)
        };
        let agrees = error <= allowed; // false for NaN
        if !agrees {
            let (of_all, of_way) = (error / size, error / way);
            wrong.push(format!(
                "{key}: {of_all:.1e} of it, {of_way:.1e} of its way"
            ));
        }
    }
    println!("weights after the updates off by {most:.1e} at most");
    assert!(moved.len() > 2 && wrong.is_empty(), "{wrong:#?}");
}

/// Largest error of what was added, largest number, and largest addition that was expected.
fn way(before: &TensorData, after: &TensorData, moved: &TensorData) -> [f64; 3] {
    let added = numbers(after).into_iter().zip(numbers(before));
    let added: Vec<f64> = added.map(|(after, before)| after - before).collect();
    let error = furthest(added.into_iter().zip(numbers(moved)));
    [error, largest(after), largest(moved)]
}

fn largest(data: &TensorData) -> f64 {
    numbers(data).into_iter().fold(0.0, |a, b| a.max(b.abs()))
}

fn difference(a: &TensorData, b: &TensorData) -> f64 {
    assert_eq!(a.shape(), b.shape());
    furthest(numbers(a).into_iter().zip(numbers(b)))
}

fn furthest(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    pairs.into_iter().fold(0.0, |largest: f64, (a, b)| {
        let error = (a - b).abs();
        if error.is_nan() {
            error
        } else {
            largest.max(error)
        }
    })
}

fn numbers(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}
