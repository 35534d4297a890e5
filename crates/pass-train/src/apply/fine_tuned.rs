//! The network of step 3, from pictures to masks.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use imagenet_s::{
    pictures_to_tensor,
    views::{Normalization, Region, resize_bilinear},
};
use luss_metrics::LabelMask;
use pass_model::{backbone::BackboneConfig, norm::NormMode, segmentation_net::SegmentationNet};
use pixel_attention::cam::cam_labels;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    apply::{
        components::{FOREGROUND, component_labels},
        confidence::ConfidenceSums,
        tiles::blend,
        upsampled_argmax::UpsampledArgmax,
    },
    inference::{Prepared, Shape, check_finite, prepare},
    run_file::{Inference, PredictSection},
};

/// Side of the largest window, in pixels of what the network sees, unless another is asked for.
pub const TILE: usize = 1024;

/// At which size a network sees a picture, and at which size that is labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// The shorter side is brought to this many pixels; `None` leaves pictures as they are.
    pub resize: Option<u32>,
    /// Whether both sides are brought to `resize`, whatever the aspect.
    pub square: bool,
    /// A picture that then has more pixels than a square of this side goes through the network in
    /// windows, whose sides are no longer.
    pub tile: usize,
    /// A picture above a megapixel is labelled at this longer side, in pixels; 0 for its own.
    pub longer_side_cap: usize,
}

impl Sizing {
    /// That of step 4.
    pub fn of_step(section: &PredictSection) -> Self {
        Self {
            resize: Some(section.resize),
            square: false,
            tile: TILE,
            longer_side_cap: section.longer_side_cap,
        }
    }

    /// That of a rule that sees squares.
    pub(super) fn of_square(side: u32) -> Self {
        Self {
            resize: Some(side),
            square: true,
            tile: TILE,
            longer_side_cap: 0,
        }
    }

    /// Makes a picture ready for [`Model::label`](super::Model::label); `index` is the caller's.
    pub fn prepare(&self, index: usize, picture: &RgbImage) -> Prepared {
        prepare(index, picture, self.shape())
    }

    fn shape(&self) -> Shape {
        match self.resize {
            None => Shape::Original,
            Some(side) if self.square => Shape::Square(side),
            Some(side) => Shape::Whole(side),
        }
    }

    /// Pixels that the network sees of a picture of this width and height, about.
    pub fn seen_pixels(&self, [width, height]: [usize; 2]) -> usize {
        let (shorter, longer) = (width.min(height).max(1), width.max(height));
        match self.resize {
            Some(side) if self.square => (side as usize).pow(2),
            Some(side) => (side as usize * side as usize * longer).div_ceil(shorter),
            None => width * height,
        }
    }

    fn is_tiled(&self, [width, height]: [usize; 2]) -> bool {
        width * height > self.tile * self.tile
    }
}

/// What a network makes of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The category of each pixel; 0 is OTHER.
    pub mask: LabelMask,
    /// How sure the model is, 0..=1. Of a network the mean over the cells of its map of the softmax probability
    /// of the most likely id; of clusters the mean over objects of the cosine with the cluster, 0 without one.
    pub confidence: f64,
    /// The same over the cells or objects of this id, from 0 on; `None` where there is none.
    pub of_ids: Vec<Option<f64>>,
}

/// The network of step 3, and how masks follow from its logits.
pub(crate) struct FineTuned {
    pub(crate) net: SegmentationNet,
    pub(crate) backbone: BackboneConfig,
    /// Categories without OTHER.
    pub(crate) classes: usize,
    pub(crate) normalization: Normalization,
    pub(crate) inference: Inference,
    pub(crate) device: Device,
}

impl FineTuned {
    /// Labels pictures of one size; `together` makes them one tensor, which large ones do not need.
    pub(crate) fn label(
        &mut self,
        pictures: &[Prepared],
        sizing: &Sizing,
        together: impl FnOnce() -> Tensor<4>,
    ) -> Result<Vec<Labelled>, Error> {
        if sizing.is_tiled(pictures[0].seen()) {
            let labelled = pictures
                .iter()
                .map(|picture| self.label_tiled(picture, sizing));
            return labelled.collect();
        }
        let logits = self.net.forward(together(), NormMode::Moving);
        let [_, channels, height, width] = logits.dims();
        let values = on_host(logits);
        let maps = values.chunks(width * height * channels);
        let labelled = pictures.iter().zip(maps).map(|(picture, logits)| {
            let mut labels = self.begin([width, height], picture, sizing);
            labels.push(logits)?;
            labels.finish()
        });
        labelled.collect()
    }

