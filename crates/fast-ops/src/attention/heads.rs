//! The arithmetic on the CPU: blocks of queries against all keys of their head.
//!
//! Blocks depend on the shapes alone, not on the number of threads, and so do the bits.

use std::ops::Range;

use rayon::prelude::*;
use widest::widest;

use crate::{
    exponential::exp,
    flex::written,
    product::{Matrix, multiply},
};

/// Scores of a block, at most: a quarter of a megabyte.
const SCORES: usize = 1 << 16;
/// Queries of a block, at least: each lays the keys out again.
const QUERIES: usize = 16;
/// Maxima and sums side by side.
const LANES: usize = 16;

/// A tensor `[batch, heads, tokens, channels]`, in memory in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) shape: [usize; 4],
    /// From one to the next, along each axis.
    pub(crate) steps: [usize; 4],
}

/// One head of a picture: `[batch, heads]` of it.
pub(crate) type Head = [usize; 2];

impl<'a> Heads<'a> {
    /// Some tokens of a head, `[tokens, channels]`.
    pub(crate) fn tokens(&self, [picture, head]: Head, first: usize) -> Matrix<'a> {
        let start = picture * self.steps[0] + head * self.steps[1] + first * self.steps[2];
        Matrix {
            of: &self.values[start..],
            row_step: self.steps[2],
            column_step: self.steps[3],
        }
    }

    /// Queries of a block.
    pub(crate) fn block(&self) -> usize {
        let tokens = self.shape[2];
        let most = (SCORES / tokens.max(1)).max(QUERIES);
        tokens.div_ceil(tokens.div_ceil(most).max(1)).max(1)
    }
}

/// What is added to scores, `[1 or batch, heads, tokens, tokens]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias<'a> {
    pub(crate) values: &'a [f32],
    /// Whether all pictures have the same.
    pub(crate) shared: bool,
}

/// What makes the shares of an attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares<'a> {
    pub(crate) queries: Heads<'a>,
    pub(crate) keys: Heads<'a>,
    pub(crate) bias: Option<Bias<'a>>,
}

impl Shares<'_> {
    /// The softmax of the scores of some queries, `[queries, tokens]`.
    pub(crate) fn write(&self, head: Head, queries: Range<usize>, shares: &mut [f32]) {
        let [_, heads, tokens, channels] = self.queries.shape;
        if let Some(bias) = self.bias {
            let picture = if bias.shared { 0 } else { head[0] };
            let first = ((picture * heads + head[1]) * tokens + queries.start) * tokens;
            shares.copy_from_slice(&bias.values[first..][..shares.len()]);
        }
        let sides = [queries.len(), channels, tokens];
        let keys = self.keys.tokens(head, 0).transposed();
        let queries = self.queries.tokens(head, queries.start);
        multiply(sides, queries, keys, shares, tokens, self.bias.is_some());
        softmax(shares, tokens);
    }
}

/// Of each row of so many numbers.
fn softmax(rows: &mut [f32], width: usize) {
    widest!((rows: &'a mut [f32], width: usize) -> () {
        for row in rows.chunks_exact_mut(width) {
            softmax_of(row);
        }
    });
}

#[inline(always)]
fn softmax_of(row: &mut [f32]) {
    let (parts, rest) = row.as_chunks_mut::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for part in &*parts {
        for lane in 0..LANES {
            largest[lane] = largest[lane].max(part[lane]);
        }
    }
    let largest = largest
        .iter()
        .chain(&*rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    for part in &mut *parts {
        for lane in 0..LANES {
            part[lane] = exp(part[lane] - largest);
            sums[lane] += part[lane];
        }
    }
    rest.iter_mut()
        .for_each(|score| *score = exp(*score - largest));
    let sum = sums.iter().chain(&*rest).sum::<f32>();
    let inverse = 1.0 / sum;
    row.iter_mut().for_each(|share| *share *= inverse);
}

/// The output, `[batch, tokens, heads, channels]`.
pub(crate) fn output(shares: &Shares, values: Heads) -> Vec<f32> {
    let [batch, heads, tokens, channels] = values.shape;
    let (block, width) = (values.block(), heads * channels);
    written(batch * tokens * width, tokens * width, |picture, to| {
        let blocks = to.par_chunks_mut(block * width).enumerate();
        blocks.for_each(|(index, to)| {
            let queries = index * block..index * block + to.len() / width;
            let mut scores = vec![0.0; queries.len() * tokens];
            for head in 0..heads {
                shares.write([picture, head], queries.clone(), &mut scores);
                let sides = [queries.len(), tokens, channels];
                let scores = Matrix::rows(&scores, tokens);
                let values = values.tokens([picture, head], 0);
                multiply(
                    sides,
                    scores,
                    values,
                    &mut to[head * channels..],
                    width,
                    false,
                );
            }
        });
    })
}
