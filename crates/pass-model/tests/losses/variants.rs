//! The kinds of P2P and D2S of the paper's ablations agree with PyTorch in float64.
//!
//! The fixture and its command: `../oracle/make_variants.py`.

use burn::tensor::{Device, Tensor};
use golden::Arrays;
use pass_model::{
    group::Group,
    loss::{
        SwappedPredictionConfig, clustering_p2p_loss, contrastive_p2p_loss,
        d2s::{d2s_loss_same_view, same_stage_assignments},
        d2s_loss,
    },
    sinkhorn::{SinkhornConfig, sinkhorn_knopp},
};

use crate::{common::assert_close, fixture};

/// Scores carry a rounding of 1e-7, which τ = 0.1 and ε = 0.05 divide.
const TOLERANCE: f32 = 1e-5;
/// Gradients are differences of probabilities.
const GRADIENT: f32 = 1e-4;

fn arrays() -> Arrays {
    fixture("loss_variants.npz")
}

/// Compares a loss of the array `input` and its gradient with those of `name`.
#[track_caller]
fn check<const D: usize>(name: &str, input: &str, loss: impl Fn(Tensor<D>) -> Tensor<1>) {
    let (mut arrays, device) = (arrays(), Device::default().autodiff());
    let leaf = arrays.tensor::<D>(input, &device).require_grad();
    let value = loss(leaf.clone());
    let expected = arrays.number(name) as f32;
    let actual = value.clone().into_scalar::<f32>();
    assert!(
        (actual - expected).abs() < TOLERANCE * expected.abs(),
        "{name}: {actual} instead of {expected}"
    );
    let gradient = leaf.grad(&value.backward()).unwrap();
    let expected = arrays.tensor(&format!("{name}_gradient"), &Device::default());
    assert_close(gradient, expected, GRADIENT);
}

fn deep_assignments() -> [Tensor<2>; 2] {
    let deep = arrays().tensor::<2>("deep", &Device::default());
    [0, 3].map(|first| {
        sinkhorn_knopp(
            deep.clone().narrow(0, first, 3),
            &SinkhornConfig::new(),
            &Group::default(),
        )
    })
}

#[test]
fn contrastive_p2p_agrees() {
    check("contrastive_p2p", "z", contrastive_p2p_loss);
}

#[test]
fn clustering_p2p_agrees() {
    let prototypes = arrays().tensor::<2>("prototypes", &Device::default().autodiff());
    check("clustering_p2p", "z", |z| {
        clustering_p2p_loss(
            z,
            prototypes.clone(),
            &SwappedPredictionConfig::default(),
            &Group::default(),
        )
    });
}

#[test]
fn d2s_across_views_agrees() {
    check("d2s_cross", "scores", |scores| {
        d2s_loss(&deep_assignments(), scores, 0.1)
    });
}

#[test]
fn d2s_of_the_same_view_agrees() {
    check("d2s_same_view", "scores", |scores| {
        d2s_loss_same_view(&deep_assignments(), scores, 0.1)
    });
}

#[test]
fn d2s_taught_by_the_stage_itself_agrees() {
    check("d2s_same_stage", "scores", |scores| {
        let own = same_stage_assignments(scores.clone(), &SinkhornConfig::new(), &Group::default());
        d2s_loss(&own, scores, 0.1)
    });
}
