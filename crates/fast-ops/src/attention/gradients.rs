//! The backward pass, head by head.
//!
//! With the shares P and the gradient g of the output: `dV = Pᵀ·g`, `dP = g·Vᵀ`, that of the scores is
//! `dS = P∘(dP − Σ P∘dP)`, the sum over keys, then `dQ = dS·K` and `dK = dSᵀ·Q`.
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

/// Of queries, keys and values, `[batch, heads, tokens, channels]`, and of the bias, if it is asked for.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) queries: Vec<f32>,
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Of one head.
struct OfHead {
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Of the scores, if they are kept, `[tokens, tokens]`.
    scores: Vec<f32>,
}

/// All of them; `of_bias`: also that of the bias.
pub(crate) fn gradients(of: &Attention, of_bias: bool) -> Found {
    let [batch, heads, tokens, channels] = of.values.shape;
    let size = tokens * channels;
    let (queries, found) = written_and_found(batch * heads * size, size, |index, to| {
        of.head([index / heads, index % heads], of_bias, to)
    });
    let joined = |part: fn(&OfHead) -> &Vec<f32>| {
        let copy = |index: usize, to: &mut [f32]| to.copy_from_slice(part(&found[index]));
        written(batch * heads * size, size, copy)
    };
    let shared = of.shares.bias.is_some_and(|bias| bias.shared);
    let bias = of_bias.then(|| bias_gradient(&found, heads, tokens * tokens, shared));
    Found {
        queries,
        keys: joined(|head| &head.keys),
        values: joined(|head| &head.values),
        bias,
    }
}

/// That of the scores, summed over pictures where they share a bias.
fn bias_gradient(found: &[OfHead], heads: usize, size: usize, shared: bool) -> Vec<f32> {
    let biases = if shared { heads } else { found.len() };
    written(biases * size, size, |index, to| {
        for head in found.iter().skip(index).step_by(biases) {
            to.iter_mut()
                .zip(&head.scores)
                .for_each(|(sum, score)| *sum += score);
        }
    })
}

impl Attention<'_> {
    /// Writes the gradient of a head's queries, and returns the others; those of scores if they are
    /// `kept`.
    fn head(&self, head: Head, kept: bool, of_queries: &mut [f32]) -> OfHead {
        let [_, _, tokens, channels] = self.values.shape;
        let block = self.values.block();
        let [mut keys, mut values] = [(); 2].map(|()| vec![0.0; tokens * channels]);
        let mut scores = vec![
            0.0;
            if kept {
                tokens * tokens
            } else {
                block * tokens
            }
        ];
        let mut shares = vec![0.0; block * tokens];
        for (index, of_queries) in of_queries.chunks_mut(block * channels).enumerate() {
            let first = index * block;
            let count = of_queries.len() / channels;
            let shares = &mut shares[..count * tokens];
            let scores = &mut scores[if kept { first * tokens } else { 0 }..][..count * tokens];
            self.shares.write(head, first..first + count, shares);
            let gradient = self.gradient.tokens(head, first);
            let of_shares = self.values.tokens(head, 0).transposed();
            multiply(
                [count, channels, tokens],
                gradient,
                of_shares,
                scores,
                tokens,
                false,
            );
            let add = index > 0;
            let back = Matrix::rows(shares, tokens).transposed();
            multiply(
                [tokens, count, channels],
                back,
                gradient,
                &mut values,
                channels,
                add,
            );
            of_scores(shares, scores, tokens);
            let scores = Matrix::rows(scores, tokens);
            let all = self.shares.keys.tokens(head, 0);
            multiply(
                [count, tokens, channels],
                scores,
                all,
                of_queries,
                channels,
                false,
            );
            let (back, own) = (scores.transposed(), self.shares.queries.tokens(head, first));
            multiply(
                [tokens, count, channels],
                back,
                own,
                &mut keys,
                channels,
                add,
            );
        }
        if !kept {
            scores.clear();
        }
        OfHead {
            keys,
            values,
            scores,
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
