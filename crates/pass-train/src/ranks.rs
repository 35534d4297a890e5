//! What the processes of one training do together, and what rank 0 does for all.
//!
//! The batch of a run file is that of all ranks. Rank `r` of `W` takes the pictures `r`, `r + W`, .. of
//! it, so that the pictures of an iteration, and hence their crops, are those of one process. All
//! ranks hold the same weights and read the same folders; rank 0 alone writes.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{FloatDType, Tensor},
};
use pass_model::group::Group;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Step, training::Terms};

/// What rank 0 finds out for all.
///
/// # Errors
///
/// On rank 0 that of `find`; then on the others [`Error::AnotherRank`].
pub(crate) fn found_by_first<T: Serialize + DeserializeOwned>(
    ranks: &Group,
    find: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    if ranks.size() == 1 {
        return find();
    }
    let found = ranks.is_first().then(find);
    ranks.barrier();
    let (value, error) = match found {
        Some(Ok(value)) => (Some(Ok(value)), None),
        Some(Err(error)) => (Some(Err(())), Some(error)),
        None => (None, None),
    };
    let known: Result<T, ()> = ranks.broadcast(0, value);
    known.map_err(|()| error.unwrap_or(Error::AnotherRank))
}

/// What rank 0 does for all; the others wait for the end of it.
///
/// # Errors
///
/// As [`found_by_first`].
pub(crate) fn done_by_first(
    ranks: &Group,
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    found_by_first(ranks, work)
}

/// What every rank does, rank 0 before the others, who find the files that it writes.
///
/// # Errors
///
/// That of `work`; if it is one of rank 0, on the others [`Error::AnotherRank`].
pub(crate) fn first_then_others<T>(
    ranks: &Group,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut outcome = None;
    let mut work = Some(work);
    done_by_first(ranks, || {
        outcome = Some(work.take().expect("called once")()?);
        Ok(())
    })?;
    match (outcome, work) {
        (Some(outcome), _) => Ok(outcome),
        (None, work) => work.expect("only rank 0 has done it")(),
    }
}

/// The lowest rank for which something holds, the same on every rank.
pub(crate) fn first_with(ranks: &Group, holds: bool) -> Option<usize> {
    let flags = ranks.one_of_each(f64::from(u8::from(holds)));
    flags.iter().position(|&flag| flag > 0.0)
}

/// The pictures per iteration of one rank, if `batch` can be dealt out in `parts` parts.
pub(crate) fn share_of_batch(
    ranks: &Group,
    step: Step,
    [batch, parts]: [usize; 2],
) -> Result<usize, Error> {
    let size = ranks.size();
    if batch.is_multiple_of(parts * size) {
        return Ok(batch / size);
    }
    Err(Error::BatchOfRanks {
        step: step.name(),
        batch,
        parts,
        ranks: size,
    })
}

/// Of the pictures of whole batches, those of this rank.
pub(crate) fn own_pictures<T>(ranks: &Group, pictures: impl Iterator<Item = T>) -> Vec<T> {
    pictures.skip(ranks.rank()).step_by(ranks.size()).collect()
}

/// The means over ranks: those of the whole batch, as the shares are of one size.
pub(crate) fn mean_terms(ranks: &Group, mut terms: Terms) -> Terms {
    if ranks.size() > 1 {
        let mut values: Vec<f64> = terms.iter().map(|(_, value)| *value).collect();
        ranks.sum_f64(&mut values);
        for ((_, term), sum) in terms.iter_mut().zip(values) {
            *term = sum / ranks.size() as f64;
        }
    }
    terms
}

/// The mean over ranks of a number.
pub(crate) fn mean_over(ranks: &Group, own: f64) -> f64 {
    ranks.one_of_each(own).iter().sum::<f64>() / ranks.size() as f64
}

/// The gradient of the mean loss over ranks, from the gradient of each rank's loss; one exchange for
/// the whole network.
pub(crate) fn mean_gradients<M: Module>(
    ranks: &Group,
    net: &M,
    gradients: GradientsParams,
) -> GradientsParams {
    if ranks.size() == 1 {
        return gradients;
    }
    let mut flat = Flat {
        gradients: &gradients,
        parts: Vec::new(),
    };
    net.visit(&mut flat);
    if flat.parts.is_empty() {
        return gradients;
    }
    let sum = ranks.sum_tensor(Tensor::cat(flat.parts, 0));
    let mut unflatten = Unflatten {
        gradients,
        values: sum / ranks.size() as f32,
        taken: 0,
    };
    net.visit(&mut unflatten);
    unflatten.gradients
}

/// Collects the gradients in the order of the fields.
struct Flat<'a> {
    gradients: &'a GradientsParams,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            let length = gradient.shape().num_elements();
            let part = gradient.cast(FloatDType::F32).reshape([length]);
            self.parts.push(part);
        }
    }
}

/// Puts them back.
struct Unflatten {
    gradients: GradientsParams,
    values: Tensor<1>,
    taken: usize,
}

impl ModuleVisitor for Unflatten {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let Some(old) = self.gradients.remove::<D>(parameter.id) else {
            return;
        };
        let (shape, dtype) = (old.shape(), old.dtype());
        let length = shape.num_elements();
        let own = self.values.clone().narrow(0, self.taken, length);
        self.taken += length;
        let new: Tensor<D> = own.reshape(shape).cast(FloatDType::from(dtype));
        self.gradients.register(parameter.id, new);
    }
}

