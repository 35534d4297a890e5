//! The queue: embeddings of earlier batches that take part in the balanced assignment.
//!
//! A batch of 256 is small beside 3000 prototypes. SwAV (Caron et al. 2020,
//! <https://arxiv.org/abs/2006.09882>, §4.1) therefore keeps the embeddings of the last few
//! thousand pictures and assigns them together with the batch. They help to balance; their own
//! assignments are thrown away. There is one queue for each of the two assigning crops.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData, assert_shape};

use crate::{group::Group, method::Memory};

/// Crops whose assignments are computed: the two large ones.
pub const ASSIGNING_CROPS: usize = 2;

const ROWS_FILLED: &str = "rows_filled";

/// What is wrong with the saved tensors of a [`Memory`].
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A tensor is not there.
    #[error("the saved memory lacks the tensor `{name}`; it has [{present}]")]
    Missing {
        /// The tensor.
        name: String,
        /// The tensors that are there, separated by commas.
        present: String,
    },

    /// A tensor does not have the type or the shape of this queue's.
    #[error(
        "the saved memory's `{name}` is {found}, this run needs {expected}; resume with the queue \
         length, batch size and feature dimension of the saved run"
    )]
    Form {
        /// The tensor.
        name: String,
        /// Element type and shape in the file.
        found: String,
        /// Element type and shape of this queue.
        expected: String,
    },

    /// The place of the next row makes no sense.
    #[error("the saved ring goes on at row {next} of {length}; save the checkpoint again")]
    Next {
        /// The row claimed.
        next: i64,
        /// Rows of the ring.
        length: usize,
    },

    /// A picture belongs to a cluster that there is not.
    #[error("the saved clusters have cluster {cluster} of {count}; save the checkpoint again")]
    Cluster {
        /// The cluster claimed.
        cluster: i64,
        /// Clusters that there are.
        count: usize,
    },

    /// The number of filled rows makes no sense.
    #[error("the saved queue claims {filled} filled rows of {length}; save the checkpoint again")]
    Filled {
        /// Rows claimed.
        filled: i64,
        /// Rows of the queue.
        length: usize,
    },
}

/// The last embeddings of each assigning crop, newest first.
///
/// A queue starts with zeros and takes part in the assignment once every row has been pushed,
/// that is after `length / batch` batches. Nothing in it carries a gradient.
#[derive(Clone, Debug)]
pub struct Queue {
    embeddings: [Tensor<2>; ASSIGNING_CROPS],
    rows_filled: [usize; ASSIGNING_CROPS],
}

impl Queue {
    /// An empty queue of `length` rows, rounded down to a multiple of `batch`.
    ///
    /// # Panics
    ///
    /// If `length` is less than `batch`, or `batch` is zero: then there is nothing to keep.
    pub fn new(length: usize, batch: usize, feature_dim: usize, device: &Device) -> Self {
        assert!(
            0 < batch && batch <= length,
            "a queue of {length} rows cannot hold a batch of {batch}"
        );
        let length = length - length % batch;
        let device = device.clone().without_autodiff();
        let zeros = || Tensor::zeros([length, feature_dim], &device);
        Self {
            embeddings: [zeros(), zeros()],
            rows_filled: [0; ASSIGNING_CROPS],
        }
    }

    /// Rows kept for each crop.
    pub fn length(&self) -> usize {
        self.embeddings[0].dims()[0]
    }

    /// Whether the queues of all crops take part in the assignment.
    pub fn is_full(&self) -> bool {
        self.rows_filled.iter().all(|&rows| rows == self.length())
    }

    /// The kept embeddings of one crop, `[length, feature_dim]`, newest first; rows not yet
    /// pushed are zero.
    ///
    /// # Panics
    ///
    /// If `crop` is not below [`ASSIGNING_CROPS`].
    pub fn embeddings(&self, crop: usize) -> Tensor<2> {
        self.embeddings[crop].clone()
    }

