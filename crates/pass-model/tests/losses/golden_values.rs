//! The losses of methods beside PASS and their gradients.
//!
//! The fixture and its command: `../oracle/make_losses.py`, which has the values below from formulas too.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use golden::Arrays;
use pass_model::{
    group::Group,
    loss::{
        DinoTemperatures, VarianceShare, VicRegWeights, barlow_twins_loss, byol_loss, coding_rate,
        dino_loss, key_contrast, nt_xent, pixel_consistency_loss, similarity_to_mean, simsiam_loss,
        vicreg_loss,
    },
    normalize::l2_normalize,
    propagation::PixelPropagation,
};

use crate::{common::relative_difference, fixture};

/// `sin(s + 1.7 i + 0.6 j + 0.3 i j)` in row `i` and column `j`.
pub(crate) fn waves<const N: usize, const M: usize>(s: usize, device: &Device) -> Tensor<2> {
    let value = |i: usize, j: usize| {
        let [i, j] = [i as f64, j as f64];
        (s as f64 + 1.7 * i + 0.6 * j + 0.3 * i * j).sin() as f32
    };
    let values: Vec<f32> = (0..N * M).map(|at| value(at / M, at % M)).collect();
    Tensor::from_data(TensorData::new(values, [N, M]), device)
}

#[track_caller]
pub(crate) fn assert_relative(actual: Tensor<1>, expected: f64) {
    let actual = actual.into_scalar::<f32>();
    let difference = (f64::from(actual) - expected).abs();
    assert!(
        difference < 1e-5 * expected.abs(),
        "{actual} instead of {expected}"
    );
}

#[track_caller]
fn check<const N: usize, const M: usize, const C: usize>(
    name: &str,
    expected: f64,
    loss: impl Fn([Tensor<2>; C]) -> Tensor<1>,
) {
    check_with::<N, M, C>(fixture("losses.npz"), name, expected, loss);
}

/// Compares a loss with `expected`, and its gradients by the waves 1, 2, .. with those of the fixture;
/// where it has none there must be none.
#[track_caller]
pub(crate) fn check_with<const N: usize, const M: usize, const C: usize>(
    mut fixture: Arrays,
    name: &str,
    expected: f64,
    loss: impl Fn([Tensor<2>; C]) -> Tensor<1>,
) {
    let device = Device::default().autodiff();
    let inputs: [_; C] =
        std::array::from_fn(|index| waves::<N, M>(index + 1, &device).require_grad());
    let value = loss(inputs.clone());
    assert_relative(value.clone(), expected);
    let gradients = value.backward();
    for (index, input) in inputs.iter().enumerate() {
        let name = format!("{name}_gradient_{index}");
        let Some(gradient) = input.grad(&gradients) else {
            assert!(!fixture.has(&name), "{name} is absent");
            continue;
        };
        let difference = relative_difference(gradient.into_data(), fixture.data(&name));
        assert!(
            difference < 1e-4,
            "{name}: relative difference {difference}"
        );
    }
}

/// Of the fixture, where no other source has one.
fn stored(name: &str) -> f64 {
    fixture("losses.npz").number(name)
}

#[test]
fn nt_xent_agrees() {
    for (temperature, name, expected) in [
        (0.1, "nt_xent_0.1", 1.5252133184),
        (0.5, "nt_xent_0.5", 1.1900170534),
    ] {
        check::<4, 3, 2>(name, expected, |views| {
            nt_xent(views, temperature, &Group::default())
        });
    }
}

#[test]
fn cosine_regressions_agree() {
    check::<4, 3, 4>("byol", 5.0645661779, |[p1, p2, z1, z2]| {
        byol_loss([p1, p2], [z1, z2])
    });
    check::<4, 3, 4>("simsiam", 0.2661415445, |[p1, p2, z1, z2]| {
        simsiam_loss([p1, p2], [z1, z2])
    });
}

#[test]
fn contrasts_of_moco_v3_agree() {
    for (temperature, name, expected) in [
        (1.0, "moco_v3_1", 7.3053379704),
        (0.2, "moco_v3_0.2", 3.9632572376),
    ] {
        check::<4, 3, 4>(name, expected, |[q1, q2, k1, k2]| {
            let contrast = |q, k| key_contrast(q, k, temperature, &Group::default());
            contrast(q1, k2) + contrast(q2, k1)
        });
    }
}

