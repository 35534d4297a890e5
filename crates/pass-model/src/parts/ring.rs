//! The ring of MoCo: the keys of the last batches, as negatives (He et al. 2020,
//! <https://arxiv.org/abs/1911.05722>, §3.2).

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData, assert_shape};

use crate::{
    backbone::BadSetting,
    group::Group,
    init::WeightStream,
    method::Memory,
    normalize::l2_normalize,
    queue::{MemoryError, named},
};

/// Unit vectors, of which a batch of new ones replaces the oldest. It starts with random ones, and all
/// of them count from the first iteration on. Every rank holds all of them.
#[derive(Clone, Debug)]
pub struct Ring {
    rows: Tensor<2>,
    /// Where the oldest row is.
    next: usize,
    staged: Vec<Tensor<2>>,
}

impl Ring {
    /// Refuses a length, the setting `queue`, that does not hold whole batches.
    ///
    /// # Errors
    ///
    /// If it is no multiple of the batch of all ranks.
    pub fn check(length: usize, batch: usize) -> Result<(), BadSetting> {
        let fits = length > 0 && length.is_multiple_of(batch);
        let rule = format!("must be a multiple of the batch, {batch}");
        BadSetting::unless(fits, "queue", length, rule)
    }

    /// A ring of `length` random directions of `dim` numbers.
    pub fn new(length: usize, dim: usize, seed: u64, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let rows = WeightStream::new(seed).normal([length, dim], 1.0, &device);
        Self {
            rows: l2_normalize(rows.val().inner(), 1),
            next: 0,
            staged: Vec::new(),
        }
    }

    /// All keys, `[length, dim]`, in no order of time.
    pub fn keys(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// Rows that it holds.
    pub fn length(&self) -> usize {
        self.rows.dims()[0]
    }

    /// Keeps the keys of all ranks until [`push`](Self::push), so that the parts of a batch see one ring.
    ///
    /// # Shapes
    ///
    /// - `keys`: `[batch, dim]`, of unit length; a gradient is dropped
    pub fn stage(&mut self, keys: Tensor<2>) {
        self.staged.push(keys.inner());
    }

    /// Writes the staged keys over the oldest rows.
    ///
    /// # Panics
    ///
    /// If they do not fill whole shares of the ring: its length is to be a multiple of the batch.
    pub fn push(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let keys = Tensor::cat(std::mem::take(&mut self.staged), 0);
        let ([length, dim], [batch, _]) = (self.rows.dims(), keys.dims());
        assert_shape!(keys, [batch, dim]);
        assert!(
            length.is_multiple_of(batch),
            "a ring of {length} rows is no multiple of a batch of {batch}"
        );
        let place = [self.next..self.next + batch, 0..dim];
        self.rows = self.rows.clone().slice_assign(place, keys);
        self.next = (self.next + batch) % length;
    }

    /// Everything a checkpoint needs, under names that begin with `name`.
    pub fn to_tensors(&self, name: &str) -> BTreeMap<String, TensorData> {
        let [rows, next] = names(name);
        BTreeMap::from([
            (rows, self.rows.to_data()),
            (next, TensorData::from([self.next as i64])),
        ])
    }

    /// Takes over what [`to_tensors`](Self::to_tensors) saved.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or does not have the shape and type of this ring's; it is then as it was.
    pub fn restore_from(
        &mut self,
        name: &str,
        tensors: &BTreeMap<String, TensorData>,
    ) -> Result<(), MemoryError> {
        let [rows, next] = names(name);
        let rows = named(tensors, &rows, &self.rows.dims(), self.rows.dtype())?;
        let next = named(tensors, &next, &[1], DType::I64)?;
        let next = next.as_slice::<i64>().expect("the type was checked")[0];
        let length = self.length();
        let valid = usize::try_from(next).ok().filter(|next| *next < length);
        self.next = valid.ok_or(MemoryError::Next { next, length })?;
        self.rows = Tensor::from_data(rows.clone(), &self.rows.device());
        self.staged.clear();
        Ok(())
    }
}

/// Under the name `ring`.
impl Memory for Ring {
    fn save(&self, _group: &Group) -> BTreeMap<String, TensorData> {
        self.to_tensors("ring")
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        _group: &Group,
    ) -> Result<(), MemoryError> {
        self.restore_from("ring", saved)
    }

