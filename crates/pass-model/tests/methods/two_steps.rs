//! Two steps of plain gradient descent, beside those of `../oracle/two_steps`.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    store::{BurnToPyTorchAdapter, ModuleSnapshot, bridge},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use pass_model::{
    backbone::{BackboneConfig, ResNetConfig},
    group::Group,
    import::import_module,
    method::{HeadOutput, Loss, Method, Position, ViewBatch},
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;

use crate::hashed::{uniform, values};

/// Pictures of a batch.
pub(crate) const PICTURES: usize = 4;
/// The numbers of pictures and of the directions that digests are made with.
const INPUTS: u64 = 1 << 20;
const PROBES: u64 = 1 << 21;

/// Of a loss, in the first step and in the second, whose weights carry the error of the first.
const LOSS: [f64; 2] = [1e-5, 1e-4];
/// Of the length of a gradient: it passes a dozen norms of as little as 16 values.
const GRADIENT: [f64; 2] = [1e-3, 5e-3];
/// Of the length of what both steps add to a tensor.
const MOVED: f64 = 2e-3;
/// Gradients and additions below this share of the longest are rounding.
const VANISHING: f64 = 1e-6;
/// float32 keeps this of a number that something is added to.
const ROUNDING: f64 = 2e-7;

/// The backbone of the oracles: two channels, 16 at the end.
pub(crate) fn backbone() -> BackboneConfig {
    let small = ResNetConfig::small();
    ResNetConfig { width: 2, ..small }.into()
}

/// The views of a step: crops of each resolution and their side.
pub(crate) type Views<'a> = &'a [(usize, usize)];

/// What an oracle wrote.
struct Oracle(BTreeMap<String, Value>);

impl Oracle {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/two_steps");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    fn number(&self, name: &str) -> f64 {
        let value = self.0.get(name).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{name} is absent"))
    }

    /// Numbers by the rest of their names, which start so.
    fn below(&self, start: &str) -> BTreeMap<String, Vec<f64>> {
        let entries = self.0.iter().filter_map(|(name, value)| {
            let numbers = value.as_array()?.iter().map(|it| it.as_f64().unwrap());
            Some((name.strip_prefix(start)?.to_owned(), numbers.collect()))
        });
        entries.collect()
    }
}

/// Length of a tensor, and its products with two directions.
fn digest(data: &TensorData) -> Vec<f64> {
    let values: Vec<f64> = data.iter::<f64>().collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let along = |probe: u64| {
        let values = values.iter().enumerate();
        let products = values.map(|(i, x)| x * (2.0 * uniform(PROBES + probe, i as u64) - 1.0));
        products.sum()
    };
    vec![length, along(0), along(1)]
}

/// Checks digests, each relative to its length.
#[track_caller]
fn check(
    what: &str,
    actual: &BTreeMap<String, TensorData>,
    expected: &BTreeMap<String, Vec<f64>>,
    tolerance: f64,
    least: impl Fn(&str) -> f64,
) {
    let longest = expected.values().map(|it| it[0]).fold(0.0, f64::max);
    let mut most = 0.0f64;
    let wrong = expected.iter().filter_map(|(key, expected)| {
        let found = digest(actual.get(key).unwrap_or_else(|| panic!("{what} of {key}")));
        let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let error = error.fold(0.0, f64::max);
        let allowed = tolerance * expected[0] + VANISHING * longest + least(key);
        most = most.max(error / allowed);
        let agrees = error <= allowed; // false for NaN
        (!agrees).then(|| format!("{key}: {found:?}, not {expected:?}"))
    });
    let wrong: Vec<_> = wrong.collect();
    println!("{what}: {most:.2} of what is allowed");
    assert!(
        !expected.is_empty() && wrong.is_empty(),
        "{what}: {wrong:#?}"
    );
}