    fn label_tiled(&mut self, picture: &Prepared, sizing: &Sizing) -> Result<Labelled, Error> {
        let map = picture.seen().map(|side| self.backbone.map_side(side));
        let mut labels = self.begin(map, picture, sizing);
        let (channels, most) = (self.classes + 1, sizing.tile / self.backbone.stride());
        let logits_of = |x, y| Ok(self.logits_of(picture, map, x, y));
        blend(map, channels, most, logits_of, |rows| labels.push(rows))?;
        labels.finish()
    }

    /// The logits of some columns and rows of the map, `[rows, columns, channels]`.
    fn logits_of(
        &mut self,
        picture: &Prepared,
        map: [usize; 2],
        columns: Range<usize>,
        rows: Range<usize>,
    ) -> Vec<f32> {
        let (height, width) = (rows.len(), columns.len());
        let [seen_width, seen_height] = picture.seen();
        let x = self.pixels(columns, map[0], seen_width);
        let y = self.pixels(rows, map[1], seen_height);
        let region = Region {
            left: x.start as u32,
            top: y.start as u32,
            width: x.len() as u32,
            height: y.len() as u32,
        };
        let cut = resize_bilinear(&picture.pixels, region, region.width, region.height);
        let pictures = pictures_to_tensor(
            &[cut.as_raw()],
            y.len(),
            x.len(),
            &self.normalization,
            &self.device,
        );
        let logits = self.net.forward(pictures, NormMode::Moving);
        on_host(logits.slice([0..1, 0..self.classes + 1, 0..height, 0..width]))
    }

    /// The pixels along an axis that the network must see for some cells of the map.
    fn pixels(&self, cells: Range<usize>, map: usize, seen: usize) -> Range<usize> {
        let (stride, start) = (self.backbone.stride(), cells.start * self.backbone.stride());
        if cells.end == map {
            return start..seen;
        }
        let sees_all = |side: &usize| self.backbone.map_side(*side) >= cells.len();
        let side = (cells.len() * stride..)
            .find(sees_all)
            .expect("a network looks at large pictures");
        start..(start + side).min(seen)
    }

    fn begin(&self, map: [usize; 2], picture: &Prepared, sizing: &Sizing) -> Labels {
        let channels = self.classes + 1;
        let mask = match self.inference {
            Inference::ArgMax => {
                let cap = sizing.longer_side_cap;
                Mask::ArgMax(UpsampledArgmax::new(map, channels, picture.original, cap))
            }
            rule => Mask::Whole(WholeMap {
                logits: Vec::new(),
                map,
                channels,
                picture: picture.original,
                rule,
            }),
        };
        let confidence = ConfidenceSums::new(channels);
        Labels { mask, confidence }
    }
}

/// The logits of some pictures on the host, classes innermost.
fn on_host(logits: Tensor<4>) -> Vec<f32> {
    logits.permute([0, 2, 3, 1]).into_data().iter().collect()
}

/// A picture whose map of logits comes in rows from the top.
struct Labels {
    mask: Mask,
    confidence: ConfidenceSums,
}

enum Mask {
    ArgMax(UpsampledArgmax),
    Whole(WholeMap),
}

impl Labels {
    fn push(&mut self, rows: &[f32]) -> Result<(), Error> {
        check_finite("logit", rows)?;
        self.confidence.add(rows);
        match &mut self.mask {
            Mask::ArgMax(labels) => labels.push(rows),
            Mask::Whole(labels) => labels.logits.extend_from_slice(rows),
        }
        Ok(())
    }

    fn finish(self) -> Result<Labelled, Error> {
        let mask = match self.mask {
            Mask::ArgMax(labels) => labels.finish(),
            Mask::Whole(labels) => labels.finish()?,
        };
        let (confidence, of_ids) = self.confidence.means();
        Ok(Labelled {
            mask,
            confidence,
            of_ids,
        })
    }
}

/// A rule that looks at all logits of a picture together.
struct WholeMap {
    logits: Vec<f32>,
    map: [usize; 2],
    channels: usize,
    picture: [usize; 2],
    rule: Inference,
}

