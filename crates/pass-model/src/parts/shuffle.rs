//! Which pictures share their batch statistics, and keys in another order, so that they do not share
//! theirs with the queries that have to find them (shuffling batch norm; He et al. 2020,
//! <https://arxiv.org/abs/1911.05722>, §3.3).

use burn::tensor::{Int, Tensor, TensorData};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};

use crate::{backbone::BadSetting, group::Group, norm::NormMode};

/// Numbers of streams below this one are those of parameters, see [`crate::init`].
const FIRST_STREAM: u64 = 1 << 32;
/// More parts of a batch than there are.
const MOST_PARTS: u64 = 1 << 24;

/// Which pictures share their batch statistics, in methods with keys of a momentum encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyNormsConfig {
    /// Pictures whose statistics are joined, of one rank; 0 joins all pictures of all ranks. A share of
    /// a batch that is smaller is joined, a larger one is a multiple of it.
    pub pictures: usize,
    /// Whether keys share their statistics with other pictures than their queries.
    pub shuffle_keys: bool,
}

/// As eight GPUs at a batch of 256.
impl Default for KeyNormsConfig {
    fn default() -> Self {
        Self {
            pictures: 32,
            shuffle_keys: true,
        }
    }
}

impl KeyNormsConfig {
    /// Refuses parts that the share of a rank, or of a part of a batch, does not have.
    ///
    /// # Errors
    ///
    /// If the share is larger than a part and no multiple of it.
    pub fn check(&self, share: usize) -> Result<(), BadSetting> {
        let part = self.pictures;
        let fits = part == 0 || share <= part || share.is_multiple_of(part);
        let rule = format!(
            "{share} pictures go through the network at a time: it must divide them, or be as large; \
             0 takes the pictures of all ranks"
        );
        BadSetting::unless(fits, "norms.pictures", part, rule)
    }

    /// Parts of so many pictures.
    fn parts(&self, pictures: usize) -> usize {
        match self.pictures {
            0 => 1,
            part => pictures.div_ceil(part).max(1),
        }
    }
}

/// The rule of [`KeyNormsConfig`] in a training, and the order of the keys.
#[derive(Clone, Debug)]
pub struct KeyNorms {
    config: KeyNormsConfig,
    seed: u64,
    /// Names the next batch, or part of one.
    next: u64,
}

impl KeyNorms {
    /// The orders of a seed.
    pub fn new(config: KeyNormsConfig, seed: u64) -> Self {
        Self {
            config,
            seed,
            next: 0,
        }
    }

    /// Begins an iteration: its orders are always the same.
    pub fn begin(&mut self, iteration: usize) {
        self.next = iteration as u64 * MOST_PARTS;
    }

    /// How norms see this rank's pictures.
    pub fn mode<'a>(&self, pictures: usize, group: &'a Group) -> NormMode<'a> {
        match self.config.pictures {
            0 => NormMode::Group(group),
            _ => NormMode::Parts(self.config.parts(pictures), group),
        }
    }

    /// The order of the next keys, of which each rank has so many.
    pub fn key_order(&mut self, pictures: usize, group: &Group) -> KeyOrder {
        let number = self.next;
        self.next += 1;
        let joined = self.config.pictures == 0;
        let parts = self.config.parts(pictures) * group.size();
        let shuffles = self.config.shuffle_keys && !joined && parts > 1;
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

    fn norms(pictures: usize, shuffle_keys: bool) -> KeyNorms {
        let config = KeyNormsConfig {
            pictures,
            shuffle_keys,
        };
        KeyNorms::new(config, 1)
    }

    fn rows() -> Tensor<3> {
        Tensor::<1, Int>::arange(0..24, &Device::default())
            .float()
            .reshape([6, 2, 2])
    }

    #[test]
    fn keys_come_in_another_order_and_back() {
        let (mut norms, group) = (norms(2, true), Group::default());
        norms.begin(7);
        let order = norms.key_order(6, &group);
        let shuffled = order.shuffled(rows(), &group);
        assert_ne!(shuffled.to_data(), rows().to_data());
        let restored = order.restored(shuffled, &group);
        assert_eq!(restored.into_data(), rows().into_data());
        assert_ne!(order, norms.key_order(6, &group), "of the next part");
        norms.begin(7);
        assert_eq!(order, norms.key_order(6, &group), "of the same again");
    }

    #[test]
    fn one_part_is_not_shuffled() {
        for mut norms in [
            norms(0, true),
            norms(6, true),
            norms(9, true),
            norms(2, false),
        ] {
            assert_eq!(norms.key_order(6, &Group::default()), KeyOrder(None));
        }
    }

    #[test]
    fn parts_have_so_many_pictures() {
        let group = Group::default();
        let count = |of: usize| match norms(of, true).mode(6, &group) {
            NormMode::Parts(count, _) => count,
            mode => panic!("{mode:?}"),
        };
        assert_eq!([2, 3, 6, 32].map(count), [3, 2, 1, 1]);
        assert!(matches!(norms(0, true).mode(6, &group), NormMode::Group(_)));
        let fits = |of: usize| norms(of, true).config.check(6).is_ok();
        assert_eq!([0, 2, 4, 6, 32].map(fits), [true, true, false, true, true]);
    }
}
