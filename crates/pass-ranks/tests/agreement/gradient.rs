//! The differentiable sum itself, and what ranks do when one of them fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};
use pass_model::group::Group;
use pass_ranks::{Ending, ThreadRanks, Transport};

use crate::training_device;

/// With s = Σ_r x_r and the loss Σ_r w_r·s² of all ranks, ∂/∂x_r is 2·s·Σ w for each r.
#[test]
fn the_gradient_of_a_sum_is_the_sum_of_the_gradients() {
    let gradients = ThreadRanks::run(3, |ranks| {
        let rank = ranks.rank() as f32;
        let x = Tensor::<1>::from_floats([rank, 1.0], &training_device()).require_grad();
        let sum = ranks.sum_tensor(x.clone());
        let gradients = (sum.powi_scalar(2) * (rank + 1.0)).sum().backward();
        x.grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()
    });
    assert_eq!(gradients, vec![vec![36.0, 36.0]; 3]);
}

#[test]
fn sums_that_meet_in_the_backward_pass_do_not_mix() {
    let gradients = ThreadRanks::run(2, |ranks| {
        let device = training_device();
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0], &device).require_grad();
        let short = ranks.sum_tensor(x.clone().narrow(0, 0, 1));
        let long = ranks.sum_tensor(x.clone() * 2.0);
        let weight = ranks.rank() as f32 + 1.0;
        let loss = (short * 10.0).sum() + (long * weight).sum();
        x.grad(&loss.backward())
            .unwrap()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()
    });
    assert_eq!(gradients, vec![vec![26.0, 6.0, 6.0]; 2]);
}

#[test]
fn every_exchange_gives_all_ranks_the_same() {
    let outcomes = ThreadRanks::run(3, |ranks| {
        let rank = ranks.rank();
        let mut single = [rank as f32, -1.0];
        let mut double = [0.1 * rank as f64];
        let mut largest = [rank as f32, -(rank as f32)];
        let [mut first, mut last] = [[7 - rank as u8; 2]; 2];
        ranks.sum(&mut single);
        ranks.sum_f64(&mut double);
        ranks.max(&mut largest);
        ranks.broadcast_bytes(0, &mut first);
        ranks.broadcast_bytes(2, &mut last);
        ranks.barrier();
        (single, double, largest, [first, last])
    });
    let expected = ([3.0, -3.0], [0.1 + 0.2], [2.0, 0.0], [[7; 2], [5; 2]]);
    assert_eq!(outcomes, vec![expected; 3]);
}

#[test]
fn numbers_are_gathered_in_the_order_of_the_ranks() {
    let gathered = ThreadRanks::run(3, |ranks| {
        let own = vec![10 + ranks.rank() as u32; [2, 0, 1][ranks.rank()]];
        ranks.gather(own)
    });
    assert_eq!(gathered, vec![vec![10, 10, 12]; 3]);
    assert_eq!(Group::default().gather(vec![4, 5]), [4, 5]);
}

#[test]
fn when_a_rank_fails_the_others_do_not_wait_for_it() {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        ThreadRanks::run(3, |ranks| {
            assert!(ranks.rank() != 1, "rank 1 fails");
            ranks.sum(&mut [1.0]);
        })
    }));
    assert!(outcome.is_err());
}

/// The one that fails, and no other, is to be blamed.
#[test]
fn it_is_known_how_each_rank_ended() {
    let group = ThreadRanks::group(3, Transport::Host);
    let endings = ThreadRanks::endings(group, |ranks| match ranks.rank() {
        0 => Err("rank 0 fails"),
        1 => panic!("rank 1 panics"),
        _ => {
            ranks.barrier();
            Ok(())
        }
    });
    assert!(
        matches!(
            endings[..],
            [
                Ending::Returned(Err("rank 0 fails")),
                Ending::Panicked(_),
                Ending::Forsaken
            ]
        ),
        "{endings:?}"
    );
}

#[test]
fn when_a_rank_ends_early_the_others_do_not_wait_for_it() {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        ThreadRanks::run(2, |ranks| {
            ranks.barrier();
            if ranks.rank() == 1 {
                ranks.barrier();
            }
        })
    }));
    assert!(outcome.is_err());
}

#[test]
fn a_tensor_without_autodiff_is_summed_as_it_is() {
    let sums = ThreadRanks::run(2, |ranks| {
        let own = Tensor::<1>::from_floats([1.5], &Device::flex());
        let sum = ranks.sum_tensor(own);
        assert!(!sum.is_autodiff());
        sum.into_scalar::<f32>()
    });
    assert_eq!(sums, [3.0, 3.0]);
}