impl WholeMap {
    fn finish(self) -> Result<LabelMask, Error> {
        let [width, height] = self.picture;
        match self.rule {
            Inference::ArgMax => unreachable!("goes row by row"),
            Inference::Components => {
                let labels = component_labels(&self.logits, self.map, self.channels);
                Ok(labels.to_mask(width, height, FOREGROUND))
            }
            Inference::Cam {
                normalization,
                threshold,
            } => {
                let labels = cam_labels(&self.maps(), self.map, normalization)?;
                Ok(labels.to_mask(width, height, threshold))
            }
        }
    }

    /// The map of each category, one behind the other, without OTHER's.
    fn maps(&self) -> Vec<f32> {
        let map = |channel| self.logits.iter().skip(channel).step_by(self.channels);
        (1..self.channels).flat_map(map).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use pass_model::segmentation_net::{HeadDraw, SegmentationNetConfig};
    use pixel_attention::cam::CamNormalization;

    use crate::inference::to_tensor;

    #[test]
    fn cam_inference_takes_one_category_where_it_is_active() {
        // Two pixels of three channels; OTHER is the largest everywhere, category 2 in the mean.
        let cam = |normalization: CamNormalization, threshold| {
            let labels = WholeMap {
                logits: vec![9.0, 0.0, 1.0, 9.0, 2.0, 4.0],
                map: [2, 1],
                channels: 3,
                picture: [2, 1],
                rule: Inference::Cam {
                    normalization,
                    threshold,
                },
            };
            labels.finish().unwrap().labels().to_vec()
        };
        assert_eq!(cam(CamNormalization::MinMax, 0.2), [0, 2]);
        assert_eq!(cam(CamNormalization::ReluMax, 0.2), [2, 2]);
        assert_eq!(cam(CamNormalization::ReluMax, 0.3), [0, 2]);
    }

    fn network(backbone: BackboneConfig) -> FineTuned {
        let (classes, device) = (6, Device::default());
        let config = SegmentationNetConfig {
            backbone,
            classes,
            head: HeadDraw::He,
        };
        FineTuned {
            net: config.init(3, &device),
            backbone: config.backbone,
            classes,
            normalization: imagenet_s::views::PLAIN,
            inference: Inference::ArgMax,
            device,
        }
    }

    fn labelled(network: &mut FineTuned, picture: &RgbImage, tile: usize) -> Labelled {
        let sizing = Sizing {
            resize: None,
            square: false,
            tile,
            longer_side_cap: 0,
        };
        let picture = [sizing.prepare(0, picture)];
        let (normalization, device) = (network.normalization, network.device.clone());
        let together = || to_tensor(&picture, &normalization, &device);
        network
            .label(&picture, &sizing, together)
            .unwrap()
            .remove(0)
    }

    /// Waves of several lengths, so that a cell differs from its neighbours.
    fn picture(width: u32, height: u32) -> RgbImage {
        let wave = |place: f32| (127.0 + 120.0 * place.sin()) as u8;
        RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32, y as f32);
            Rgb([
                wave(x / 9.0 + y / 31.0),
                wave(y / 7.0),
                wave((x * y).sqrt() / 11.0),
            ])
        })
    }

    /// Share of the pixels that differ.
    fn difference(a: &Labelled, b: &Labelled) -> f64 {
        let pairs = a.mask.labels().iter().zip(b.mask.labels());
        pairs.filter(|(a, b)| a != b).count() as f64 / a.mask.labels().len() as f64
    }

    #[test]
    fn the_seams_of_a_tiled_picture_do_not_show() {
        let resnet = pass_model::backbone::ResNetConfig {
            width: 4,
            ..pass_model::backbone::ResNetConfig::small()
        };
        let mut network = network(resnet.into());
        let picture = picture(611, 405);
        let whole = labelled(&mut network, &picture, 4096);
        assert!(
            whole.of_ids.iter().flatten().count() > 2,
            "{:?}",
            whole.of_ids
        );
        let tiled = labelled(&mut network, &picture, 320);
        let found = difference(&whole, &tiled);
        assert!(found < 0.005, "{found} of the pixels differ");
        assert!((whole.confidence - tiled.confidence).abs() < 1e-3);
    }

    #[test]
    fn one_window_gives_the_bits_of_the_whole_picture() {
        let mut network = network(BackboneConfig::named("small").unwrap());
        let picture = picture(97, 61);
        let whole = labelled(&mut network, &picture, 4096);
        let sizing = Sizing {
            resize: None,
            square: false,
            tile: 4096,
            longer_side_cap: 0,
        };
        let picture = sizing.prepare(0, &picture);
        assert_eq!(network.label_tiled(&picture, &sizing).unwrap(), whole);
    }
}