/// Tensors of a module by path, with PyTorch's names and shapes.
pub(crate) fn tensors<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    let all = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let entry = |tensor: &_| bridge::to_data(tensor).unwrap();
    all.iter().map(|it| (it.name.clone(), entry(it))).collect()
}

/// Gives each tensor its hashed values.
pub(crate) fn fill<M: Module>(module: &mut M) {
    let shapes = tensors(module).into_iter().enumerate();
    let all: Vec<_> = shapes
        .map(|(number, (key, data))| {
            let shape = data.shape().to_vec();
            let values = values(number as u64, &key, &shape).into_iter();
            let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
            (key, shape, bytes)
        })
        .collect();
    let views = all.iter().map(|(key, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (key, view)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    import_module(module, &path, &str::to_owned, &|_| false).unwrap();
}

/// Where the crops of both views lie; one is mirrored.
fn frames(device: &Device) -> Tensor<2> {
    let frame = |crop: usize| {
        let [left, top] = [crop % PICTURES, 2 * (crop / PICTURES)].map(|it| 0.0625 * it as f32);
        match crop == PICTURES + 1 {
            true => [left + 0.625, top, left, top + 0.75],
            false => [left, top, left + 0.625, top + 0.75],
        }
    };
    let values: Vec<f32> = (0..2 * PICTURES).flat_map(frame).collect();
    Tensor::from_data(TensorData::new(values, [2 * PICTURES, 4]), device)
}

/// The pictures of a step.
pub(crate) fn batch(views: Views, start: u64, step: u64, device: &Device) -> ViewBatch {
    let group = |(index, &(crops, side)): (usize, &(usize, usize))| {
        let shape = [crops * PICTURES, 3, side, side];
        let number = INPUTS + start + 4 * step + index as u64;
        let count = shape.iter().product::<usize>() as u64;
        let values = (0..count).map(|i| (2.0 * uniform(number, i) - 1.0) as f32);
        Tensor::from_data(TensorData::new(values.collect(), shape), device)
    };
    ViewBatch {
        groups: views.iter().enumerate().map(group).collect(),
        crops: views.iter().map(|(crops, _)| *crops).collect(),
        frames: frames(device),
        overlap: None,
        pictures: (0..PICTURES).collect(),
        labels: (0..PICTURES).collect(),
        watched: true,
    }
}

/// The gradients by path; of what has none there is no entry.
struct OfGradients<'a>(&'a Gradients);

impl ModuleMapper for OfGradients<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = param.val();
        let gradient = match value.grad(self.0) {
            Some(gradient) => gradient,
            None => value.inner().zeros_like(),
        };
        Param::initialized(param.id, gradient)
    }
}

struct Descent<'a> {
    gradients: &'a Gradients,
    rate: f64,
    frozen: Vec<ParamId>,
}

impl ModuleMapper for Descent<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = param.val();
        match value.grad(self.gradients) {
            Some(gradient) if !self.frozen.contains(&param.id) => {
                let moved = value.clone().inner() - gradient * self.rate;
                let moved = Tensor::from_inner(moved).require_grad();
                Param::initialized(param.id, moved)
            }
            _ => param,
        }
    }
}

/// Where step `step` of four stands, each in an epoch of its own.
pub(crate) fn position(step: usize) -> Position {
    Position {
        epoch: step,
        iteration: step,
        iterations: 4,
        lr: 0.0,
    }
}

/// One step without its update; the loss and its gradients.
pub(crate) fn loss_of<M: Method>(
    method: &mut M,
    batch: ViewBatch,
    at: Position,
) -> (Loss, Gradients) {
    let group = Group::default();
    method.before_step(at, &group);
    let loss = method.loss(batch, &group);
    let gradients = loss.total.clone().backward();
    (loss, gradients)
}

/// The update of a step.
pub(crate) fn update<M: Method>(method: &mut M, gradients: &Gradients, rate: f64, at: Position) {
    let frozen = method.frozen(at);
    let mut descent = Descent {
        gradients,
        rate,
        frozen,
    };
    let moved = method.net().clone().map(&mut descent);
    *method.net_mut() = moved;
    method.after_update(at, &Group::default());
}

