//! Pictures in another order, so that keys do not share their batch statistics with the queries that
//! they have to be told apart from (shuffling batch norm; He et al. 2020,
//! <https://arxiv.org/abs/1911.05722>, §3.3).

use burn::tensor::{Int, Tensor, TensorData};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::{group::Group, norm::NormMode};

/// Numbers of streams below this one are those of parameters, see [`crate::init`].
const FIRST_STREAM: u64 = 1 << 32;

/// Which pictures of a batch share their batch statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormParts {
    /// Pictures of a part; 0 makes one part of all pictures of all ranks.
    pub pictures: usize,
    /// Whether keys are dealt out to other parts than their queries.
    pub shuffle_keys: bool,
    /// Keys the order of the keys.
    pub seed: u64,
}

impl NormParts {
    /// How the pictures of this rank are normalised; fewer than a part are one.
    ///
    /// # Panics
    ///
    /// Norms panic if there are more than a part and they are no multiple of it.
    pub fn mode<'a>(&self, pictures: usize, group: &'a Group) -> NormMode<'a> {
        match self.pictures {
            0 => NormMode::Group(group),
            part => NormMode::Parts(pictures.div_ceil(part).max(1), group),
        }
    }

    /// The order of the keys of all ranks, each of which has so many; `number` names the batch.
    pub fn key_order(&self, pictures: usize, number: u64, group: &Group) -> KeyOrder {
        let parts = match self.pictures {
            0 => 1,
            part => pictures.div_ceil(part) * group.size(),
        };
        let shuffles = self.shuffle_keys && parts > 1;
        KeyOrder(shuffles.then(|| permutation(pictures * group.size(), self.seed, number)))
    }
}

/// An order of the pictures of all ranks, or that in which they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder(Option<Vec<usize>>);

impl KeyOrder {
    /// What this rank gets of the rows of all ranks in this order. Collective.
    ///
    /// # Shapes
    ///
    /// - `own` and output: `[pictures, ..]`
    pub fn shuffled<const D: usize>(&self, own: Tensor<D>, group: &Group) -> Tensor<D> {
        match &self.0 {
            Some(order) => taken(own, order, group),
            None => own,
        }
    }

    /// Undoes [`shuffled`](Self::shuffled). Collective.
    ///
    /// # Shapes
    ///
    /// As for [`shuffled`](Self::shuffled).
    pub fn restored<const D: usize>(&self, own: Tensor<D>, group: &Group) -> Tensor<D> {
        match &self.0 {
            Some(order) => taken(own, &inverse(order), group),
            None => own,
        }
    }
}

/// This rank's share of the rows of all ranks in an order.
fn taken<const D: usize>(own: Tensor<D>, order: &[usize], group: &Group) -> Tensor<D> {
    let shape = own.shape();
    let rows = shape[0];
    let all = group.gather_rows(own.reshape([rows as i64, -1]));
    let share = &order[group.rank() * rows..][..rows];
    let numbers: Vec<i64> = share.iter().map(|&row| row as i64).collect();
    let numbers = TensorData::new(numbers, [rows]);
    let numbers = Tensor::<1, Int>::from_data(numbers, &all.device());
    all.select(0, numbers).reshape(shape)
}

fn permutation(count: usize, seed: u64, number: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(FIRST_STREAM.wrapping_add(number));
    let mut drawn: Vec<_> = (0..count).map(|row| (random.next_u64(), row)).collect();
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, row)| row).collect()
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    for (place, &row) in order.iter().enumerate() {
        places[row] = place;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn parts(pictures: usize, shuffle_keys: bool) -> NormParts {
        NormParts {
            pictures,
            shuffle_keys,
            seed: 1,
        }
    }

    fn rows() -> Tensor<3> {
        Tensor::<1, Int>::arange(0..24, &Device::default())
            .float()
            .reshape([6, 2, 2])
    }

    #[test]
    fn keys_come_in_another_order_and_back() {
        let (parts, group) = (parts(2, true), Group::default());
        let order = parts.key_order(6, 7, &group);
        let shuffled = order.shuffled(rows(), &group);
        assert_ne!(shuffled.to_data(), rows().to_data());
        let restored = order.restored(shuffled, &group);
        assert_eq!(restored.into_data(), rows().into_data());
        assert_ne!(order, parts.key_order(6, 8, &group), "of another batch");
        assert_eq!(order, parts.key_order(6, 7, &group), "of the same again");
    }

    #[test]
    fn one_part_is_not_shuffled() {
        let group = Group::default();
        for parts in [
            parts(0, true),
            parts(6, true),
            parts(9, true),
            parts(2, false),
        ] {
            assert_eq!(parts.key_order(6, 0, &group), KeyOrder(None));
        }
    }

    #[test]
    fn parts_have_so_many_pictures() {
        let group = Group::default();
        let count = |of: usize| match parts(of, true).mode(6, &group) {
            NormMode::Parts(count, _) => count,
            mode => panic!("{mode:?}"),
        };
        assert_eq!([2, 3, 6, 32].map(count), [3, 2, 1, 1]);
        assert!(matches!(parts(0, true).mode(6, &group), NormMode::Group(_)));
    }
}
