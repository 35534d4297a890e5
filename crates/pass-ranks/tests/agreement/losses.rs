//! Losses that look across the batch.

use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use pass_model::{
    group::Group,
    loss::{
        VarianceShare, VicRegWeights, barlow_twins_loss, coding_rate, key_contrast, nt_xent,
        vicreg_loss,
    },
};
use pass_ranks::ThreadRanks;

use crate::{share, training_device, whole};

const ROUNDING: f32 = 1e-4;

type Views = [Tensor<2>; 2];

/// Each loss of two views.
const LOSSES: [fn(Views, &Group) -> Tensor<1>; 5] = [
    |views, group| nt_xent(views, 0.2, group),
    |[first, second], group| key_contrast(first, second, 0.2, group),
    |views, group| barlow_twins_loss(views, group).total(0.0051),
    |views, group| vicreg(views, group),
    |views, group| coding_rate(Tensor::stack(views.into(), 0), 0.2, group),
];

fn vicreg(views: Views, group: &Group) -> Tensor<1> {
    let weights = VicRegWeights {
        invariance: 25.0,
        variance: 25.0,
        covariance: 1.0,
    };
    vicreg_loss(views, VarianceShare::Mean, group).total(&weights)
}

fn views() -> Views {
    let device = Device::flex();
    device.seed(8);
    [0, 1].map(|_| Tensor::random([8, 5], Distribution::Default, &device))
}

/// The loss of a rank, and its gradient by the first view.
fn step(loss: fn(Views, &Group) -> Tensor<1>, group: &Group, views: &Views) -> (f32, Tensor<2>) {
    let place = [group.rank(), group.size()];
    let own = |view: &Tensor<2>| {
        let data = share(view.clone(), place).into_data();
        Tensor::<2>::from_data(data, &training_device()).require_grad()
    };
    let [first, second] = [own(&views[0]), own(&views[1])];
    let value = loss([first.clone(), second], group);
    let gradient = first.grad(&value.backward()).unwrap();
    (value.into_scalar(), gradient)
}

/// The trainer minimises the mean over ranks, so a rank's gradient is divided by their number.
#[test]
fn the_mean_over_ranks_and_its_gradient_are_those_of_one_process() {
    for loss in LOSSES {
        let views = views();
        let (expected, gradient) = step(loss, &Group::default(), &views);
        for size in [2, 4] {
            let steps = ThreadRanks::run(size, |ranks| step(loss, &ranks, &views));
            let mean = steps.iter().map(|(value, _)| value).sum::<f32>() / size as f32;
            assert!(
                (mean - expected).abs() < ROUNDING * expected,
                "{mean} of {expected}"
            );
            let own = steps
                .into_iter()
                .map(|(_, gradient)| gradient / size as f32);
            let tolerance = Tolerance::rel_abs(ROUNDING, 1e-5);
            whole(own.collect())
                .into_data()
                .assert_approx_eq::<f32>(&gradient.to_data(), tolerance);
        }
    }
}
