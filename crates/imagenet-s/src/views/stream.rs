//! Counter-based random streams: each random choice has an address, not a history.
//!
//! A stream is ChaCha with 8 rounds (Bernstein 2008, <https://cr.yp.to/chacha/chacha-20080128.pdf>)
//! whose 256-bit key *is* the tuple (seed, epoch, picture, purpose). Two different tuples give
//! independent streams; the same tuple gives the same numbers on every machine, whichever
//! thread asks and however often a run was interrupted.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// What a stream is used for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The order of the pictures in an epoch.
    Shuffle,
    /// The augmented view with this index among all views of a picture.
    Crop(usize),
    /// A picture cropped together with its mask.
    Pair,
    /// Pictures of the synthetic data set.
    Synthetic,
}

impl Purpose {
    /// The number in the key. Part of what makes old runs repeatable: never renumber.
    fn number(self) -> u64 {
        let (kind, detail) = match self {
            Purpose::Shuffle => (1, 0),
            Purpose::Crop(index) => (2, index as u64),
            Purpose::Pair => (3, 0),
            Purpose::Synthetic => (4, 0),
        };
        kind << 32 | detail
    }
}

/// A random stream keyed by (seed, epoch, picture, purpose).
///
/// ```
/// use imagenet_s::views::{Purpose, Stream};
///
/// let mut first = Stream::new(10010, 3, 42, Purpose::Crop(0));
/// let mut again = Stream::new(10010, 3, 42, Purpose::Crop(0));
/// assert_eq!(first.uniform(0.0, 1.0), again.uniform(0.0, 1.0));
/// ```
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` for the picture with index `picture` in epoch `epoch`.
    pub fn new(seed: u64, epoch: u64, picture: u64, purpose: Purpose) -> Self {
        let mut key = [0; 32];
        let words = [seed, epoch, picture, purpose.number()];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number drawn uniformly from `low..high`; `low` when both are equal.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// An integer drawn uniformly from `0..n`.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "cannot draw one of 0 values");
        // The high half of the product; its bias is below n / 2^64.
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// `true` with this probability; 0 is never, 1 is always.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number drawn from the normal distribution of mean 0 and deviation 1 (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Puts the elements into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            elements.swap(last, self.below(last + 1));
        }
    }

    /// A multiple of 2^-53 in `0..1`.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * 2f64.powi(-53)
    }
}

/// The order in which an epoch visits `n` pictures: a permutation of `0..n`.
pub fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order = (0..n).collect::<Vec<_>>();
    Stream::new(seed, epoch, 0, Purpose::Shuffle).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(mut stream: Stream) -> Vec<u64> {
        (0..4).map(|_| stream.0.next_u64()).collect()
    }

    #[test]
    fn each_part_of_the_key_changes_the_stream() {
        let base = numbers(Stream::new(1, 2, 3, Purpose::Crop(0)));
        assert_eq!(base, numbers(Stream::new(1, 2, 3, Purpose::Crop(0))));
        for other in [
            Stream::new(9, 2, 3, Purpose::Crop(0)),
            Stream::new(1, 9, 3, Purpose::Crop(0)),
            Stream::new(1, 2, 9, Purpose::Crop(0)),
            Stream::new(1, 2, 3, Purpose::Crop(1)),
            Stream::new(1, 2, 3, Purpose::Pair),
        ] {
            assert_ne!(base, numbers(other));
        }
    }

    /// The ECRYPT test vector of ChaCha8: 256-bit key of zeros, IV of zeros.
    #[test]
    fn the_all_zero_key_gives_the_published_key_stream() {
        let mut stream = ChaCha8Rng::from_seed([0; 32]);
        assert_eq!(
            stream.next_u64().to_le_bytes(),
            [0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6]
        );
    }

    #[test]
    fn a_stream_gives_the_same_numbers_in_every_release() {
        let mut stream = Stream::new(10010, 3, 42, Purpose::Crop(1));
        assert_eq!(stream.below(1000), 248);
        assert_eq!(permutation(5, 7, 1), [0, 4, 3, 2, 1]);
    }

    #[test]
    fn an_order_is_a_permutation_and_changes_with_the_epoch() {
        let order = permutation(101, 7, 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..101).collect::<Vec<_>>());
        assert_eq!(order, permutation(101, 7, 0));
        assert_ne!(order, permutation(101, 7, 1));
    }

    #[test]
    fn empty_and_single_orders_exist() {
        assert!(permutation(0, 7, 0).is_empty());
        assert_eq!(permutation(1, 7, 0), [0]);
    }

    #[test]
    fn draws_stay_in_their_range_and_fill_it() {
        let mut stream = Stream::new(5, 0, 0, Purpose::Synthetic);
        let mut counts = [0; 7];
        for _ in 0..7000 {
            counts[stream.below(7)] += 1;
            let number = stream.uniform(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&number), "{number}");
        }
        // 1000 expected, deviation 29: five deviations.
        assert!(
            counts.iter().all(|&n| (850..1150).contains(&n)),
            "{counts:?}"
        );
    }

    #[test]
    fn probability_zero_is_never_and_one_is_always() {
        let mut stream = Stream::new(5, 0, 0, Purpose::Pair);
        assert!((0..1000).all(|_| !stream.chance(0.0) && stream.chance(1.0)));
    }

    #[test]
    fn normal_draws_have_mean_zero_and_deviation_one() {
        let mut stream = Stream::new(5, 0, 0, Purpose::Synthetic);
        let draws = (0..10_000).map(|_| stream.normal()).collect::<Vec<_>>();
        let mean = draws.iter().sum::<f64>() / 1e4;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 1e4;
        // Five standard errors: 0.01 of the mean, 0.0141 of the variance.
        assert!(
            mean.abs() < 0.05 && (variance - 1.0).abs() < 0.07,
            "{mean} {variance}"
        );
    }

    #[test]
    #[should_panic(expected = "0 values")]
    fn drawing_from_nothing_is_a_bug() {
        Stream::new(1, 1, 1, Purpose::Pair).below(0);
    }
}