    /// [`Self::embeddings`] once the crop's queue is full; nothing before.
    ///
    /// # Panics
    ///
    /// If `crop` is not below [`ASSIGNING_CROPS`].
    pub fn active(&self, crop: usize) -> Option<Tensor<2>> {
        (self.rows_filled[crop] == self.length()).then(|| self.embeddings(crop))
    }

    /// Puts a batch in front and drops as many of the oldest rows.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[batch, feature_dim]`; its gradient is dropped
    ///
    /// # Panics
    ///
    /// If the batch is longer than the queue, has another feature dimension, or `crop` is not
    /// below [`ASSIGNING_CROPS`].
    pub fn push(&mut self, crop: usize, embeddings: Tensor<2>) {
        let [length, feature_dim] = self.embeddings[crop].dims();
        let [batch, _] = embeddings.dims();
        assert_shape!(embeddings, [_, feature_dim]);
        assert!(
            batch <= length,
            "a queue of {length} rows cannot hold a batch of {batch}"
        );

        let mut rows = vec![embeddings.inner()];
        if batch < length {
            rows.push(self.embeddings(crop).narrow(0, 0, length - batch));
        }
        self.embeddings[crop] = Tensor::cat(rows, 0);
        self.rows_filled[crop] = length.min(self.rows_filled[crop] + batch);
    }

    /// Everything a checkpoint needs, by name.
    pub fn to_tensors(&self) -> BTreeMap<String, TensorData> {
        let mut tensors: BTreeMap<_, _> = (0..ASSIGNING_CROPS)
            .map(|crop| (embeddings_name(crop), self.embeddings[crop].to_data()))
            .collect();
        let filled = self.rows_filled.map(|rows| rows as i64);
        tensors.insert(ROWS_FILLED.into(), TensorData::from(filled));
        tensors
    }

    /// Takes over what [`Self::to_tensors`] saved.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or does not have the shape and type of this queue's; the queue is
    /// then as it was.
    pub fn restore(&mut self, tensors: &BTreeMap<String, TensorData>) -> Result<(), MemoryError> {
        let rows_filled = self.rows_filled_from(tensors)?;
        let device = self.embeddings[0].device();
        let mut embeddings = Vec::with_capacity(ASSIGNING_CROPS);
        for (crop, kept) in self.embeddings.iter().enumerate() {
            let data = named(tensors, &embeddings_name(crop), &kept.dims(), kept.dtype())?;
            embeddings.push(Tensor::from_data(data.clone(), &device));
        }

        self.embeddings = embeddings
            .try_into()
            .expect("one tensor for each assigning crop");
        self.rows_filled = rows_filled;
        Ok(())
    }

    /// The queue that one process would have: rank `r` gives every row whose number leaves `r` when it
    /// is divided by the number of ranks, as each batch is dealt out.
    ///
    /// Collective; with one rank the queue itself.
    pub fn of_ranks(&self, ranks: &Group) -> Self {
        if ranks.size() == 1 {
            return self.clone();
        }
        let [rows, dim] = self.embeddings[0].dims();
        let [rank, size] = [ranks.rank(), ranks.size()];
        let dealt = |own: &Tensor<2>| {
            let others = |count| Tensor::zeros([rows, count, dim], &own.device());
            let [before, after] = [others(rank), others(size - 1 - rank)];
            let own = own.clone().reshape([rows, 1, dim]);
            let parts = [(rank, before), (1, own), (size - 1 - rank, after)];
            let parts = parts.into_iter().filter(|(count, _)| *count > 0);
            let padded = Tensor::cat(parts.map(|(_, part)| part).collect(), 1);
            ranks.sum_of(padded).reshape([rows * size, dim])
        };
        Self {
            embeddings: self.embeddings.each_ref().map(dealt),
            rows_filled: self.rows_filled.map(|filled| filled * size),
        }
    }

