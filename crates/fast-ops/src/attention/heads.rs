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

/// The heads of all tokens, those of a token side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) values: &'a [f32],
    /// `[batch, heads, tokens, channels]`.
    pub(crate) shape: [usize; 4],
    /// From one token to the next.
    pub(crate) pitch: usize,
}

/// One head of a picture: `[batch, heads]` of it.
pub(crate) type Head = [usize; 2];

impl<'a> Heads<'a> {
    /// Some tokens of a head, `[tokens, channels]`.
    pub(crate) fn tokens(&self, [picture, head]: Head, first: usize) -> Matrix<'a> {
        let [_, _, tokens, channels] = self.shape;
        let start = (picture * tokens + first) * self.pitch + head * channels;
        Matrix::rows(&self.values[start..], self.pitch)
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
    /// Of the scores, before the bias is added.
    pub(crate) scale: f32,
    pub(crate) bias: Option<Bias<'a>>,
}

impl Shares<'_> {
    /// Some queries with the scale, `[queries, channels]`.
    pub(crate) fn scaled(&self, head: Head, queries: Range<usize>) -> Vec<f32> {
        let channels = self.queries.shape[3];
        let of = self.queries.tokens(head, queries.start);
        let rows = of.of.chunks(of.row_step).take(queries.len());
        rows.flat_map(|row| &row[..channels])
            .map(|query| query * self.scale)
            .collect()
    }

    /// The softmax of the scores of such queries from a first one on, `[queries, tokens]`.
    pub(crate) fn write(&self, head: Head, first: usize, queries: &[f32], shares: &mut [f32]) {
        let [_, heads, tokens, channels] = self.queries.shape;
        if let Some(bias) = self.bias {
            let picture = if bias.shared { 0 } else { head[0] };
            let first = ((picture * heads + head[1]) * tokens + first) * tokens;
            shares.copy_from_slice(&bias.values[first..][..shares.len()]);
        }
        let sides = [shares.len() / tokens, channels, tokens];
        let keys = self.keys.tokens(head, 0).transposed();
        let queries = Matrix::rows(queries, channels);
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
            let (first, count) = (index * block, to.len() / width);
            let mut scores = vec![0.0; count * tokens];
            for head in 0..heads {
                let queries = shares.scaled([picture, head], first..first + count);
                shares.write([picture, head], first, &queries, &mut scores);
                let sides = [count, tokens, channels];
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
