//! Batch norm with the statistics of all ranks.

use burn::{
    module::Module,
    tensor::{Tensor, Tolerance},
};
use pass_model::{
    group::Group,
    norm::{BatchNorm, BatchNormConfig, NormMode},
};
use pass_ranks::ThreadRanks;

use crate::{fixture, share, training_device, whole};

/// Values near 10 and gradients near 50, each rounded to 1e-7 of itself, through one division.
const ROUNDING: f32 = 2e-5;

#[track_caller]
fn assert_close<const D: usize>(actual: Tensor<D>, expected: Tensor<D>) {
    let tolerance = Tolerance::rel_abs(ROUNDING, ROUNDING);
    actual
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), tolerance);
}

/// The norm of the fixture, before its first step.
fn norm() -> BatchNorm {
    let device = training_device();
    let fixture = fixture("sync_norm.safetensors");
    let set = |key: &str| Tensor::<1>::from_data(fixture[key].clone(), &device).require_grad();
    let mut norm = BatchNormConfig::new(3).init(&device);
    norm.gamma = norm.gamma.map(|gamma| gamma.map(|_| set("weight")));
    norm.beta = norm.beta.map(|beta| beta.map(|_| set("bias")));
    norm
}

/// Output, gradients of input, scale and shift, moving mean and variance of one rank.
struct Step {
    maps: [Tensor<4>; 2],
    gradients: [Tensor<1>; 2],
    moving: [Tensor<1>; 2],
}

fn step(mode: NormMode, place: [usize; 2]) -> Step {
    let fixture = fixture("sync_norm.safetensors");
    let device = training_device();
    let own = |key: &str| share(Tensor::<4>::from_data(fixture[key].clone(), &device), place);
    let input = own("input").require_grad();
    let mut norm = norm();
    let output = norm.forward(input.clone(), mode);
    let loss = (output.clone().powi_scalar(3) * own("cotangent")).sum();
    let gradients = loss.backward();
    let of = |parameter: &Option<burn::module::Param<Tensor<1>>>| {
        parameter.as_ref().unwrap().val().grad(&gradients).unwrap()
    };
    Step {
        maps: [output.inner(), input.grad(&gradients).unwrap()],
        gradients: [of(&norm.gamma), of(&norm.beta)],
        moving: [
            norm.running_mean.val().inner(),
            norm.running_var.val().inner(),
        ],
    }
}

fn expected<const D: usize>(key: &str) -> Tensor<D> {
    let data = fixture("sync_norm.safetensors")[key].clone();
    Tensor::from_data(data, &training_device().inner())
}

/// Oracle: PyTorch's batch norm in float64 over the whole batch.
#[test]
fn ranks_normalise_and_differentiate_as_one_process_with_the_whole_batch() {
    for size in [2, 3] {
        let steps = ThreadRanks::run(size, |ranks| {
            step(NormMode::Group(&ranks), [ranks.rank(), size])
        });
        for (index, key) in ["output", "input_gradient"].into_iter().enumerate() {
            let maps = steps.iter().map(|step| step.maps[index].clone()).collect();
            assert_close(whole(maps), expected::<4>(key));
        }
        for (index, key) in ["weight_gradient", "bias_gradient"].into_iter().enumerate() {
            let sum = steps.iter().map(|step| step.gradients[index].clone());
            assert_close(sum.reduce(|a, b| a + b).unwrap(), expected::<1>(key));
        }
        for (index, key) in ["running_mean", "running_var"].into_iter().enumerate() {
            for step in &steps {
                assert_close(step.moving[index].clone(), expected::<1>(key));
            }
        }
    }
}

#[test]
fn without_common_statistics_the_shares_differ_from_the_whole() {
    let alone = step(NormMode::Batch, [0, 2]);
    let difference = alone.moving[0].clone() - expected::<1>("running_mean");
    assert!(difference.abs().max().into_scalar::<f32>() > 1e-2);
}

#[test]
fn the_only_rank_computes_the_same_bits_as_batch_statistics() {
    let [alone, batch] =
        [NormMode::Group(&Group::default()), NormMode::Batch].map(|mode| step(mode, [0, 1]));
    for (a, b) in alone.maps.into_iter().zip(batch.maps) {
        assert_eq!(a.into_data(), b.into_data());
    }
}

#[test]
fn one_value_a_rank_is_enough() {
    let outputs = ThreadRanks::run(2, |ranks| {
        let device = training_device();
        let mut norm = BatchNormConfig::new(1).without_affine().init(&device);
        let own = Tensor::<2>::from_floats([[ranks.rank() as f32 * 4.0]], &device);
        let output = norm.forward(own, NormMode::Group(&ranks));
        [
            output.into_scalar::<f32>(),
            norm.running_var.val().into_scalar::<f32>(),
        ]
    });
    // Values 0 and 4: mean 2, biased variance 4, unbiased 8.
    for (output, [value, variance]) in [-1.0, 1.0].into_iter().zip(outputs) {
        assert!((value - output).abs() < 1e-5, "{value}");
        assert!((variance - 1.7).abs() < 1e-5, "{variance}");
    }
}

#[test]
fn norms_that_no_gradient_reaches_are_joined_too() {
    let means = ThreadRanks::run(2, |ranks| {
        let device = training_device();
        let mut norm = BatchNormConfig::new(1).init(&device).no_grad();
        let own = Tensor::<2>::from_floats([[ranks.rank() as f32], [6.0]], &device);
        norm.forward(own, NormMode::Group(&ranks));
        norm.running_mean.val().into_scalar::<f32>()
    });
    assert_eq!(means[0], means[1]);
    assert!((means[0] - 0.325).abs() < 1e-6, "{means:?}");
}