    /// The part of [`Self::of_ranks`] that belongs to this rank.
    ///
    /// # Panics
    ///
    /// If the rows, or those that are filled, cannot be dealt out evenly.
    pub fn share_of(&self, ranks: &Group) -> Self {
        let [length, dim] = self.embeddings[0].dims();
        let [rank, size] = [ranks.rank(), ranks.size()];
        assert!(
            length % size == 0 && self.rows_filled.iter().all(|filled| filled % size == 0),
            "a queue of {length} rows, {:?} of them filled, is not one of {size} ranks",
            self.rows_filled
        );
        let own = |whole: &Tensor<2>| {
            let dealt = whole.clone().reshape([length / size, size, dim]);
            dealt.narrow(1, rank, 1).reshape([length / size, dim])
        };
        Self {
            embeddings: self.embeddings.each_ref().map(own),
            rows_filled: self.rows_filled.map(|filled| filled / size),
        }
    }

    fn rows_filled_from(
        &self,
        tensors: &BTreeMap<String, TensorData>,
    ) -> Result<[usize; ASSIGNING_CROPS], MemoryError> {
        let data = named(tensors, ROWS_FILLED, &[ASSIGNING_CROPS], DType::I64)?;
        let counts = data
            .as_slice::<i64>()
            .expect("the element type was checked");
        let mut rows_filled = [0; ASSIGNING_CROPS];
        for (rows, &filled) in rows_filled.iter_mut().zip(counts) {
            let length = self.length();
            *rows = usize::try_from(filled)
                .ok()
                .filter(|&rows| rows <= length)
                .ok_or(MemoryError::Filled { filled, length })?;
        }
        Ok(rows_filled)
    }
}

/// The queue of swapped prediction over a whole training: there is one from some epoch on.
#[derive(Clone, Debug)]
pub struct SwavQueue {
    queue: Option<Queue>,
    /// Rows of all ranks; fewer than a batch make none.
    length: usize,
    batch: usize,
    dim: usize,
    from_epoch: usize,
    device: Device,
}

impl SwavQueue {
    /// A queue of `length` embeddings of `dim` numbers for all ranks together, from an epoch on, for
    /// parts of `batch` pictures; none at all where a part is longer.
    pub fn new(
        length: usize,
        [batch, dim]: [usize; 2],
        from_epoch: usize,
        device: &Device,
    ) -> Self {
        Self {
            queue: None,
            length,
            batch,
            dim,
            from_epoch,
            device: device.clone(),
        }
    }

    /// Starts this rank's part of the queue where its time has come.
    pub fn begin(&mut self, epoch: usize, group: &Group) {
        if self.queue.is_none() && epoch >= self.from_epoch {
            self.queue = self.fresh().map(|queue| queue.share_of(group));
        }
    }

    /// This rank's part, once there is one.
    pub fn as_mut(&mut self) -> Option<&mut Queue> {
        self.queue.as_mut()
    }

    /// The empty queue of all ranks.
    fn fresh(&self) -> Option<Queue> {
        let holds_a_batch = self.length >= self.batch;
        holds_a_batch.then(|| Queue::new(self.length, self.batch, self.dim, &self.device))
    }
}

impl Memory for SwavQueue {
    fn save(&self, group: &Group) -> BTreeMap<String, TensorData> {
        let whole = self.queue.as_ref().map(|queue| queue.of_ranks(group));
        whole.map_or_else(BTreeMap::new, |queue| queue.to_tensors())
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        group: &Group,
    ) -> Result<(), MemoryError> {
        self.queue = match self.fresh() {
            Some(mut queue) if !saved.is_empty() => {
                queue.restore(saved)?;
                Some(queue.share_of(group))
            }
            _ => None,
        };
        Ok(())
    }

    fn rows(&self) -> usize {
        self.length - self.length % self.batch
    }
}

fn embeddings_name(crop: usize) -> String {
    format!("embeddings.{crop}")
}

