//! One resample of a bootstrap: how often each picture is drawn, the matching fitted to the draw,
//! and its scores.

use std::collections::BTreeMap;

use crate::{
    Error, Evaluator, Fit, ImageCounts, Matching, MatchingRule, Overlap, Predictions, Protocol,
    Score, counts::pair_table::PairTable,
};

/// The values of [`Score::ALL`].
pub(crate) type Values = [Option<f64>; Score::ALL.len()];

/// How often each of `images` pictures is drawn in resample number `resample`: `images` draws with
/// replacement. Depends on the arguments alone (SplitMix64, seeded by both numbers).
pub(crate) fn draws(seed: u64, resample: u32, images: usize) -> Vec<u32> {
    let mut state = mix(seed).wrapping_add(mix(u64::from(resample) ^ 0x5851_F42D_4C95_7F2D));
    let mut times = vec![0; images];
    for _ in 0..images {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let index = (u128::from(mix(state)) * images as u128) >> 64;
        times[index as usize] += 1;
    }
    times
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// Predictions, prepared such that a resample costs little.
pub(crate) struct Sampler<'a> {
    images: &'a [ImageCounts],
    protocol: &'a Protocol,
    /// What a matching is fitted to, unless the ids are classes.
    refit: Option<(MatchingRule, PairsOfPictures)>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(
        predictions: &'a Predictions<'a>,
        protocol: &'a Protocol,
    ) -> Result<Self, Error> {
        protocol.check()?;
        let images = predictions.images;
        if images.is_empty() {
            return Err(Error::NoImages);
        }
        let refit = match predictions.fit {
            Fit::AsTheyAre => {
                let evaluator = Evaluator::new(*protocol);
                let mut images = images.iter();
                images.try_for_each(|image| evaluator.check_counts(image))?;
                None
            }
            Fit::Refit { rule, clusters } => {
                let empty = Overlap::new(clusters, *protocol);
                Some((rule, PairsOfPictures::new(images, empty)?))
            }
        };
        Ok(Self {
            images,
            protocol,
            refit,
        })
    }

    /// The scores when each picture counts as often as `times` says, and whether their boundaries
    /// are exact.
    pub(crate) fn scores(&self, times: &[u32]) -> Result<(Values, bool), Error> {
        let fit =
            |(rule, pairs): &(_, PairsOfPictures)| Matching::fit(*rule, &pairs.overlap(times));
        let matching = self.refit.as_ref().map(fit).transpose()?;
        let (evaluator, exact) = self.evaluate(times, matching.as_ref())?;
        let report = evaluator.report();
        Ok((Score::ALL.map(|score| score.of(&report)), exact))
    }

    fn evaluate(
        &self,
        times: &[u32],
        matching: Option<&Matching>,
    ) -> Result<(Evaluator, bool), Error> {
        let mut evaluator = Evaluator::new(*self.protocol);
        let mut exact = true;
        let joins = matching.is_some_and(Matching::joins_clusters);
        for (image, &times) in self
            .images
            .iter()
            .zip(times)
            .filter(|(_, times)| **times > 0)
        {
            match matching {
                None => evaluator.add_times(image, times.into()),
                Some(matching) => {
                    exact &= !(joins && image.is_joined_by(|id| matching.class_or_stray(id)));
                    let matched = image.matched_with_seams(matching, self.protocol)?;
                    evaluator.add_times(&matched, times.into());
                }
            }
        }
        Ok((evaluator, exact))
    }
}

/// The pairs of ids of each picture, as numbers of distinct pairs, so that a weighted sum over the
/// pictures is a sum over two arrays.
struct PairsOfPictures {
    /// Empty tables of the right size.
    empty: Overlap,
    pictures: PairSums,
    pixels: PairSums,
}

impl PairsOfPictures {
    fn new(images: &[ImageCounts], empty: Overlap) -> Result<Self, Error> {
        images
            .iter()
            .try_for_each(|image| empty.check_counts(image))?;
        let pixels = |image: &ImageCounts| {
            let cells = image.cells().iter();
            let known =
                cells.map(|cell| ((empty.known_id(cell.prediction), cell.truth), cell.pixels));
            known.collect()
        };
        let pictures = |image: &ImageCounts| present_pairs(image, empty.clusters());
        Ok(Self {
            pictures: PairSums::new(images, pictures),
            pixels: PairSums::new(images, pixels),
            empty,
        })
    }

    fn overlap(&self, times: &[u32]) -> Overlap {
        let mut overlap = self.empty.clone();
        let images = times.iter().map(|&n| u64::from(n)).sum();
        let (pictures, pixels) = (self.pictures.weighted(times), self.pixels.weighted(times));
        overlap.set_counts(images, pictures, pixels);
        overlap
    }
}

/// Each cluster of a picture with each of its classes.
fn present_pairs(image: &ImageCounts, clusters: u16) -> Vec<((u16, u16), u32)> {
    let classes: Vec<u16> = image
        .true_classes()
        .iter()
        .map(|(class, _)| *class)
        .collect();
    let clusters = image
        .predicted_labels()
        .into_iter()
        .filter(|id| (1..=clusters).contains(id));
    clusters
        .flat_map(|cluster| classes.iter().map(move |&class| ((cluster, class), 1)))
        .collect()
}

struct PairSums {
    /// The distinct pairs, ascending.
    pairs: Vec<(u16, u16)>,
    /// For each picture the end of its entries.
    ends: Vec<usize>,
    /// Number of a pair, and its count in the picture.
    entries: Vec<(u32, u32)>,
}

impl PairSums {
    fn new(images: &[ImageCounts], of: impl Fn(&ImageCounts) -> Vec<((u16, u16), u32)>) -> Self {
        let all = images
            .iter()
            .flat_map(|image| of(image).into_iter().map(|(pair, _)| (pair, 0)));
        let mut number: BTreeMap<(u16, u16), u32> = all.collect();
        (0..)
            .zip(number.values_mut())
            .for_each(|(n, value)| *value = n);
        let (mut ends, mut entries) = (Vec::with_capacity(images.len()), Vec::new());
        for image in images {
            let counts = of(image).into_iter();
            entries.extend(counts.map(|(pair, count)| (number[&pair], count)));
            ends.push(entries.len());
        }
        Self {
            pairs: number.into_keys().collect(),
            ends,
            entries,
        }
    }

    fn weighted(&self, times: &[u32]) -> PairTable {
        let mut sums = vec![0u64; self.pairs.len()];
        let mut start = 0;
        for (&end, &times) in self.ends.iter().zip(times) {
            for &(number, count) in &self.entries[start..end] {
                sums[number as usize] += u64::from(count) * u64::from(times);
            }
            start = end;
        }
        let sums = self.pairs.iter().zip(sums).filter(|(_, sum)| *sum > 0);
        sums.map(|(pair, sum)| (*pair, sum)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_as_many_as_pictures_and_repeatable() {
        let times = draws(7, 3, 1000);
        assert_eq!(times.iter().sum::<u32>(), 1000);
        assert_eq!(times, draws(7, 3, 1000));
        assert_ne!(times, draws(7, 4, 1000));
        assert_ne!(times, draws(8, 3, 1000));
    }

    /// Of n pictures a share of about 1/e is not drawn; the deviation is about 0.003.
    #[test]
    fn about_a_third_is_not_drawn() {
        let missing = draws(1, 1, 10_000)
            .iter()
            .filter(|times| **times == 0)
            .count();
        assert!((3550..3810).contains(&missing), "{missing}");
    }
}