#[test]
fn barlow_twins_agrees() {
    check::<4, 3, 2>("barlow", 0.5368251317, |views| {
        let terms = barlow_twins_loss(views, &Group::default());
        assert_relative(terms.diagonal.clone(), 0.522731997);
        assert_relative(terms.off_diagonal.clone(), 2.7633597521);
        terms.total(0.0051)
    });
}

#[test]
fn vicreg_agrees_in_both_forms() {
    let weights = VicRegWeights {
        invariance: 25.0,
        variance: 25.0,
        covariance: 1.0,
    };
    check::<4, 3, 2>("vicreg", 15.9995731664, |views| {
        let terms = vicreg_loss(views, VarianceShare::Mean, &Group::default());
        assert_relative(terms.invariance.clone(), 0.436324073);
        assert_relative(terms.variance.clone(), 0.1888005739);
        assert_relative(terms.covariance.clone(), 0.3714569938);
        terms.total(&weights)
    });
    check::<4, 3, 2>("vicreg_sum", 20.7195875137, |views| {
        vicreg_loss(views, VarianceShare::Sum, &Group::default()).total(&weights)
    });
}

#[test]
fn dino_agrees_with_and_without_a_centre() {
    let loss = |logits: [Tensor<2>; 5], centre: Tensor<1>| {
        let [first, second, third, teacher, other] = logits;
        let temperatures = DinoTemperatures {
            student: 0.1,
            teacher: 0.04,
        };
        dino_loss(
            &[first, second, third],
            [teacher, other],
            centre,
            temperatures,
        )
    };
    check::<2, 5, 5>("dino", 11.9864719672, |logits| {
        let none = Tensor::zeros([5], &Device::default().autodiff());
        loss(logits, none)
    });
    let centre = [-0.04653906, -0.00863742, 0.01924858, 0.02272214, 0.00930065];
    check::<2, 5, 5>("dino_centred", 12.0047803325, |logits| {
        let centre = Tensor::from_floats(centre, &Device::default().autodiff());
        loss(logits, centre)
    });
}

/// More pictures than coordinates, and fewer.
#[test]
fn coding_rates_agree() {
    let units = |views: &[Tensor<2>]| -> Tensor<3> {
        Tensor::stack(
            views
                .iter()
                .map(|view| l2_normalize(view.clone(), 1))
                .collect(),
            0,
        )
    };
    let rate = |views: &[Tensor<2>]| coding_rate(units(views), 0.2, &Group::default());
    check::<4, 3, 3>("coding_rate", stored("coding_rate"), |views| rate(&views));
    check::<3, 5, 2>("coding_rate_wide", stored("coding_rate_wide"), |views| {
        rate(&views)
    });
    let similarity = "similarity_to_mean";
    check::<4, 3, 3>(similarity, stored(similarity), |views| {
        similarity_to_mean(units(&views))
    });
}

/// Four places of one picture, and the identity instead of a learned transform.
#[test]
fn pixel_propagation_and_consistency_agree() {
    let device = Device::default();
    let map = |rows: Tensor<2>| rows.transpose().reshape([1, 3, 2, 2]);
    let mut module = PixelPropagation::new(3, &mut pass_model::init::WeightStream::new(0), &device);
    let identity = Tensor::<2>::eye(3, &device).reshape([3, 3, 1, 1]);
    module.transform.weight = Param::from_tensor(identity);
    module.transform.bias = None;
    let propagated = module.forward(map(waves::<4, 3>(1, &device)));
    let first = Tensor::<1>::from_floats([0.46771451, 1.07527109, 0.66620885], &device);
    let found = propagated
        .clone()
        .reshape([3, 4])
        .narrow(1, 0, 1)
        .reshape([3]);
    let expected = l2_normalize(first, 0);
    assert!(relative_difference(found.into_data(), expected.into_data()) < 1e-5);

    let pairs: [[f32; 4]; 4] = [
        [1., 1., 0., 0.],
        [1., 1., 0., 0.],
        [0., 0., 1., 0.],
        [0., 0., 0., 1.],
    ];
    let pairs = Tensor::<2>::from_floats(pairs, &device).unsqueeze::<3>();
    let target = map(l2_normalize(waves::<4, 3>(3, &device), 1));
    let none = propagated.zeros_like();
    // Zeros in the other direction add nothing.
    let loss = pixel_consistency_loss(
        Tensor::cat(vec![propagated, none.clone()], 0),
        Tensor::cat(vec![none, target], 0),
        pairs,
    );
    assert_relative(loss, 0.4398709382);
}
