//! A group of ranks: processes, or devices of one process, that train one network together, each on
//! its share of every batch. By default a group of one.
//!
//! The reference trains on eight GPUs, one process each. What has to be joined so that they compute
//! what one process with the whole batch would: the statistics of every norm
//! ([`crate::norm::NormMode::Group`]), the sums of Sinkhorn-Knopp
//! ([`crate::sinkhorn::sinkhorn_knopp`]), and the gradients. A [`Communicator`] (threads, MPI) carries
//! what is exchanged.

use std::{fmt::Debug, sync::Arc};

use burn::tensor::Tensor;
use serde::{Serialize, de::DeserializeOwned};

/// Those that train together, seen from one of them. A clone is the same group.
///
/// Every method but [`rank`](Self::rank), [`size`](Self::size) and [`is_first`](Self::is_first) is
/// collective: all ranks call it, in the same order, with values of the same length, and it returns
/// when the others have called it. All ranks get the same bits.
#[derive(Clone, Debug, Default)]
pub struct Group(Option<Arc<dyn Communicator>>);

/// What carries values between the ranks of a group of several; see [`Group`] for what its methods do.
pub trait Communicator: Debug + Send + Sync {
    /// This rank, in `0..size`.
    fn rank(&self) -> usize;

    /// Number of ranks, at least 1.
    fn size(&self) -> usize;

    /// See [`Group::sum_tensor`].
    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1>;

    /// See [`Group::sum`].
    fn sum(&self, values: &mut [f32]);

    /// See [`Group::sum_f64`].
    fn sum_f64(&self, values: &mut [f64]);

    /// See [`Group::max`].
    fn max(&self, values: &mut [f32]);

    /// Replaces the bytes by those of rank `from`.
    fn broadcast(&self, from: usize, bytes: &mut [u8]);

    /// See [`Group::barrier`].
    fn barrier(&self);
}

impl Group {
    /// The group that a communicator connects.
    pub fn new(communicator: impl Communicator + 'static) -> Self {
        Self(Some(Arc::new(communicator)))
    }

    /// This one, in `0..size`. Rank 0 writes what the ranks leave behind.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |others| others.rank())
    }

    /// Number of ranks, at least 1.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |others| others.size())
    }

    /// Whether this rank writes and speaks for all.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The sum of the ranks' tensors, differentiable: the gradient of each is the sum over ranks of
    /// the gradients of the result, as if one process had computed all.
    ///
    /// # Shapes
    ///
    /// - `tensor` and output: `[length]`
    pub fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        match &self.0 {
            Some(others) => others.sum_tensor(tensor),
            None => tensor,
        }
    }

    /// Replaces each value by its sum over ranks.
    pub fn sum(&self, values: &mut [f32]) {
        self.0.iter().for_each(|others| others.sum(values));
    }

    /// [`Self::sum`] in double precision.
    pub fn sum_f64(&self, values: &mut [f64]) {
        self.0.iter().for_each(|others| others.sum_f64(values));
    }

    /// Replaces each value by its largest over ranks.
    pub fn max(&self, values: &mut [f32]) {
        self.0.iter().for_each(|others| others.max(values));
    }

    /// Replaces the bytes by those of rank `from`.
    pub fn broadcast_bytes(&self, from: usize, bytes: &mut [u8]) {
        self.0
            .iter()
            .for_each(|others| others.broadcast(from, bytes));
    }

    /// The value of rank `from`, which alone has to give one. Decimals of floats are those of JSON:
    /// what has to arrive to the bit is given as bits.
    ///
    /// # Panics
    ///
    /// If rank `from` gives none, or one that JSON cannot hold.
    pub fn broadcast<T: Serialize + DeserializeOwned>(&self, from: usize, own: Option<T>) -> T {
        if self.size() == 1 {
            return own.expect("the only rank gives a value");
        }
        let gives = self.rank() == from;
        let text = own.filter(|_| gives).map(|value| {
            serde_json::to_vec(&value).expect("a value that is broadcast is plain data")
        });
        assert_eq!(text.is_some(), gives, "rank {from} gives a value");
        let mut length = text.as_ref().map_or(0, Vec::len).to_le_bytes();
        self.broadcast_bytes(from, &mut length);
        let mut text = text.unwrap_or_else(|| vec![0; usize::from_le_bytes(length)]);
        self.broadcast_bytes(from, &mut text);
        serde_json::from_slice(&text).expect("what the other rank wrote")
    }

    /// One number of each rank, in their order.
    pub fn one_of_each(&self, own: f64) -> Vec<f64> {
        let mut all = vec![0.0; self.size()];
        all[self.rank()] = own;
        self.sum_f64(&mut all);
        all
    }

    /// The numbers of all ranks, those of rank 0 first; each may give another count of them.
    pub fn gather(&self, own: Vec<u32>) -> Vec<u32> {
        if self.size() == 1 {
            return own;
        }
        let counts = self.one_of_each(own.len() as f64);
        let mut all = Vec::new();
        for (from, count) in counts.into_iter().enumerate() {
            let mut bytes = if from == self.rank() {
                own.iter().flat_map(|value| value.to_le_bytes()).collect()
            } else {
                vec![0; count as usize * size_of::<u32>()]
            };
            self.broadcast_bytes(from, &mut bytes);
            let (values, _) = bytes.as_chunks();
            all.extend(values.iter().copied().map(u32::from_le_bytes));
        }
        all
    }

    /// Returns when every rank has come here. Made for long waits: it leaves the processor to others.
    pub fn barrier(&self) {
        self.0.iter().for_each(|others| others.barrier());
    }

    /// The rows of all ranks, those of rank 0 first, differentiable as [`sum_tensor`](Self::sum_tensor).
    ///
    /// # Shapes
    ///
    /// - `own`: `[rows, columns]`, the same on every rank
    /// - output: `[size · rows, columns]`
    pub fn gather_rows(&self, own: Tensor<2>) -> Tensor<2> {
        if self.size() == 1 {
            return own;
        }
        let [rows, columns] = own.dims();
        let first = self.rank() * rows;
        let shape = [self.size() * rows, columns];
        let padded = Tensor::zeros(shape, &own.device());
        let padded = padded.slice_assign([first..first + rows, 0..columns], own);
        self.sum_of(padded)
    }

    /// [`sum_tensor`](Self::sum_tensor) of any shape.
    pub(crate) fn sum_of<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        if self.size() == 1 {
            return tensor;
        }
        let shape = tensor.shape();
        let length = shape.num_elements();
        self.sum_tensor(tensor.reshape([length])).reshape(shape)
    }

    /// The largest over ranks of each value of a tensor that carries no gradient.
    pub(crate) fn max_constant<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        if self.size() == 1 {
            return tensor;
        }
        let device = tensor.device();
        let mut data = tensor.into_data();
        self.max(data.as_mut_slice().expect("a tensor of float32"));
        Tensor::from_data(data, &device)
    }
}
