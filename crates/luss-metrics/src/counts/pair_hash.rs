//! A map keyed by pairs of labels, for the loops over the stretches of a picture.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A value for each pair of labels. A noisy picture looks up tens of thousands of pairs, for which
/// the standard hash, made to withstand crafted keys, takes longer than everything else.
pub(crate) type PairMap<V> = HashMap<(u16, u16), V, BuildHasherDefault<PairHasher>>;

/// Multiplies the labels, side by side, with 2⁶⁴ over the golden ratio.
#[derive(Default)]
pub(crate) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write_u16(&mut self, label: u16) {
        self.0 = (self.0 << 16) | u64::from(label);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u16(byte.into()));
    }

    fn finish(&self) -> u64 {
        let product = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        product ^ (product >> 32) // the high bits depend on all labels, the low ones do not
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_values_apart() {
        let mut map = PairMap::default();
        let pairs = || (0..300u16).flat_map(|i| (0..40u16).map(move |j| (i, 1000 * j)));
        pairs()
            .zip(0u32..)
            .for_each(|(pair, n)| assert_eq!(map.insert(pair, n), None));
        assert!(pairs().zip(0..).all(|(pair, n)| map[&pair] == n));
    }
}
