//! Pictures as they are at inference, through a network that stands somewhere in its training.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Device, Tensor};
use imagenet_s::{Loader, OddPictures, Sample, views::Normalization};

use crate::{
    Error, RunFile,
    inference::{Prepared, Shape, prepare, to_tensor},
    view_batch::normalization,
};

/// Pictures without augmentation: resized, and of that the centre, as step 2.2 sees them.
pub(crate) struct WholePictures {
    samples: Arc<[Sample]>,
    shape: Shape,
    odd: OddPictures,
    workers: usize,
    batch: usize,
    normalization: Normalization,
    device: Device,
}

impl WholePictures {
    pub(crate) fn new(samples: Arc<[Sample]>, file: &RunFile, device: Device) -> Self {
        Self {
            samples,
            shape: Shape::Center(file.cluster.resize, file.cluster.crop),
            odd: file.data.odd_pictures,
            workers: file.data.workers,
            batch: file.cluster.batch,
            normalization: normalization(file),
            device,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    /// Calls `work` with the pictures of a range in order, some at a time.
    pub(crate) fn for_each_batch(
        &self,
        range: Range<usize>,
        mut work: impl FnMut(Tensor<4>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (samples, odd, shape) = (self.samples.clone(), self.odd, self.shape);
        let mut loader = Loader::new(
            range.collect(),
            self.workers,
            2 * self.batch,
            move |&index: &usize| {
                let picture = samples[index].read_picture(odd)?;
                Ok(prepare(index, &picture, shape))
            },
        );
        loop {
            let batch: Vec<Prepared> =
                loader.by_ref().take(self.batch).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            work(to_tensor(&batch, &self.normalization, &self.device))?;
        }
    }
}
