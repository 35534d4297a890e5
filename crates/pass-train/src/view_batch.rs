//! The augmented views of a batch, as tensors.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use imagenet_s::{
    OddPictures, Sample, pictures_to_tensor, read_picture,
    views::{Crop, MultiCropConfig, Normalization, OVERLAP_GRID, multi_crop, overlap_grids},
};

use crate::{Error, training::Place};

/// The crops of one picture, and where the first two overlap.
pub(crate) struct Views {
    crops: Vec<Crop>,
    /// Overlap grids of crop 0 and crop 1.
    grids: [Vec<[f32; 2]>; 2],
}

/// What turns a place in the training into views.
pub(crate) fn make_views(
    samples: Arc<[Sample]>,
    config: MultiCropConfig,
    odd: OddPictures,
    seed: u64,
) -> impl Fn(Place) -> Result<Views, Error> + Clone + Send + Sync + 'static {
    move |place| {
        let picture = read_picture(&samples[place.index].picture, odd)?;
        let crops = multi_crop(&picture, &config, seed, place.epoch, place.index as u64);
        let grids = overlap_grids(&crops[0].frame, &crops[1].frame);
        Ok(Views { crops, grids })
    }
}

/// One tensor a resolution, crops in order and pictures within each.
///
/// # Shapes
///
/// - output: for each group `[count * batch, 3, size, size]`
pub(crate) fn crop_groups(
    views: &[Views],
    config: &MultiCropConfig,
    normalization: &Normalization,
    device: &Device,
) -> Vec<Tensor<4>> {
    let mut first = 0;
    let mut groups = Vec::with_capacity(config.groups.len());
    for group in &config.groups {
        let crops = first..first + group.count;
        let pixels: Vec<&[u8]> = crops
            .flat_map(|crop| {
                views
                    .iter()
                    .map(move |view| view.crops[crop].rgb.as_slice())
            })
            .collect();
        groups.push(pictures_to_tensor(
            &pixels,
            group.size,
            group.size,
            normalization,
            device,
        ));
        first += group.count;
    }
    groups
}

/// The overlap grids of a batch: all of crop 0, then all of crop 1.
///
/// # Shapes
///
/// - output: `[2 * batch, 49, 2]`
pub(crate) fn grid_batch(views: &[Views], device: &Device) -> Tensor<3> {
    let points = OVERLAP_GRID * OVERLAP_GRID;
    let values: Vec<f32> = (0..2)
        .flat_map(|crop| {
            views
                .iter()
                .flat_map(move |view| view.grids[crop].iter().flatten())
        })
        .copied()
        .collect();
    Tensor::from_data(
        TensorData::new(values, [2 * views.len(), points, 2]),
        device,
    )
}

/// Share of the pictures whose first two crops do not overlap: all points of their grids lie
/// outside.
pub(crate) fn share_without_overlap(views: &[Views]) -> f64 {
    let outside = |point: &[f32; 2]| point.iter().any(|x| x.abs() > 1.0);
    let apart = |view: &&Views| view.grids[0].iter().all(outside);
    views.iter().filter(apart).count() as f64 / views.len() as f64
}