/// Refuses to go on when the ranks do not hold the same weights, moving statistics included.
///
/// They compute the same updates from the same gradients, so only a fault of machine or network can
/// part them.
pub(crate) fn check_same_weights<M: Module>(
    ranks: &Group,
    net: &M,
    step: Step,
) -> Result<(), Error> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let mut sum = Checksum(DefaultHasher::new());
    net.visit(&mut sum);
    let own = sum.0.finish().to_le_bytes();
    let mut first = own;
    ranks.broadcast_bytes(0, &mut first);
    match first_with(ranks, own != first) {
        None => Ok(()),
        Some(rank) => Err(Error::RanksDiffer {
            step: step.name(),
            rank,
        }),
    }
}

/// Sums up the bits of all weights.
struct Checksum(DefaultHasher);

impl ModuleVisitor for Checksum {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        parameter.val().into_data().as_bytes().hash(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{
        nn::{Linear, LinearConfig},
        tensor::Device,
    };
    use pass_model::group::Group;
    use pass_ranks::ThreadRanks;

    fn net(weight: f32) -> Linear {
        let device = Device::flex().autodiff();
        let mut net = LinearConfig::new(2, 1).with_bias(false).init(&device);
        let weights = Tensor::from_floats([[weight], [1.0]], &device).require_grad();
        net.weight = net.weight.map(|_| weights);
        net
    }

    #[test]
    fn gradients_are_averaged_over_ranks() {
        let gradients = ThreadRanks::run(2, |ranks| {
            let net = net(1.0);
            let factor = 1.0 + 2.0 * ranks.rank() as f32;
            let x = Tensor::<2>::from_floats([[factor, 5.0]], &net.weight.val().device());
            let gradients = GradientsParams::from_grads(net.forward(x).sum().backward(), &net);
            let mean = mean_gradients(&ranks, &net, gradients);
            let mean = mean.get::<2>(net.weight.id).unwrap();
            mean.into_data().try_to_vec::<f32>().unwrap()
        });
        assert_eq!(gradients, vec![vec![2.0, 5.0]; 2]);
    }

    /// Whatever carries the sum: added in the order of the ranks, then divided once.
    #[test]
    fn the_mean_gradient_of_three_ranks_has_the_bits_of_a_sum_on_the_host() {
        let factor = |rank: usize| (rank as f32 + 1.0).sqrt();
        let gradients = ThreadRanks::run(3, |ranks| {
            let net = net(1.0);
            let row = [factor(ranks.rank()), -factor(ranks.rank()) * 1e-3];
            let x = Tensor::<2>::from_floats([row], &net.weight.val().device());
            let gradients = GradientsParams::from_grads(net.forward(x).sum().backward(), &net);
            let mean = mean_gradients(&ranks, &net, gradients);
            let mean = mean.get::<2>(net.weight.id).unwrap();
            mean.into_data().try_to_vec::<f32>().unwrap()
        });
        let sum = |scale: f32| (0..3).map(|rank| factor(rank) * scale).reduce(|a, b| a + b);
        let expected = [1.0, -1e-3].map(|scale| sum(scale).unwrap() / 3.0).to_vec();
        assert_eq!(gradients, vec![expected; 3]);
    }

    #[test]
    fn weights_that_differ_are_noticed_by_all_ranks() {
        let outcomes = ThreadRanks::run(3, |ranks| {
            let weight = if ranks.rank() == 1 {
                1.0 + f32::EPSILON
            } else {
                1.0
            };
            check_same_weights(&ranks, &net(weight), Step::Pretrain)
        });
        for outcome in outcomes {
            assert!(
                matches!(outcome, Err(Error::RanksDiffer { rank: 1, .. })),
                "{outcome:?}"
            );
        }
        let same = ThreadRanks::run(2, |ranks| {
            check_same_weights(&ranks, &net(2.0), Step::Pretrain).is_ok()
        });
        assert_eq!(same, [true, true]);
    }

    #[test]
    fn what_rank_0_finds_is_known_to_all_and_its_error_stops_all() {
        let found = |fails: bool| {
            ThreadRanks::run(3, |ranks| {
                found_by_first(&ranks, || {
                    assert_eq!(ranks.rank(), 0);
                    if fails {
                        Err(batch(1))
                    } else {
                        Ok("checkpoint-7".to_owned())
                    }
                })
            })
        };
        for text in found(false) {
            assert_eq!(text.unwrap(), "checkpoint-7");
        }
        let failed = found(true);
        assert!(
            matches!(failed[0], Err(Error::BatchOfRanks { .. })),
            "{failed:?}"
        );
        for other in &failed[1..] {
            assert!(matches!(other, Err(Error::AnotherRank)), "{other:?}");
        }
    }

    fn batch(ranks: usize) -> Error {
        Error::BatchOfRanks {
            step: "pretrain",
            batch: 8,
            parts: 1,
            ranks,
        }
    }

    #[test]
    fn the_pictures_of_a_batch_are_dealt_out_in_turn() {
        assert_eq!(own_pictures(&Group::default(), 0..4), [0, 1, 2, 3]);
        let own = ThreadRanks::run(2, |ranks| own_pictures(&ranks, 10..16));
        assert_eq!(own, [[10, 12, 14], [11, 13, 15]]);
    }
}