    fn rows(&self) -> usize {
        self.length()
    }
}

fn names(name: &str) -> [String; 2] {
    ["rows", "next"].map(|part| format!("{name}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    fn ring() -> Ring {
        Ring::new(6, 2, 3, &Device::default())
    }

    /// Keys `[first, 0]`, `[first + 1, 0]`.
    fn keys(first: f32) -> Tensor<2> {
        Tensor::from_floats([[first, 0.0], [first + 1.0, 0.0]], &Device::default())
    }

    fn first_column(ring: &Ring) -> Vec<f32> {
        ring.keys().narrow(1, 0, 1).try_into_vec_as().unwrap()
    }

    #[test]
    fn it_starts_with_unit_vectors() {
        let lengths = ring().keys().square().sum_dim(1);
        assert_near(lengths, [[1.0f32]; 6], [1e-6, 0.0]);
    }

    #[test]
    fn a_batch_replaces_the_oldest_rows() {
        let mut ring = ring();
        for first in [10.0, 20.0, 30.0, 40.0] {
            ring.stage(keys(first));
            ring.push();
        }
        assert_eq!(first_column(&ring), [40.0, 41.0, 20.0, 21.0, 30.0, 31.0]);
    }

    #[test]
    fn staged_parts_of_a_batch_are_not_seen_before_they_are_pushed() {
        let (mut ring, before) = (ring(), first_column(&ring()));
        ring.stage(keys(1.0).narrow(0, 0, 1));
        ring.stage(keys(1.0).narrow(0, 1, 1));
        assert_eq!(first_column(&ring), before);
        ring.push();
        assert_eq!(first_column(&ring)[..2], [1.0, 2.0]);
        ring.push();
        assert_eq!(first_column(&ring)[2..], before[2..], "nothing is staged");
    }

    #[test]
    fn lengths_without_whole_batches_are_refused() {
        assert!(Ring::check(6, 2).is_ok());
        for length in [0, 5] {
            let error = Ring::check(length, 2).unwrap_err();
            assert_eq!((error.key, error.value), ("queue", length.to_string()));
        }
    }

    #[test]
    #[should_panic(expected = "6 rows is no multiple of a batch of 4")]
    fn a_batch_that_does_not_divide_it_is_a_bug() {
        let mut ring = ring();
        ring.stage(Tensor::cat(vec![keys(1.0), keys(1.0)], 0));
        ring.push();
    }

    #[test]
    fn a_restored_ring_goes_on_as_the_saved_one() {
        let (mut saved, mut other) = (ring(), Ring::new(6, 2, 9, &Device::default()));
        saved.stage(keys(1.0));
        saved.push();
        other
            .restore_from("ring", &saved.to_tensors("ring"))
            .unwrap();
        for ring in [&mut saved, &mut other] {
            ring.stage(keys(3.0));
            ring.push();
        }
        assert_eq!(saved.to_tensors("ring"), other.to_tensors("ring"));
    }

    #[test]
    fn a_ring_of_another_length_or_place_is_refused() {
        let saved = ring().to_tensors("ring");
        let mut longer = Ring::new(8, 2, 3, &Device::default());
        let error = longer.restore_from("ring", &saved).unwrap_err().to_string();
        assert!(
            error.contains("[6, 2]") && error.contains("[8, 2]"),
            "{error}"
        );
        let mut saved = saved;
        saved.insert("ring.next".into(), TensorData::from([6i64]));
        let error = ring().restore_from("ring", &saved).unwrap_err().to_string();
        assert!(error.contains("row 6 of 6"), "{error}");
    }
}
