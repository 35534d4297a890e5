//! A convolution in groups of many channels: each group is a convolution of its own.
//!
//! Source: "Aggregated Residual Transformations for Deep Neural Networks",
//! <https://arxiv.org/abs/1611.05431>.

use rayon::prelude::*;

use super::{Computed, convolution::Convolution};
use crate::flex::written;

/// Tensors in groups: `[outer, groups, inner]` each.
#[derive(Clone, Copy)]
struct Grouped<'a> {
    values: &'a [f32],
    outer: usize,
    groups: usize,
}

impl Grouped<'_> {
    /// One of them, `[outer, inner]`.
    fn group(&self, index: usize) -> Vec<f32> {
        let inner = self.values.len() / (self.outer * self.groups);
        let parts = self.values.chunks_exact(inner).skip(index);
        parts.step_by(self.groups).flatten().copied().collect()
    }
}

/// What `with` makes of two tensors of each group. By how many pictures tensors lie one after the
/// other is `outer`: the batch, or 1 for weights; of both tensors and the result.
pub(crate) fn by_group(
    of: &Convolution,
    tensors: [&[f32]; 2],
    outer: [usize; 3],
    with: Computed,
) -> Vec<f32> {
    let own = of.group_alone();
    let groups = of.groups;
    let found: Vec<Vec<f32>> = (0..groups)
        .into_par_iter()
        .map(|group| {
            let [first, second] = [0, 1].map(|at| {
                let (values, outer) = (tensors[at], outer[at]);
                Grouped {
                    values,
                    outer,
                    groups,
                }
                .group(group)
            });
            with(&own, &first, &second)
        })
        .collect();
    joined(&found, outer[2])
}

/// From `[groups][outer, inner]` to `[outer, groups, inner]`.
fn joined(found: &[Vec<f32>], outer: usize) -> Vec<f32> {
    let inner = found[0].len() / outer;
    written(found.len() * outer * inner, inner, |part, to| {
        let (at, group) = (part / found.len(), part % found.len());
        to.copy_from_slice(&found[group][at * inner..][..inner]);
    })
}
