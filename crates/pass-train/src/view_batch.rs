//! The augmented views of a batch, as tensors.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use imagenet_s::{
    OddPictures, Sample, pictures_to_tensor,
    views::{
        Crop, CropFrame, MULTI_CROP, MultiCropConfig, Normalization, OVERLAP_GRID, PLAIN,
        multi_crop, overlap_grids,
    },
};
use pass_model::{
    backbone::Preprocessing,
    method::ViewBatch,
    overlap::{AlignmentConfig, EmptyPairs, OverlapPoints, OverlapSampling},
    precision::Precision,
};

use crate::{Error, RunFile, run_file::RedDeviation, training::Place};

/// The crops of one picture, and where the first two overlap.
pub(crate) struct Views {
    /// The number of the picture among the training pictures.
    index: usize,
    crops: Vec<Crop>,
    /// Overlap grids of crop 0 and crop 1; none where there is one crop.
    grids: Option<[Vec<[f32; 2]>; 2]>,
    /// Where crop 0 and crop 1, or the only crop, lie in the picture.
    frames: Vec<[f32; 4]>,
}

impl Views {
    /// The grids of the first two crops.
    ///
    /// # Panics
    ///
    /// If there is one crop: the run file is checked for what the losses look at.
    fn grids(&self) -> &[Vec<[f32; 2]>; 2] {
        self.grids.as_ref().expect("two crops")
    }
}

/// What whole pictures and crops of step 3 are normalised with: as the backbone wants it.
pub(crate) fn normalization(file: &RunFile) -> Normalization {
    let Preprocessing { mean, std, .. } = file.network.backbone.preprocessing();
    Normalization { mean, std }
}

/// What multi-crop views are normalised with: [`normalization`], of which SwAV's code has another red
/// deviation.
pub(crate) fn multi_crop_normalization(file: &RunFile) -> Normalization {
    match (file.data.red_deviation, normalization(file)) {
        (RedDeviation::Published, plain) if plain == PLAIN => MULTI_CROP,
        (_, plain) => plain,
    }
}

/// What turns a place in the training into views.
pub(crate) fn make_views(
    samples: Arc<[Sample]>,
    config: MultiCropConfig,
    odd: OddPictures,
    seed: u64,
) -> impl Fn(Place) -> Result<Views, Error> + Clone + Send + Sync + 'static {
    move |place| {
        let picture = samples[place.index].read_picture(odd)?;
        Ok(views_of(
            &picture,
            &config,
            seed,
            place.epoch,
            place.index as u64,
        ))
    }
}

/// The views of one picture.
pub(crate) fn views_of(
    picture: &RgbImage,
    config: &MultiCropConfig,
    seed: u64,
    epoch: u64,
    index: u64,
) -> Views {
    let crops = multi_crop(picture, config, seed, epoch, index);
    Views {
        index: index as usize,
        grids: (crops.len() > 1).then(|| overlap_grids(&crops[0].frame, &crops[1].frame)),
        frames: crops
            .iter()
            .take(2)
            .map(|crop| edges(&crop.frame, picture))
            .collect(),
        crops,
    }
}

/// Left, upper, right and lower edge of a crop in shares of the picture, as PixPro counts them: from
/// its first to its last pixel. A mirrored crop runs from right to left.
fn edges(frame: &CropFrame, picture: &RgbImage) -> [f32; 4] {
    let share = |pixel: u32, side: u32| (f64::from(pixel) / f64::from(side.max(2) - 1)) as f32;
    let [left, right] = [frame.left, frame.left + frame.width - 1];
    let [top, bottom] = [frame.top, frame.top + frame.height - 1];
    let [left, right] = [left, right].map(|column| share(column, picture.width()));
    let [top, bottom] = [top, bottom].map(|row| share(row, picture.height()));
    if frame.flip {
        [right, top, left, bottom]
    } else {
        [left, top, right, bottom]
    }
}