/// The tensor of that name, if it has the type and the shape.
pub(crate) fn named<'a>(
    tensors: &'a BTreeMap<String, TensorData>,
    name: &str,
    expected: &[usize],
    expected_dtype: DType,
) -> Result<&'a TensorData, MemoryError> {
    let data = tensors.get(name).ok_or_else(|| MemoryError::Missing {
        name: name.into(),
        present: tensors.keys().cloned().collect::<Vec<_>>().join(", "),
    })?;
    let form = |dtype: DType, shape: &[usize]| format!("{} {shape:?}", dtype.name());
    let found = form(data.dtype(), data.shape());
    let expected = form(expected_dtype, expected);
    if found == expected {
        return Ok(data);
    }
    Err(MemoryError::Form {
        name: name.into(),
        found,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: [[f32; 2]; 3]) -> Tensor<2> {
        Tensor::from_floats(rows, &Device::default())
    }

    fn numbered(first: f32) -> Tensor<2> {
        batch([[first, 0.5], [first + 1.0, 0.5], [first + 2.0, 0.5]])
    }

    fn first_column(queue: &Queue, crop: usize) -> Vec<f32> {
        queue
            .embeddings(crop)
            .narrow(1, 0, 1)
            .try_into_vec_as()
            .unwrap()
    }

    fn queue() -> Queue {
        Queue::new(7, 3, 2, &Device::default())
    }

    #[test]
    fn the_length_is_rounded_down_to_whole_batches() {
        assert_eq!(queue().length(), 6);
    }

    #[test]
    fn the_newest_rows_come_first_and_the_oldest_leave() {
        let mut queue = queue();
        for first in [1.0, 4.0, 7.0] {
            queue.push(1, numbered(first));
        }
        assert_eq!(first_column(&queue, 1), [7.0, 8.0, 9.0, 4.0, 5.0, 6.0]);
        assert_eq!(first_column(&queue, 0), [0.0; 6]);
    }

    #[test]
    fn a_queue_is_active_once_its_last_row_was_pushed() {
        let mut queue = queue();
        queue.push(0, numbered(1.0));
        assert!(queue.active(0).is_none());
        queue.push(0, numbered(4.0));
        assert!(queue.active(0).is_some() && queue.active(1).is_none() && !queue.is_full());
        queue.push(1, numbered(1.0));
        queue.push(1, numbered(4.0));
        assert!(queue.is_full());
    }

    #[test]
    fn a_restored_queue_goes_on_as_the_saved_one() {
        let (mut saved, mut restored) = (queue(), queue());
        saved.push(0, numbered(1.0));
        restored.restore(&saved.to_tensors()).unwrap();
        for queue in [&mut saved, &mut restored] {
            queue.push(0, numbered(4.0));
        }
        assert_eq!(saved.to_tensors(), restored.to_tensors());
        assert!(restored.active(0).is_some());
    }

    #[test]
    fn a_queue_of_another_length_is_refused_and_nothing_changes() {
        let mut other = Queue::new(9, 3, 2, &Device::default());
        other.push(0, numbered(1.0));
        let before = other.to_tensors();
        let error = other
            .restore(&queue().to_tensors())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[6, 2]") && error.contains("[9, 2]"),
            "{error}"
        );
        assert_eq!(other.to_tensors(), before);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let mut tensors = queue().to_tensors();
        tensors.remove("embeddings.1");
        let error = queue().restore(&tensors).unwrap_err().to_string();
        assert!(error.contains("lacks the tensor `embeddings.1`"), "{error}");
    }

    #[test]
    fn more_filled_rows_than_rows_are_refused() {
        let mut tensors = queue().to_tensors();
        tensors.insert(ROWS_FILLED.into(), TensorData::from([6i64, 7]));
        let error = queue().restore(&tensors).unwrap_err().to_string();
        assert!(error.contains("claims 7 filled rows of 6"), "{error}");
    }

    #[test]
    #[should_panic(expected = "cannot hold a batch of 3")]
    fn a_queue_shorter_than_a_batch_is_a_bug() {
        Queue::new(2, 3, 5, &Device::default());
    }
}
