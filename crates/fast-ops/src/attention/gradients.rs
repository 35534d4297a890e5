//! The backward pass, head by head.
//!
//! With the shares P and the gradient g of the output: `dV = Pᵀ·g`, `dP = g·Vᵀ`, that of the scores is
//! `dS = P∘(dP − Σ P∘dP)`, the sum over keys, then `dK = dSᵀ·sQ` and `dQ = s·dS·K` with the scale s.

use rayon::prelude::*;
use widest::widest;

use super::heads::{Head, Heads, Shares};
use crate::{
    flex::{written, written_and_found},
    product::{Matrix, multiply},
    sums::sum,
};

/// What the gradients are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention<'a> {
    pub(crate) shares: Shares<'a>,
    pub(crate) values: Heads<'a>,
    /// Of the output.
    pub(crate) gradient: Heads<'a>,
}

/// Of one head.
struct OfHead {
    /// Of queries, keys and values, `[tokens, channels]` each.
    thirds: [Vec<f32>; 3],
    /// Of the scores, if they are kept, `[tokens, tokens]`.
    scores: Vec<f32>,
}

/// Of queries, keys and values, `[batch, tokens, 3, heads, channels]`, and of the bias, if it is asked for.
pub(crate) fn gradients(of: &Attention, of_bias: bool) -> (Vec<f32>, Option<Vec<f32>>) {
    let [batch, heads, tokens, channels] = of.values.shape;
    let size = tokens * 3 * heads * channels;
    let (packed, found) = written_and_found(batch * size, size, |picture, to| {
        let heads = (0..heads).into_par_iter();
        let found: Vec<OfHead> = heads
            .map(|head| of.head([picture, head], of_bias))
            .collect();
        pack(&found, channels, to);
        found
            .into_iter()
            .map(|head| head.scores)
            .collect::<Vec<_>>()
    });
    let shared = of.shares.bias.is_some_and(|bias| bias.shared);
    let bias = of_bias.then(|| bias_gradient(&found, tokens * tokens, shared));
    (packed, bias)
}

/// Lays out those of the heads of a picture, `[tokens, 3, heads, channels]`.
fn pack(found: &[OfHead], channels: usize, to: &mut [f32]) {
    let rows = to.chunks_exact_mut(3 * found.len() * channels);
    for (token, row) in rows.enumerate() {
        for (index, to) in row.chunks_exact_mut(channels).enumerate() {
            let (which, head) = (index / found.len(), index % found.len());
            to.copy_from_slice(&found[head].thirds[which][token * channels..][..channels]);
        }
    }
}

/// That of the scores of each picture and head, summed over pictures where they share a bias.
fn bias_gradient(found: &[Vec<Vec<f32>>], size: usize, shared: bool) -> Vec<f32> {
    let pictures = if shared { found.len() } else { 1 };
    let found: Vec<&Vec<f32>> = found.iter().flatten().collect();
    let biases = found.len() / pictures.max(1);
    written(biases * size, size, |index, to| {
        for scores in found.iter().skip(index).step_by(biases) {
            to.iter_mut()
                .zip(*scores)
                .for_each(|(sum, score)| *sum += score);
        }
    })
}

impl Attention<'_> {
    /// The gradients of a head; those of scores are returned if they are `kept`.
    fn head(&self, head: Head, kept: bool) -> OfHead {
        let [_, _, tokens, channels] = self.values.shape;
        let block = self.values.block();
        let [mut of_queries, mut keys, mut values] = [(); 3].map(|()| vec![0.0; tokens * channels]);
        let rows = if kept { tokens } else { block };
        let mut scores = vec![0.0; rows * tokens];
        let mut shares = vec![0.0; block * tokens];
        for (index, of_queries) in of_queries.chunks_mut(block * channels).enumerate() {
            let first = index * block;
            let count = of_queries.len() / channels;
            let shares = &mut shares[..count * tokens];
            let scores = &mut scores[if kept { first * tokens } else { 0 }..][..count * tokens];
            let queries = self.shares.scaled(head, first..first + count);
            self.shares.write(head, first, &queries, shares);
            let gradient = self.gradient.tokens(head, first);
            let of_shares = self.values.tokens(head, 0).transposed();
            let sides = [count, channels, tokens];
            multiply(sides, gradient, of_shares, scores, tokens, false);
            let (add, back) = (index > 0, [tokens, count, channels]);
            let of_values = Matrix::rows(shares, tokens).transposed();
            multiply(back, of_values, gradient, &mut values, channels, add);
            of_scores(shares, scores, tokens);
            let scores = Matrix::rows(scores, tokens);
            let all = self.shares.keys.tokens(head, 0);
            let sides = [count, tokens, channels];
            multiply(sides, scores, all, of_queries, channels, false);
            let queries = Matrix::rows(&queries, channels);
            multiply(back, scores.transposed(), queries, &mut keys, channels, add);
        }
        let scale = self.shares.scale;
        of_queries.iter_mut().for_each(|query| *query *= scale);
        OfHead {
            thirds: [of_queries, keys, values],
            scores: if kept { scores } else { Vec::new() },
        }
    }
}

/// From the gradient of shares to that of scores, in place, row by row.
fn of_scores(shares: &[f32], gradient: &mut [f32], width: usize) {
    widest!((shares: &'a [f32], gradient: &'a mut [f32], width: usize) -> () {
        let rows = gradient.chunks_exact_mut(width).zip(shares.chunks_exact(width));
        for (gradient, shares) in rows {
            let level = sum(shares, gradient, |share, gradient| share * gradient) as f32;
            for (gradient, share) in gradient.iter_mut().zip(shares) {
                *gradient = share * (*gradient - level);
            }
        }
    });
}
