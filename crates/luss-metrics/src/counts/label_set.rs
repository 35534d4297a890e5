//! A set of labels: one bit for each of the 65 536 ids.

/// Which ids occur; 8 KiB, whatever the number of classes.
pub(crate) struct LabelSet(Box<[u64; 1024]>);

impl Default for LabelSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl LabelSet {
    pub(crate) fn of(labels: impl Iterator<Item = u16>) -> Self {
        let mut set = Self::default();
        labels.for_each(|label| set.insert(label));
        set
    }

    pub(crate) fn insert(&mut self, label: u16) {
        self.0[usize::from(label >> 6)] |= 1 << (label & 63);
    }

    pub(crate) fn contains(&self, label: u16) -> bool {
        self.0[usize::from(label >> 6)] >> (label & 63) & 1 == 1
    }

    /// The ids in ascending order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u16> {
        let words = (0u16..).zip(self.0.iter()).filter(|(_, bits)| **bits != 0);
        words.flat_map(|(word, &bits)| {
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| word << 6 | bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_once_and_in_order() {
        let set = LabelSet::of([65535, 0, 63, 64, 1000, 64].into_iter());
        assert_eq!(set.ids().collect::<Vec<_>>(), [0, 63, 64, 1000, 65535]);
        assert!(set.contains(1000) && !set.contains(999));
    }
}
