//! Distance matching: every pixel takes the class of its nearest labelled training embeddings.
//!
//! Needs only the weights of step 1 and the masks of train-semi; its labels are classes already, so
//! nothing is matched afterwards.

use std::time::Instant;

use imagenet_s::{Split, remove_torn_masks};
use pass_model::{backbone::Backbone, norm::NormMode, resize::upsample_bilinear};
use pixel_attention::distance_matching::{SupportSet, resize_labels};

use crate::{
    Context, Error, Step,
    inference::{Pass, Shape, for_each_batch},
    run::cursor::Cursor,
    step::pretrain::pretrained_backbone,
};

/// Factor by which the feature map is upsampled before pixels are compared.
const UPSAMPLING: usize = 4;

/// Runs the protocol and leaves `distance_matching/validation/FOLDER/PICTURE.png`, class ids.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 1, [`Error::NoMasks`] without train-semi masks; else from
/// data or disk.
pub fn distance_matching(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    context.run.begin(Step::DistanceMatching)?;
    if !context.data.has_masks(Split::TrainSemi) {
        return Err(Error::NoMasks {
            what: "distance matching",
            split: Split::TrainSemi.name(),
            data: context.data.root().display().to_string(),
            remedy: "add train-semi and train-semi-segmentation, or leave this protocol out",
        });
    }
    let mut backbone = pretrained_backbone(context, &context.device)?;
    let support = support(context, &mut backbone)?;
    classify(context, &mut backbone, &support)?;
    context
        .run
        .finish(Step::DistanceMatching, &started.elapsed().as_secs_f64())
}

/// Features of whole pictures at four times the resolution of stage 4.
fn features(backbone: &mut Backbone, pictures: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<4> {
    let map = backbone.forward(pictures, NormMode::Moving).stage(4);
    let [_, _, height, width] = map.dims();
    upsample_bilinear(map, [UPSAMPLING * height, UPSAMPLING * width])
}

fn support(context: &Context, backbone: &mut Backbone) -> Result<SupportSet, Error> {
    let samples = context.data.samples(Split::TrainSemi);
    let section = &context.file.predict;
    let mut support = SupportSet::new(
        context.data.classes(),
        context.file.network.backbone.channels(4),
    );
    let pass = Pass {
        name: "support",
        split: Split::TrainSemi,
        done: 0,
        shape: Shape::Whole(section.resize),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |pictures, tensor| {
        let masks = pictures
            .iter()
            .map(|picture| context.truth(&samples[picture.index]))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(support.add(features(backbone, tensor()), &masks)?)
    })?;
    Ok(support)
}

fn classify(context: &Context, backbone: &mut Backbone, support: &SupportSet) -> Result<(), Error> {
    let samples = context.data.samples(Split::Validation);
    let section = &context.file.predict;
    let config = &context.file.distance_matching;
    let (name, split) = (Step::DistanceMatching.name(), Split::Validation);
    remove_torn_masks(&context.run.masks(name, split.name()))?;
    let mut cursor = Cursor::of_step(context, Step::DistanceMatching, split.name())?;
    let pass = Pass {
        name,
        split,
        done: cursor.done(),
        shape: Shape::Whole(section.resize),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |pictures, tensor| {
        let maps = support.classify(features(backbone, tensor()), config)?;
        for (picture, map) in pictures.iter().zip(&maps) {
            let [width, height] = picture.original;
            let key = &samples[picture.index].key;
            context.write_mask(name, split, key, &resize_labels(map, width, height))?;
        }
        cursor.advance(pictures.len())
    })?;
    cursor.store()
}