/// One tensor a resolution, crops in order and pictures within each, in the type that the network
/// computes in.
///
/// # Shapes
///
/// - output: for each of [`MultiCropConfig::resolutions`] `[count * batch, 3, size, size]`
pub(crate) fn crop_groups(
    views: &[Views],
    config: &MultiCropConfig,
    normalization: &Normalization,
    precision: Precision,
    device: &Device,
) -> Vec<Tensor<4>> {
    let mut first = 0;
    let mut groups = Vec::new();
    for [size, count] in config.resolutions() {
        let crops = first..first + count;
        let pixels: Vec<&[u8]> = crops
            .flat_map(|crop| {
                views
                    .iter()
                    .map(move |view| view.crops[crop].rgb.as_slice())
            })
            .collect();
        let pictures = pictures_to_tensor(&pixels, size, size, normalization, device);
        groups.push(precision.cast(pictures));
        first += count;
    }
    groups
}

/// What a method sees of some pictures with these crops. The overlap is sampled as `alignment` says,
/// if it does. Without labels.
pub(crate) fn view_batch(
    views: &[Views],
    file: &RunFile,
    config: &MultiCropConfig,
    alignment: Option<&AlignmentConfig>,
    device: &Device,
) -> ViewBatch {
    let normalization = multi_crop_normalization(file);
    ViewBatch {
        groups: crop_groups(views, config, &normalization, file.precision, device),
        crops: config.groups.iter().map(|group| group.count).collect(),
        frames: frame_batch(views, device),
        overlap: alignment.map(|alignment| overlap_points(views, alignment, device)),
        pictures: views.iter().map(|view| view.index).collect(),
        labels: Vec::new(),
        watched: false,
    }
}

/// Where the two global crops lie: all of crop 0, then all of crop 1; or the only crop.
///
/// # Shapes
///
/// - output: `[2 * batch, 4]` or `[batch, 4]`
fn frame_batch(views: &[Views], device: &Device) -> Tensor<2> {
    let crops = views[0].frames.len();
    let values: Vec<f32> = (0..crops)
        .flat_map(|crop| views.iter().flat_map(move |view| view.frames[crop]))
        .collect();
    Tensor::from_data(TensorData::new(values, [crops * views.len(), 4]), device)
}

/// Where P2P looks in a batch: the grids of crop 0, then those of crop 1.
fn overlap_points(views: &[Views], section: &AlignmentConfig, device: &Device) -> OverlapPoints {
    let points = OVERLAP_GRID * OVERLAP_GRID;
    let values: Vec<f32> = (0..2)
        .flat_map(|crop| views.iter().map(move |view| &view.grids()[crop]))
        .flat_map(|grid| match section.sampling {
            OverlapSampling::Edges => grid.clone(),
            OverlapSampling::CellCentres => cell_centres(grid),
        })
        .flatten()
        .collect();
    let overlapping = || {
        let pictures = views.iter().enumerate();
        pictures.filter(|(_, view)| overlap(view)).map(|(i, _)| i)
    };
    OverlapPoints {
        grids: Tensor::from_data(
            TensorData::new(values, [2 * views.len(), points, 2]),
            device,
        ),
        pictures: match section.empty_pairs {
            EmptyPairs::Count => None,
            EmptyPairs::LeaveOut => Some(overlapping().collect()),
        },
    }
}

/// Whether the two global crops share anything: the grid of a pair that does not lies at -2.
fn overlap(view: &Views) -> bool {
    view.grids()[0][0][0] > -1.5
}

/// From points on the rim and in between to the centres of as many equal cells.
fn cell_centres(grid: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let [first, last] = [grid[0], grid[grid.len() - 1]];
    let centre = |axis: usize, cell: usize| {
        let share = (cell as f32 + 0.5) / OVERLAP_GRID as f32;
        first[axis] + (last[axis] - first[axis]) * share
    };
    (0..grid.len())
        .map(|point| {
            [
                centre(0, point % OVERLAP_GRID),
                centre(1, point / OVERLAP_GRID),
            ]
        })
        .collect()
}

