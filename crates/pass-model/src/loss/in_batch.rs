//! Contrast within a batch: the other pictures of the batch are the negatives.
//!
//! NT-Xent of SimCLR (Chen et al. 2020, <https://arxiv.org/abs/2002.05709>, eq. 1) and the contrast of
//! MoCo v3 (Chen et al. 2021, <https://arxiv.org/abs/2104.02057>, algorithm 1). Both are the
//! cross-entropy of a row of cosines, divided by a temperature, against the column of the positive.

use burn::tensor::{Int, Tensor, assert_shape};

use super::cross_entropy;
use crate::{group::Group, normalize::l2_normalize, precision::product};

/// NT-Xent: each view has to find the other view of its picture among all other views of the batch.
///
/// The mean over both views of all pictures; the gradient flows into every row, negatives too. Of
/// several ranks it is the mean over the rows of this one, with the rows of all as candidates.
/// Collective.
///
/// # Shapes
///
/// - each of `views`: `[pictures, dim]`, of any length
/// - output: `[1]`; `ln(2B - 1)` where all rows of `B` pictures are alike
///
/// # Panics
///
/// If the shapes differ.
pub fn nt_xent(views: [Tensor<2>; 2], temperature: f64, group: &Group) -> Tensor<1> {
    let [pictures, dim] = views[0].dims();
    assert_shape!(views[1], [pictures, dim]);
    let views = views.map(|view| l2_normalize(view, 1));
    let candidates = views.clone().map(|view| group.gather_rows(view));
    let [own, all] = [views, candidates].map(|views| Tensor::cat(views.into(), 0));
    let logits = product(own, all.transpose()) / temperature;
    let [itself, partner] = columns(pictures, group, &logits);
    let itself = itself.unsqueeze_dim::<2>(1).expand(logits.dims());
    let same = candidate_numbers(&logits).equal(itself);
    cross_entropy(logits.mask_fill(same, f64::NEG_INFINITY), partner)
}

/// The contrast of MoCo v3 in one direction: each query has to find the key of its picture among those
/// of all pictures, `2 τ` times the mean cross-entropy.
///
/// The gradient flows into the queries only. Of several ranks it is the mean over the queries of this
/// one, with the keys of all as candidates. Collective.
///
/// # Shapes
///
/// - `queries`, `keys`: `[pictures, dim]`, of any length
/// - output: `[1]`; `2 τ ln B` where all keys of `B` pictures are alike
///
/// # Panics
///
/// If the shapes differ.
pub fn key_contrast(
    queries: Tensor<2>,
    keys: Tensor<2>,
    temperature: f64,
    group: &Group,
) -> Tensor<1> {
    let [pictures, dim] = queries.dims();
    assert_shape!(keys, [pictures, dim]);
    let keys = group.gather_rows(l2_normalize(keys.detach(), 1));
    let logits = product(l2_normalize(queries, 1), keys.transpose()) / temperature;
    let own = own_columns(pictures, group, &logits);
    cross_entropy(logits, own) * (2.0 * temperature)
}

/// Columns of the rows themselves and of their partners among the candidates of [`nt_xent`]:
/// all rows of view 0 come first, there by rank.
fn columns(pictures: usize, group: &Group, like: &Tensor<2>) -> [Tensor<1, Int>; 2] {
    let first = own_columns(pictures, group, like);
    let second = first.clone() + (group.size() * pictures) as i64;
    let itself = Tensor::cat(vec![first.clone(), second.clone()], 0);
    [itself, Tensor::cat(vec![second, first], 0)]
}

/// Columns of this rank's pictures among those of all.
fn own_columns(pictures: usize, group: &Group, like: &Tensor<2>) -> Tensor<1, Int> {
    let first = (group.rank() * pictures) as i64;
    Tensor::arange(first..first + pictures as i64, &like.device())
}

/// The number of each candidate, in the shape of the logits.
fn candidate_numbers(logits: &Tensor<2>) -> Tensor<2, Int> {
    let [rows, candidates] = logits.dims();
    let numbers = Tensor::<1, Int>::arange(0..candidates as i64, &logits.device());
    numbers.unsqueeze_dim::<2>(0).expand([rows, candidates])
}
