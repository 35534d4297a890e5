//! One step in 16 bits beside the same step in float32.

use std::collections::BTreeMap;

use burn::{
    module::{ModuleVisitor, Param},
    tensor::DType,
};
use pass_model::precision::Precision;

use super::*;
use crate::gradients::Accumulation;

/// Wide enough that no ReLU decides alone. And burn's `flex` adds up in float16 where a convolution has
/// at most 4 channels in and 16 out; elsewhere in float32.
const WIDER: [&str; 6] = [
    "network.backbone.width=20",
    "network.hidden=24",
    "network.feature_dim=16",
    "network.prototypes=20",
    "pretrain.batch=8",
    "pretrain.swapped.queue_length=8",
];

/// Of the loss in float16; with the first one, 65536, gradients of this network overflow.
const SCALE: f64 = 1024.0;

/// Loss terms, and gradients by name.
type Step = (Terms, BTreeMap<String, Vec<f64>>);

/// The first step; everything that it leaves is float32.
fn first_step<N: PassNet>(mut training: Training<N>) -> Step {
    let at = Position {
        epoch: 0,
        iteration: 100,
        iterations: 200,
        lr: 0.5,
    };
    let task = &mut training.task;
    let views = views(&task.file, 0);
    task.begin(at);
    let loss = task.loss(&views, None);
    let mut sum = Accumulation::new(1);
    sum.scale = (task.file.precision == Precision::Float16).then_some(SCALE);
    sum.add(loss.minimised, task.net());
    let gradients = sum.gradients(task.net());
    let mut named = Named {
        gradients: &gradients,
        path: Vec::new(),
        found: BTreeMap::new(),
    };
    task.net().visit(&mut named);
    let found = named.found;
    training.update_at(at.lr, gradients);
    training.task.net().visit(&mut AllFloat32);
    (loss.terms, found)
}

struct Named<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f64>>,
}

impl ModuleVisitor for Named<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            assert_eq!(gradient.dtype(), DType::F32, "{}", self.path.join("."));
            let numbers = gradient.into_data().iter::<f64>().collect();
            self.found.insert(self.path.join("."), numbers);
        }
    }
}

struct AllFloat32;

impl ModuleVisitor for AllFloat32 {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        assert_eq!(parameter.val().dtype(), DType::F32);
    }
}

fn length(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum::<f64>().sqrt()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    product / (length(a) * length(b))
}

/// How far a precision may be off: `loss` absolute, gradients in their cosine.
struct Tolerance {
    precision: &'static str,
    loss: f64,
    cosine: f64,
}

/// Roundings to 8 and to 11 bits pass some twenty layers forth and back.
const TOLERANCES: [Tolerance; 2] = [
    Tolerance {
        precision: "precision=bfloat16",
        loss: 0.05,
        cosine: 0.85,
    },
    Tolerance {
        precision: "precision=float16",
        loss: 0.01,
        cosine: 0.99,
    },
];

/// A gradient below this share of the largest is rounding: a bias in front of a norm has none.
const VANISHING: f64 = 1e-5;

#[track_caller]
fn assert_near((terms, gradients): &Step, expected: &Step, tolerance: &Tolerance) {
    for ((name, seen), (_, expected)) in terms.iter().zip(&expected.0) {
        println!("{name} {seen:.5} for {expected:.5}");
        assert!((seen - expected).abs() < tolerance.loss, "{name}");
    }
    let expected = &expected.1;
    assert!(gradients.keys().eq(expected.keys()));
    let largest = expected.values().map(|g| length(g)).fold(0.0, f64::max);
    let moved = expected
        .iter()
        .filter(|(_, g)| length(g) > VANISHING * largest);
    let mut cosines: Vec<_> = moved
        .map(|(name, expected)| (cosine(&gradients[name], expected), name))
        .collect();
    cosines.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "{} of {}: {:?}",
        cosines.len(),
        expected.len(),
        &cosines[..4]
    );
    assert!(cosines.len() > 40 && cosines[0].0 > tolerance.cosine);
}

#[test]
fn a_step_of_pass_s_in_16_bits_is_near_that_in_float32() {
    let step = |precision| first_step(pass_s(&file(&[&WIDER[..], &[precision]].concat())));
    let expected = step("precision=float32");
    for tolerance in &TOLERANCES {
        assert_near(&step(tolerance.precision), &expected, tolerance);
    }
}

#[test]
fn a_step_of_pass_p_in_16_bits_is_near_that_in_float32() {
    let method = "pretrain.method=pass_p";
    let step = |precision| first_step(pass_p(&file(&[&WIDER[..], &[method, precision]].concat())));
    let expected = step("precision=float32");
    for tolerance in &TOLERANCES {
        assert_near(&step(tolerance.precision), &expected, tolerance);
    }
}
