//! The losses with many constant negatives, their gradients, and what they are at collapse.
//!
//! The fixture and its command: `../oracle/make_contrast.py`.

use burn::tensor::{Device, Int, Tensor};
use golden::assert_near;
use pass_model::{
    adversaries::{Adversaries, AdversariesConfig},
    loss::{
        bank_contrast, bank_gradient, dense_contrast, info_nce, matching_places, prototype_contrast,
    },
    method::Memory,
    normalize::l2_normalize,
};

use crate::{
    common::assert_close,
    fixture,
    golden_values::{assert_relative, check_with, waves},
};

/// Differences of probabilities.
const GRADIENT: f32 = 1e-4;

fn unit(rows: Tensor<2>) -> Tensor<2> {
    l2_normalize(rows, 1)
}

/// Six negatives.
fn negatives(wave: usize) -> Tensor<2> {
    unit(waves::<6, 3>(wave, &Device::default()))
}

fn bank() -> Tensor<2> {
    waves::<6, 3>(3, &Device::default()) * 2.0
}

/// Queries and keys.
fn pair() -> [Tensor<2>; 2] {
    [1, 2].map(|wave| unit(waves::<4, 3>(wave, &Device::default())))
}

fn contrast(bank: Tensor<2>, temperature: f64) -> Tensor<1> {
    let [queries, keys] = pair();
    bank_contrast(queries, keys.clone(), [keys, bank], temperature)
}

#[test]
fn info_nce_agrees() {
    for (temperature, name, expected) in [
        (0.2, "moco_0.2", 2.3499353199),
        (0.07, "moco_0.07", 5.4350084318),
    ] {
        check_with::<4, 3, 2>(
            fixture("contrast.npz"),
            name,
            expected,
            |[queries, keys]| info_nce(unit(queries), unit(keys), negatives(3), temperature),
        );
    }
}

#[test]
fn the_contrast_of_adco_agrees() {
    check_with::<4, 3, 2>(fixture("contrast.npz"), "adco", 3.4285485333, |pair| {
        let [queries, keys] = pair.map(unit);
        bank_contrast(queries, keys.clone(), [keys, bank()], 0.12)
    });
}

#[test]
fn the_gradient_of_the_bank_agrees_and_is_orthogonal_to_it() {
    for (temperature, expected) in [(0.1, 3.9745997725), (0.02, 18.349536736)] {
        assert_relative(contrast(bank(), temperature), expected);
        let [queries, keys] = pair();
        let found = bank_gradient(queries, [keys, bank()], temperature);
        let name = format!("bank_gradient_{temperature}");
        let expected = fixture("contrast.npz").tensor(&name, &Device::default());
        let along = (found.clone() * bank()).sum_dim(1);
        assert_near(along, [[0.0f32]; 6], [0.0, 1e-4]);
        assert_close(found, expected, GRADIENT);
    }
}

/// Two steps; the first raises the loss.
#[test]
fn the_bank_moves_as_it_should() {
    let (config, mut arrays) = (
        AdversariesConfig {
            rows: 6,
            temperature: 0.1,
            ..Default::default()
        },
        fixture("contrast.npz"),
    );
    let mut adversaries = Adversaries::new(config, 3, 0, &Device::default());
    adversaries.stage_keys(bank());
    adversaries.apply();
    for name in ["bank_after", "bank_after_two"] {
        let [queries, keys] = pair();
        let rows = adversaries.vectors();
        adversaries.stage_gradient(bank_gradient(queries, [keys, rows], config.temperature));
        adversaries.apply();
        let expected = arrays.tensor(name, &Device::default());
        assert_close(adversaries.vectors(), expected, GRADIENT);
    }
    let first = arrays.tensor("bank_after", &Device::default());
    assert_relative(contrast(first, 0.1), 4.2220690734);
    assert_eq!(adversaries.rows(), 6);
}

