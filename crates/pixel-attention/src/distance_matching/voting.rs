//! The nearest support embeddings of a block of pixels, and their vote.

use super::{DistanceMatchingConfig, SupportSet, Voting};
use crate::products::row_products;

/// Pixels and support embeddings of one product: 64 x 1024 similarities are 256 KiB.
pub(super) const BLOCK_PIXELS: usize = 64;
const BLOCK_SUPPORT: usize = 1024;

/// The buffers of one thread.
pub(super) struct Voter<'a> {
    set: &'a SupportSet,
    config: &'a DistanceMatchingConfig,
    similarities: Vec<f32>,
    neighbours: Vec<Vec<Neighbour>>,
    votes: Vec<f64>,
}

/// A support embedding near a pixel.
#[derive(Clone, Copy)]
pub(super) struct Neighbour {
    similarity: f32,
    label: u16,
}

impl<'a> Voter<'a> {
    pub(super) fn new(set: &'a SupportSet, config: &'a DistanceMatchingConfig) -> Self {
        let similarities = vec![0.0; BLOCK_PIXELS * BLOCK_SUPPORT.min(set.len())];
        let neighbours = vec![Vec::new(); BLOCK_PIXELS];
        Self {
            set,
            config,
            similarities,
            neighbours,
            votes: vec![0.0; usize::from(set.classes) + 1],
        }
    }

    pub(super) fn label_block(&mut self, pixels: &[f32]) -> Vec<u16> {
        let count = pixels.len() / self.set.channels;
        self.neighbours.iter_mut().for_each(Vec::clear);
        let support = self.set.rows.chunks(BLOCK_SUPPORT * self.set.channels);
        for (rows, labels) in support.zip(self.set.labels.chunks(BLOCK_SUPPORT)) {
            let similarities = &mut self.similarities[..count * labels.len()];
            row_products(rows, pixels, self.set.channels, similarities);
            let pixels = similarities.chunks(labels.len()).zip(&mut self.neighbours);
            pixels.for_each(|(similarities, nearest)| {
                keep_nearest(similarities, labels, self.config.neighbours, nearest);
            });
        }
        let (votes, config) = (&mut self.votes, self.config);
        self.neighbours[..count]
            .iter()
            .map(|near| elect(near, config, votes))
            .collect()
    }
}

/// The label that wins the vote of the most similar embeddings, given the similarity and the label of
/// each; none where all similarities are -∞.
///
/// # Panics
///
/// If there are fewer labels than similarities, or no neighbour may vote.
pub fn vote(similarities: &[f32], labels: &[u16], config: &DistanceMatchingConfig) -> Option<u16> {
    let mut nearest = Vec::new();
    keep_nearest(similarities, labels, config.neighbours, &mut nearest);
    let highest = nearest.iter().map(|near| near.label).max()?;
    let mut votes = vec![0.0; usize::from(highest) + 1];
    Some(elect(&nearest, config, &mut votes))
}

/// Keeps the `count` most similar, most similar first; of equals the earliest.
pub(super) fn keep_nearest(
    similarities: &[f32],
    labels: &[u16],
    count: usize,
    nearest: &mut Vec<Neighbour>,
) {
    let floor_of = |nearest: &Vec<Neighbour>| match nearest.last() {
        Some(last) if nearest.len() == count => last.similarity,
        _ => f32::NEG_INFINITY,
    };
    let mut floor = floor_of(nearest);
    for (&similarity, &label) in similarities.iter().zip(labels) {
        if similarity > floor {
            let place = nearest.partition_point(|kept| kept.similarity >= similarity);
            nearest.insert(place, Neighbour { similarity, label });
            nearest.truncate(count);
            floor = floor_of(nearest);
        }
    }
}

/// The label with the largest vote. Of equal ones the lowest, as the published arg-max; plain votes
/// are often equal, and go to the label of the nearest neighbour.
fn elect(nearest: &[Neighbour], config: &DistanceMatchingConfig, votes: &mut [f64]) -> u16 {
    cast_votes(nearest, config, votes);
    match config.voting {
        Voting::Weighted => first_largest(0..votes.len() as u16, votes),
        Voting::Plain => first_largest(nearest.iter().map(|near| near.label), votes),
    }
}

fn first_largest(labels: impl Iterator<Item = u16>, votes: &[f64]) -> u16 {
    let vote = |label: u16| votes[usize::from(label)];
    let larger = |best, next| if vote(next) > vote(best) { next } else { best };
    labels.reduce(larger).expect("somebody votes")
}

/// Sums the votes of the neighbours of each label.
pub(super) fn cast_votes(
    nearest: &[Neighbour],
    config: &DistanceMatchingConfig,
    votes: &mut [f64],
) {
    votes.fill(0.0);
    for neighbour in nearest {
        votes[usize::from(neighbour.label)] += match config.voting {
            Voting::Weighted => (f64::from(neighbour.similarity) / config.temperature).exp(),
            Voting::Plain => 1.0,
        };
    }
}