/// Compares two steps of a method, and gives it back as it is behind them.
#[track_caller]
pub(crate) fn agrees<M: Method>(name: &str, mut method: M, views: Views, device: &Device) -> M {
    let oracle = Oracle::open(name);
    let (start, rate) = (oracle.number("start") as u64, oracle.number("rate"));
    fill(method.net_mut());
    let before = tensors(method.net());
    for step in [0, 1] {
        let batch = batch(views, start, step as u64, device);
        let (loss, gradients) = loss_of(&mut method, batch, position(step));
        check_loss(&oracle, step, &loss);
        assert!(shows_collapse(&loss, method.chance().is_some()));
        let found = tensors(&method.net().clone().map(&mut OfGradients(&gradients)));
        let expected = oracle.below(&format!("gradient{step}/"));
        check(
            &format!("gradient {step}"),
            &found,
            &expected,
            GRADIENT[step],
            |_| 0.0,
        );
        let nothing = |key: &&String| !expected.contains_key(*key);
        for key in found.keys().filter(nothing) {
            assert_eq!(digest(&found[key])[0], 0.0, "{key} has a gradient");
        }
        update(&mut method, &gradients, rate, position(step));
    }
    let after = tensors(method.net());
    let moved = after
        .iter()
        .map(|(key, after)| (key.clone(), difference(after, &before[key])));
    let size = |key: &str| ROUNDING * oracle.number(&format!("size/{key}"));
    check(
        "moved",
        &moved.collect(),
        &oracle.below("moved/"),
        MOVED,
        size,
    );
    check_memory(&oracle, &mut method);
    method
}

#[track_caller]
fn check_loss(oracle: &Oracle, step: usize, loss: &Loss) {
    let terms = loss.terms.iter().map(|(name, value)| (&**name, value));
    for (name, value) in terms.chain([("total", &loss.total)]) {
        let found = f64::from(value.clone().into_scalar::<f32>());
        let expected = oracle.number(&format!("loss{step}/{name}"));
        // Cosines, of which some losses are made, are of the size of 1.
        let close = (found - expected).abs() <= LOSS[step] * expected.abs().max(1.0);
        assert!(close, "step {step}: {name} is {found}, not {expected}");
    }
}

/// Whether the loss or what comes with it tells when all pictures have become alike. Heads show both
/// global crops, or as many rows as there are, finite.
#[track_caller]
fn shows_collapse(loss: &Loss, loss_tells: bool) -> bool {
    for head in &loss.signals.heads {
        let rows = match &head.output {
            HeadOutput::Embeddings(rows) | HeadOutput::Scores { scores: rows, .. } => rows,
            HeadOutput::Maps(_) => continue,
        };
        assert_eq!(rows.dims()[0], 2 * PICTURES, "{}", head.name);
        let sum = rows.clone().sum().into_scalar::<f32>();
        assert!(sum.is_finite(), "{}", head.name);
    }
    loss_tells || !loss.signals.heads.is_empty()
}

fn difference(after: &TensorData, before: &TensorData) -> TensorData {
    let pairs = after.iter::<f32>().zip(before.iter::<f32>());
    TensorData::new(
        pairs.map(|(a, b)| a - b).collect::<Vec<_>>(),
        after.shape().clone(),
    )
}

#[track_caller]
fn check_memory<M: Method>(oracle: &Oracle, method: &mut M) {
    let saved = method.memory().map(|it| it.save(&Group::default()));
    let saved = saved.unwrap_or_default();
    for (name, expected) in oracle.below("memory/") {
        let found: Vec<f64> = saved[&name].iter::<f64>().collect();
        let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let error = error.fold(0.0, f64::max);
        assert!(
            error <= 1e-4 * largest,
            "{name}: {found:?}, not {expected:?}"
        );
    }
}