/// Share of the pictures whose first two crops do not overlap: all points of their grids lie
/// outside.
pub(crate) fn share_without_overlap(views: &[Views]) -> f64 {
    let outside = |point: &[f32; 2]| point.iter().any(|x| x.abs() > 1.0);
    let apart = |view: &&Views| view.grids()[0].iter().all(outside);
    views.iter().filter(apart).count() as f64 / views.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use imagenet_s::views::CropGroup;

    fn frame(left: u32, flip: bool) -> CropFrame {
        CropFrame {
            left,
            top: 2,
            width: 5,
            height: 4,
            flip,
        }
    }

    /// Views of a picture of 11 by 9 pixels, without pixels.
    fn views(frames: [CropFrame; 2]) -> Views {
        let picture = RgbImage::new(11, 9);
        Views {
            index: 0,
            crops: Vec::new(),
            grids: Some(overlap_grids(&frames[0], &frames[1])),
            frames: frames.map(|frame| edges(&frame, &picture)).into(),
        }
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_mirrored_crop_runs_from_right_to_left() {
        let batch = [views([frame(3, false), frame(3, true)])];
        let frames = numbers(frame_batch(&batch, &Device::default()));
        assert_eq!(frames, [0.3, 0.25, 0.7, 0.625, 0.7, 0.25, 0.3, 0.625]);
    }

    /// As in the reference, where views differ in more than their size.
    #[test]
    fn groups_of_one_size_are_one_tensor() {
        let group = |count, size| CropGroup::new(count, size, [0.5, 1.0]);
        let config = MultiCropConfig {
            groups: vec![group(1, 8), group(1, 8), group(3, 4)],
            ..Default::default()
        };
        let views = [0, 1].map(|index| views_of(&RgbImage::new(11, 9), &config, 1, 0, index));
        let device = &Device::default();
        let groups = crop_groups(&views, &config, &PLAIN, Precision::Float32, device);
        let shapes: Vec<_> = groups.iter().map(Tensor::dims).collect();
        assert_eq!(shapes, [[4, 3, 8, 8], [6, 3, 4, 4]]);
    }

    #[test]
    fn one_crop_has_a_frame_and_no_overlap() {
        let file = RunFile::default();
        let config = MultiCropConfig {
            groups: vec![CropGroup::new(1, 8, [0.5, 1.0])],
            ..Default::default()
        };
        let views = [3, 4].map(|index| views_of(&RgbImage::new(11, 9), &config, 1, 0, index));
        let batch = view_batch(&views, &file, &config, None, &Device::default());
        assert_eq!(batch.groups[0].dims(), [2, 3, 8, 8]);
        assert_eq!(batch.frames.dims(), [2, 4]);
        assert_eq!((batch.crops, batch.pictures), (vec![1], vec![3, 4]));
    }

    #[test]
    fn pictures_without_overlap_are_left_out_on_request() {
        let batch = [
            views([frame(0, false), frame(6, false)]),
            views([frame(0, false), frame(2, false)]),
        ];
        let mut section = AlignmentConfig::default();
        let device = Device::default();
        assert_eq!(overlap_points(&batch, &section, &device).pictures, None);
        section.empty_pairs = EmptyPairs::LeaveOut;
        let points = overlap_points(&batch, &section, &device);
        assert_eq!(points.pictures, Some(vec![1]));
        assert_eq!(points.grids.dims(), [4, 49, 2]);
    }

    #[test]
    fn cells_of_a_whole_crop_have_the_centres_of_its_pixels() {
        let whole = [views([frame(1, false), frame(1, false)])];
        let section = AlignmentConfig {
            sampling: OverlapSampling::CellCentres,
            ..Default::default()
        };
        let points = overlap_points(&whole, &section, &Device::default());
        let x: Vec<f32> = numbers(points.grids)
            .into_iter()
            .step_by(2)
            .take(7)
            .collect();
        for (cell, x) in x.into_iter().enumerate() {
            let centre = (2.0 * cell as f32 + 1.0) / 7.0 - 1.0;
            assert!((x - centre).abs() < 1e-6, "{cell}: {x}");
        }
    }

    #[test]
    fn cells_of_nowhere_stay_nowhere() {
        assert!(
            cell_centres(&[[-2.0; 2]; 49])
                .iter()
                .all(|p| *p == [-2.0; 2])
        );
    }

    #[test]
    fn the_red_deviation_is_that_of_the_other_steps_on_request() {
        let std = |red| {
            let mut file = RunFile::default();
            file.data.red_deviation = red;
            multi_crop_normalization(&file).std
        };
        assert_eq!(std(RedDeviation::Published), [0.228, 0.224, 0.225]);
        assert_eq!(std(RedDeviation::Unified), [0.229, 0.224, 0.225]);
    }
}
