//! What losses are at collapse and where all is learned, and what they do not depend on.

use burn::tensor::{Device, Distribution, Tensor};
use golden::assert_near;
use pass_model::{
    group::Group,
    loss::{
        DinoTemperatures, VarianceShare, VicRegWeights, barlow_twins_loss, byol_loss, coding_rate,
        dino_loss, key_contrast, nt_xent, similarity_to_mean, simsiam_loss, vicreg_loss,
    },
};

const ROUNDING: [f64; 2] = [1e-5, 1e-5];
const PICTURES: usize = 6;

fn random() -> Tensor<2> {
    Tensor::random([PICTURES, 4], Distribution::Default, &Device::default())
}

/// Rows that are all alike.
fn constant() -> Tensor<2> {
    Tensor::from_floats([[0.3, -0.5, 0.7, 0.2]; PICTURES], &Device::default())
}

fn rows_of_eye() -> Tensor<2> {
    Tensor::eye(PICTURES, &Device::default())
}

#[test]
fn contrasts_at_collapse_are_the_logarithm_of_the_candidates() {
    let one = Group::default();
    let loss = nt_xent([constant(), constant()], 0.1, &one);
    assert_near(loss, [11f32.ln()], ROUNDING);
    for temperature in [0.2, 1.0] {
        let loss = key_contrast(constant(), constant(), temperature, &one);
        assert_near(loss, [2.0 * temperature as f32 * 6f32.ln()], ROUNDING);
    }
}

#[test]
fn nt_xent_of_orthogonal_pictures_leaves_the_share_of_the_negatives() {
    let loss = nt_xent([rows_of_eye(), rows_of_eye()], 0.5, &Group::default());
    assert_near(loss, [(10.0 * (-2f32).exp()).ln_1p()], ROUNDING);
}

/// Each symmetric loss of two views.
const SYMMETRIC: [fn([Tensor<2>; 2]) -> Tensor<1>; 5] = [
    |views| nt_xent(views, 0.2, &Group::default()),
    |[first, second]| {
        let contrast = |queries, keys| key_contrast(queries, keys, 0.2, &Group::default());
        contrast(first.clone(), second.clone()) + contrast(second, first)
    },
    |views| byol_loss(views.clone(), views),
    |views| barlow_twins_loss(views, &Group::default()).total(0.0051),
    |views| vicreg_loss(views, VarianceShare::Mean, &Group::default()).covariance,
];

#[test]
fn the_order_of_views_and_of_pictures_does_not_matter() {
    let (first, second) = (random(), random());
    let flipped = |view: &Tensor<2>| view.clone().flip([0]);
    for loss in SYMMETRIC {
        let expected = loss([first.clone(), second.clone()]).into_data();
        let exchanged = loss([second.clone(), first.clone()]);
        assert_near(exchanged, expected.clone(), ROUNDING);
        let permuted = loss([flipped(&first), flipped(&second)]);
        assert_near(permuted, expected, ROUNDING);
    }
}

#[test]
fn nt_xent_ignores_the_lengths_of_embeddings() {
    let (first, second) = (random(), random());
    let loss = |views| nt_xent(views, 0.2, &Group::default());
    let expected = loss([first.clone(), second.clone()]).into_data();
    assert_near(loss([first * 3.0, second]), expected, ROUNDING);
}

#[test]
fn regressions_cannot_tell_collapse_from_success() {
    let same = || [constant(), constant()];
    assert_near(byol_loss(same(), same()), [0.0], ROUNDING);
    assert_near(simsiam_loss(same(), same()), [-1.0], ROUNDING);
    let [along, across] = [[1.0, 0.0], [0.0, 1.0]]
        .map(|row| Tensor::<2>::from_floats([row; PICTURES], &Device::default()));
    let right_angle = || {
        (
            [along.clone(), along.clone()],
            [across.clone(), across.clone()],
        )
    };
    let (p, z) = right_angle();
    assert_near(byol_loss(p, z), [4.0], ROUNDING);
    let (p, z) = right_angle();
    assert_near(simsiam_loss(p, z), [0.0], ROUNDING);
}

#[test]
fn barlow_twins_is_the_number_of_coordinates_at_collapse_and_ignores_scale_and_shift() {
    let loss = |views| barlow_twins_loss(views, &Group::default()).total(0.0051);
    assert_near(loss([constant(), constant()]), [4.0], ROUNDING);
    let (first, second) = (random(), random());
    let expected = loss([first.clone(), second.clone()]).into_data();
    // Of scale and shift the added 1e-5 leaves a trace.
    assert_near(loss([first * 3.0 + 2.0, second]), expected, [1e-3, 0.0]);
}

#[test]
fn decorrelated_views_that_agree_have_no_loss() {
    // Columns of a Hadamard matrix but the first: mean 0, and orthogonal.
    let rows = [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]];
    let view = || Tensor::<2>::from_floats(rows, &Device::default());
    let barlow = barlow_twins_loss([view(), view()], &Group::default());
    assert_near(barlow.total(0.0051), [0.0], ROUNDING);
    let vicreg = vicreg_loss([view(), view()], VarianceShare::Mean, &Group::default());
    assert_near(
        vicreg.covariance + vicreg.variance + vicreg.invariance,
        [0.0],
        ROUNDING,
    );
}

#[test]
fn vicreg_at_collapse_has_deviations_of_a_hundredth() {
    let weights = VicRegWeights {
        invariance: 25.0,
        variance: 25.0,
        covariance: 1.0,
    };
    for (share, expected) in [(VarianceShare::Mean, 24.75), (VarianceShare::Sum, 49.5)] {
        let terms = vicreg_loss([constant(), constant()], share, &Group::default());
        assert_near(terms.total(&weights), [expected], ROUNDING);
    }
}

#[test]
fn dino_is_uniform_or_a_single_prototype_at_collapse() {
    let temperatures = DinoTemperatures {
        student: 0.1,
        teacher: 0.04,
    };
    let loss = |logits: Tensor<2>| {
        let centre = Tensor::zeros([6], &logits.device());
        let students = vec![logits.clone(); 3];
        dino_loss(&students, [logits.clone(), logits], centre, temperatures)
    };
    let uniform = Tensor::ones([PICTURES, 6], &Device::default());
    assert_near(loss(uniform), [6f32.ln()], ROUNDING);
    let single = rows_of_eye().narrow(0, 0, 1).expand([PICTURES, 6]) * 9.0;
    assert_near(loss(single), [0.0], ROUNDING);
}

#[test]
fn the_coding_rate_counts_directions() {
    let rate = |view: Tensor<2>| coding_rate(view.unsqueeze(), 0.5, &Group::default());
    // Six unit vectors along six axes: each eigenvalue is 1 + 6 / (6 · 0.5).
    assert_near(rate(rows_of_eye()), [3.0 * 3f32.ln()], ROUNDING);
    // All along one: 1 + 6 · 6 / (6 · 0.5).
    let single = rows_of_eye().narrow(0, 0, 1).expand([PICTURES, PICTURES]);
    assert_near(rate(single), [0.5 * 13f32.ln()], ROUNDING);
    let views = Tensor::stack(vec![constant(), constant()], 0);
    assert_near(similarity_to_mean(views), [1.0], ROUNDING);
}

#[test]
#[should_panic(expected = "not finite")]
fn embeddings_that_are_not_finite_have_no_coding_rate() {
    let view = Tensor::<3>::full([1, 2, 3], f32::NAN, &Device::default());
    coding_rate(view, 0.2, &Group::default());
}
