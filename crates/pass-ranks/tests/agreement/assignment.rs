//! Balanced assignment and queue over ranks.

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};
use pass_model::{
    group::{Communicator, Group},
    loss::{SwappedPredictionConfig, swapped_prediction},
    queue::Queue,
    sinkhorn::{SinkhornConfig, sinkhorn_knopp},
};
use pass_ranks::ThreadRanks;

use crate::{fixture, share, whole};

/// Dividing by ε = 0.05 turns a score's rounding of 6e-8 into 1e-6 of the weight.
#[track_caller]
fn assert_close<const D: usize>(actual: Tensor<D>, expected: TensorData) {
    actual
        .into_data()
        .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
}

fn random(shape: [usize; 2], seed: u64) -> Tensor<2> {
    let device = Device::flex();
    device.seed(seed);
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
}

/// Oracle: the reference's sums over ranks, written out in float64.
#[test]
fn each_rank_gets_its_rows_of_the_common_assignment() {
    let fixture = fixture("sinkhorn_ranks.safetensors");
    let assignments = ThreadRanks::run(2, |ranks| {
        let scores = fixture[&format!("scores.{}", ranks.rank())].clone();
        let scores = Tensor::from_data(scores, &Device::flex());
        sinkhorn_knopp(scores, &SinkhornConfig::new(), &ranks)
    });
    for (rank, assignment) in assignments.into_iter().enumerate() {
        assert_close(assignment, fixture[&format!("assignments.{rank}")].clone());
    }
}

/// Oracle: the published code on two processes.
#[test]
fn two_ranks_agree_with_the_golden_case() {
    let mut golden = golden::open("sinkhorn_world2.npz");
    let (scores, expected) = (golden.data("scores"), golden.data("q"));
    let assignments = ThreadRanks::run(2, |ranks| {
        let scores = Tensor::<2>::from_data(scores.clone(), &Device::flex());
        let own = scores.narrow(0, 10 * ranks.rank(), 10);
        sinkhorn_knopp(own, &SinkhornConfig::new(), &ranks)
    });
    assert_close(Tensor::cat(assignments, 0), expected);
}

#[test]
fn the_only_rank_computes_the_same_bits_as_one_process() {
    let config = SinkhornConfig::new();
    let scores = random([7, 5], 1);
    let alone = sinkhorn_knopp(scores.clone(), &config, &Group::default());
    assert_eq!(
        alone.into_data(),
        sinkhorn_knopp(scores, &config, &Group::default()).into_data()
    );
}

/// Three batches: the queue of two batches is used from the third on.
#[test]
fn losses_assignments_and_queues_of_ranks_are_those_of_one_process() {
    const CROPS: usize = 3;
    const BATCH: usize = 6;
    let config = SwappedPredictionConfig::default();
    let prototypes = random([5, 4], 9);
    let batches: Vec<_> = (0..3)
        .map(|batch| {
            (
                random([CROPS * BATCH, 5], batch),
                random([CROPS * BATCH, 4], 20 + batch),
            )
        })
        .collect();

    let mut queue = Queue::new(2 * BATCH, BATCH, 4, &Device::flex());
    let expected: Vec<_> = batches
        .iter()
        .map(|(scores, embeddings)| {
            let (scores, embeddings) = (scores.clone(), embeddings.clone());
            let queue = Some(&mut queue);
            swapped_prediction(
                scores,
                embeddings,
                prototypes.clone(),
                queue,
                &config,
                CROPS,
                &Group::default(),
            )
        })
        .collect();

    let (batches, prototypes) = (&batches, &prototypes);
    let outcomes = ThreadRanks::run(2, |ranks| {
        let size = ranks.size();
        let mut queue = Queue::new(2 * BATCH / size, BATCH / size, 4, &Device::flex());
        // BATCH is even: a share of the crops' rows is the crops' rows of the share.
        let own = |rows: &Tensor<2>| share(rows.clone(), [ranks.rank(), size]);
        let steps: Vec<_> = batches
            .iter()
            .map(|(scores, embeddings)| {
                let (scores, embeddings) = (own(scores), own(embeddings));
                let (prototypes, queue) = (prototypes.clone(), Some(&mut queue));
                let config = &config;
                swapped_prediction(scores, embeddings, prototypes, queue, config, CROPS, &ranks)
            })
            .collect();
        (steps, queue.of_ranks(&ranks), queue)
    });

    for (batch, expected) in expected.iter().enumerate() {
        let steps = || outcomes.iter().map(|(steps, ..)| &steps[batch]);
        for crop in 0..2 {
            let shares = steps().map(|step| step.assignments[crop].clone()).collect();
            assert_close(whole(shares), expected.assignments[crop].to_data());
        }
        let mean = steps()
            .map(|step| step.loss.clone())
            .reduce(|a, b| a + b)
            .unwrap()
            / 2.0;
        assert_close(mean, expected.loss.to_data());
    }
    for (rank, (_, of_ranks, own)) in outcomes.iter().enumerate() {
        assert_eq!(of_ranks.to_tensors(), queue.to_tensors());
        let view = Group::new(View { rank, size: 2 });
        assert_eq!(queue.share_of(&view).to_tensors(), own.to_tensors());
    }
}

/// A place among ranks that exchange nothing.
#[derive(Debug)]
struct View {
    rank: usize,
    size: usize,
}

impl Communicator for View {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_tensor(&self, _: Tensor<1>) -> Tensor<1> {
        unreachable!("nothing is exchanged")
    }

    fn sum(&self, _: &mut [f32]) {
        unreachable!("nothing is exchanged")
    }

    fn sum_f64(&self, _: &mut [f64]) {
        unreachable!("nothing is exchanged")
    }

    fn max(&self, _: &mut [f32]) {
        unreachable!("nothing is exchanged")
    }

    fn broadcast(&self, _: usize, _: &mut [u8]) {
        unreachable!("nothing is exchanged")
    }

    fn barrier(&self) {
        unreachable!("nothing is exchanged")
    }
}
