//! Ranks: processes, or devices of one process, that train one network together, each on its share of
//! every batch.
//!
//! The reference trains on eight GPUs, one process each. What has to be joined so that they compute
//! what one process with the whole batch would: the statistics of every norm
//! ([`crate::norm::NormMode::Ranks`]), the sums of Sinkhorn-Knopp
//! ([`crate::sinkhorn::sinkhorn_knopp_of_ranks`]), and the gradients. This file is the seam: it says
//! what is exchanged, and an engine (threads, MPI) brings it about.

use std::fmt::Debug;

use burn::tensor::Tensor;

/// A group of processes or threads, seen from one of them.
///
/// Every method but [`rank`](Self::rank) and [`size`](Self::size) is collective: all ranks call it,
/// in the same order, with values of the same length, and it returns when the others have called it.
/// All ranks get the same bits.
pub trait Ranks: Debug + Send + Sync {
    /// This one, in `0..size`. Rank 0 writes what the ranks leave behind.
    fn rank(&self) -> usize;

    /// Number of ranks, at least 1.
    fn size(&self) -> usize;

    /// The sum of the ranks' tensors, differentiable: the gradient of each is the sum over ranks of
    /// the gradients of the result, as if one process had computed all.
    ///
    /// # Shapes
    ///
    /// - `tensor` and output: `[length]`
    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1>;

    /// Replaces each value by its sum over ranks.
    fn sum(&self, values: &mut [f32]);

    /// [`Self::sum`] in double precision.
    fn sum_f64(&self, values: &mut [f64]);

    /// Replaces each value by its largest over ranks.
    fn max(&self, values: &mut [f32]);

    /// Replaces the bytes by those of rank `from`.
    fn broadcast(&self, from: usize, bytes: &mut [u8]);

    /// Returns when every rank has come here. Made for long waits: it leaves the processor to others.
    fn wait(&self);
}

/// The only process: every sum is the value itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo;

impl Ranks for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        tensor
    }

    fn sum(&self, _: &mut [f32]) {}

    fn sum_f64(&self, _: &mut [f64]) {}

    fn max(&self, _: &mut [f32]) {}

    fn broadcast(&self, _: usize, _: &mut [u8]) {}

    fn wait(&self) {}
}

/// One number of each rank, in their order. Collective.
pub fn one_of_each(ranks: &dyn Ranks, own: f64) -> Vec<f64> {
    let mut all = vec![0.0; ranks.size()];
    all[ranks.rank()] = own;
    ranks.sum_f64(&mut all);
    all
}

/// The numbers of all ranks, those of rank 0 first; each may give another count of them. Collective.
pub fn gathered(ranks: &dyn Ranks, own: Vec<u32>) -> Vec<u32> {
    if ranks.size() == 1 {
        return own;
    }
    let counts = one_of_each(ranks, own.len() as f64);
    let mut all = Vec::new();
    for (from, count) in counts.into_iter().enumerate() {
        let mut bytes = match from == ranks.rank() {
            true => own.iter().flat_map(|value| value.to_le_bytes()).collect(),
            false => vec![0; count as usize * size_of::<u32>()],
        };
        ranks.broadcast(from, &mut bytes);
        let (values, _) = bytes.as_chunks();
        all.extend(values.iter().copied().map(u32::from_le_bytes));
    }
    all
}

/// The sum over ranks of a tensor that carries no gradient.
pub(crate) fn sum_constant<const D: usize>(tensor: Tensor<D>, ranks: &dyn Ranks) -> Tensor<D> {
    if ranks.size() == 1 {
        return tensor;
    }
    let shape = tensor.shape();
    let length = shape.num_elements();
    ranks.sum_tensor(tensor.reshape([length])).reshape(shape)
}

/// The largest over ranks of each value of a tensor that carries no gradient.
pub(crate) fn max_constant<const D: usize>(tensor: Tensor<D>, ranks: &dyn Ranks) -> Tensor<D> {
    if ranks.size() == 1 {
        return tensor;
    }
    let device = tensor.device();
    let mut data = tensor.into_data();
    ranks.max(data.as_mut_slice().expect("a tensor of float32"));
    Tensor::from_data(data, &device)
}
