//! What a method may ask for before an epoch.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2, s};
use pass_model::{
    group::Group,
    method::{Clusters, Embed, EpochError, KMeansSettings},
};
use pixel_attention::kmeans::{KMeans, KMeansConfig};

use crate::{
    Error, Step,
    inference::check_finite,
    step::embeddings::{own_range, rows_of_all},
    whole_pictures::WholePictures,
};

/// The training pictures and the ranks that share the work on them.
pub(super) struct BeforeEpoch<'a> {
    pub(super) pictures: &'a WholePictures,
    pub(super) device: &'a Device,
    pub(super) ranks: &'a Group,
}

impl Embed for BeforeEpoch<'_> {
    fn count(&self) -> usize {
        self.pictures.count()
    }

    fn embed(
        &mut self,
        encode: &mut dyn FnMut(Tensor<4>) -> Tensor<2>,
    ) -> Result<Tensor<2>, EpochError> {
        let mut own = Vec::new();
        let range = own_range(self.pictures.count(), self.ranks);
        self.pictures.for_each_batch(range, |pictures| {
            own.extend(encode(pictures).into_data().iter::<f32>());
            Ok(())
        })?;
        let all = rows_of_all(self.ranks, own);
        check_finite("embeddings, of which number", &all)?;
        let rows = self.pictures.count();
        let shape = [rows, all.len() / rows];
        Ok(Tensor::from_data(TensorData::new(all, shape), self.device))
    }

    fn k_means(
        &mut self,
        rows: Tensor<2>,
        settings: &KMeansSettings,
    ) -> Result<Clusters, EpochError> {
        let KMeansSettings {
            clusters,
            iterations,
            restarts,
            seed,
        } = *settings;
        let config = KMeansConfig {
            iterations,
            restarts,
            seed,
            ..KMeansConfig::new(clusters)
        };
        let [count, columns] = rows.dims();
        let rows: Vec<f32> = rows.into_data().iter().collect();
        let rows = ArrayView2::from_shape([count, columns], &rows)?;
        let own = rows.slice(s![own_range(count, self.ranks), ..]);
        let found = KMeans::new(&own, &config, self.ranks)?.best(|_| ())?;
        Ok(Clusters {
            centroids: on_device(found.centroids, self.device),
            assignments: found.assignments.iter().map(|&it| it as usize).collect(),
        })
    }
}

fn on_device(rows: Array2<f32>, device: &Device) -> Tensor<2> {
    let shape = [rows.nrows(), rows.ncols()];
    let values: Vec<f32> = rows.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// An error of the trainer as it is; any other as one of the method.
pub(super) fn own_error(cause: EpochError) -> Error {
    match cause.downcast::<Error>() {
        Ok(own) => *own,
        Err(cause) => Error::BeforeEpoch {
            step: Step::Pretrain.name(),
            cause,
        },
    }
}
