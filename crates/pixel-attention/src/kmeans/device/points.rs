//! Points on a device, chunk by chunk.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{
    error::Result,
    rows::{Rows, for_each_part_of},
};

/// Some points, and the index of the first.
pub(super) type Chunk = (usize, Tensor<2>);

/// All points, there or to be brought there.
pub(super) struct Points {
    pub(super) device: Device,
    pub(super) chunk_rows: usize,
    /// All chunks; nothing when they are streamed.
    resident: Option<Vec<Chunk>>,
}

impl Points {
    pub(super) fn new(
        rows: &dyn Rows,
        device: Device,
        chunk_rows: usize,
        resident: bool,
    ) -> Result<Self> {
        let mut this = Self {
            device,
            chunk_rows,
            resident: None,
        };
        if resident {
            let mut chunks = Vec::new();
            this.upload_each(rows, |chunk| {
                chunks.push(chunk);
                Ok(())
            })?;
            this.resident = Some(chunks);
        }
        Ok(this)
    }

    pub(super) fn are_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// Hands all chunks to `work`, in order: at once when they are resident, else one at a time.
    pub(super) fn for_each(
        &self,
        rows: &dyn Rows,
        mut work: impl FnMut(&[Chunk]) -> Result<()>,
    ) -> Result<()> {
        match &self.resident {
            Some(chunks) => work(chunks),
            None => self.upload_each(rows, |chunk| work(&[chunk])),
        }
    }

    fn upload_each(
        &self,
        rows: &dyn Rows,
        mut work: impl FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        for_each_part_of(rows, self.chunk_rows, |first, part| {
            let count = part.len() / rows.columns();
            work((first, upload(part, [count, rows.columns()], &self.device)))
        })
    }
}

/// Numbers as a tensor of `f32`, whatever the device's default is.
pub(super) fn upload<const D: usize>(
    values: &[f32],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (device, DType::F32))
}