#[test]
fn prototype_contrast_agrees() {
    let phi = [0.11728658, 0.26230656, 0.09579372, 0.26230656, 0.26230656];
    let prototypes = unit(waves::<5, 3>(5, &Device::default()))
        / Tensor::<1>::from_floats(phi, &Device::default()).unsqueeze_dim::<2>(1);
    let columns = |of: &[i64]| {
        let of = Tensor::<1, Int>::from_data(of, &Device::default());
        prototypes.clone().select(0, of)
    };
    let (own, others) = (columns(&[0, 2, 2, 4]), columns(&[1, 3]));
    check_with::<4, 3, 1>(
        fixture("contrast.npz"),
        "proto",
        6.8655220226,
        |[queries]| prototype_contrast(unit(queries), own.clone(), others.clone()),
    );
}

/// Two pictures of four places: `[2, 3, 2, 2]`.
fn maps(wave: usize, device: &Device) -> Tensor<4> {
    let map = |wave| waves::<4, 3>(wave, device).transpose().reshape([3, 2, 2]);
    Tensor::stack(vec![map(wave), map(wave + 10)], 0)
}

#[test]
fn dense_contrast_and_its_matches_agree() {
    let device = Device::default().autodiff();
    let [features, key_features, queries, keys] =
        [1, 2, 3, 4].map(|wave| maps(wave, &device).require_grad());
    let matches = matching_places(features, key_features);
    let found: Vec<i64> = matches.clone().into_data().iter().collect();
    assert_eq!(found, [0, 1, 2, 2, 3, 1, 2, 3]);
    let loss = dense_contrast(queries.clone(), keys.clone(), matches, negatives(6), 0.2);
    assert_relative(loss.clone(), 1.8814007935);
    let gradients = loss.backward();
    assert!(keys.grad(&gradients).is_none());
    let found = queries.grad(&gradients).unwrap().flatten::<3>(2, 3);
    let expected: Tensor<3> =
        fixture("contrast.npz").tensor("dense_gradient_2", &Device::default());
    assert_close(found.swap_dims(1, 2), expected, GRADIENT);
}

#[test]
fn a_view_of_itself_matches_each_place_with_itself_and_equal_places_with_the_first() {
    let map = maps(1, &Device::default());
    let found: Vec<i64> = matching_places(map.clone(), map.clone())
        .into_data()
        .iter()
        .collect();
    assert_eq!(found, [0, 1, 2, 3, 0, 1, 2, 3]);
    let flat = map.ones_like();
    let found: Vec<i64> = matching_places(flat.clone(), flat)
        .into_data()
        .iter()
        .collect();
    assert_eq!(found, [0; 8]);
}

/// Rows that are all alike.
fn constant<const N: usize>() -> Tensor<2> {
    unit(Tensor::from_floats(
        [[0.3, -0.5, 0.7]; N],
        &Device::default(),
    ))
}

#[test]
fn contrasts_at_collapse_are_the_logarithm_of_the_candidates() {
    let rounding = [1e-5, 0.0];
    let loss = info_nce(constant::<4>(), constant::<4>(), constant::<9>(), 0.2);
    assert_near(loss, [10f32.ln()], rounding);
    let candidates = [constant::<8>(), constant::<9>() * 3.0];
    let loss = bank_contrast(constant::<4>(), constant::<4>(), candidates, 0.12);
    assert_near(loss, [17f32.ln()], rounding);
    let loss = prototype_contrast(
        constant::<4>(),
        constant::<4>() / 0.2,
        constant::<9>() / 0.2,
    );
    assert_near(loss, [13f32.ln()], rounding);
    let map = maps(1, &Device::default()).ones_like();
    let negatives = unit(Tensor::ones([9, 3], &Device::default()));
    let matches = matching_places(map.clone(), map.clone());
    let loss = dense_contrast(map.clone(), map, matches, negatives, 0.2);
    assert_near(loss, [10f32.ln()], rounding);
}

#[test]
fn the_order_of_negatives_does_not_matter() {
    let [queries, keys] = pair();
    let loss = |negatives| info_nce(queries.clone(), keys.clone(), negatives, 0.2);
    let expected = loss(negatives(3)).into_data();
    assert_near(loss(negatives(3).flip([0])), expected, [1e-6, 0.0]);
}
