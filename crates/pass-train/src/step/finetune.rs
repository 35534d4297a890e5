//! Step 3, fine-tuning: the weights of step 1 and a 1×1 head learn the pseudo labels.

use std::{sync::Arc, time::Instant};

use burn::tensor::{Device, Int, Tensor, TensorData};
use imagenet_s::{
    OddPictures, Sample, Split, pictures_to_tensor,
    views::{Normalization, PairedCrop, Purpose, Stream},
};
use luss_metrics::LabelMask;
use pass_model::{
    checkpoint::load_module,
    group::Group,
    loss::pixel_cross_entropy,
    precision::Precision,
    resize::upsample_bilinear,
    segmentation_net::{SegmentationNet, SegmentationNetConfig},
};
use pixel_attention::label_store::LabelStore;
use serde::Serialize;

use crate::{
    Context, Error, Step,
    health::Vitals,
    ranks::{done_by_first, first_then_others},
    run_file::FinetuneSection,
    step::{
        labels::{LabelsSummary, ensure_store},
        pretrain::pretrained_backbone,
        threshold::chosen_threshold,
    },
    training::{Learner, Loss, Place, Task, leave, number, train},
    training_plan::Plan,
    view_batch::normalization,
    watch::findings,
};

#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    seconds: f64,
}

/// Runs step 3 on the weights of step 1 and the labels of step 2.4, and leaves
/// `finetune/weights.safetensors`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.4, [`Error::NoForeground`] for labels without any; else as [`super::pretrain::pretrain`].
pub fn finetune(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    context.run.require(Step::Finetune, Step::GenerateLabels)?;
    refuse_without_foreground(context)?;
    context.check_precision()?;
    done_by_first(&context.ranks, || context.run.begin(Step::Finetune))?;
    let section = &context.file.finetune;
    let mut learner = Learner::new(Finetuning::new(context)?, &section.optim);
    let crops = first_then_others(&context.ranks, || LabelledCrops::new(context))?;
    let pictures = context.data.samples(Split::Train).len();
    let plan = Plan::new(Step::Finetune, &context.file, pictures, None);
    train(context, &plan, &mut learner, move |place| crops.make(place))?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &learner.task.net,
        Step::Finetune,
        &Summary {
            epochs: section.epochs,
            seconds,
        },
    )
}

fn refuse_without_foreground(context: &Context) -> Result<(), Error> {
    let labels: LabelsSummary = context.run.summary(Step::GenerateLabels)?;
    if labels.foreground > 0.0 {
        return Ok(());
    }
    Err(Error::NoForeground {
        threshold: chosen_threshold(context)?,
        advice: findings::for_any_foreground(context),
    })
}

/// The segmentation network with fresh weights of the run's seed.
pub(crate) fn fresh_net(context: &Context, device: &Device) -> SegmentationNet {
    let classes = usize::from(context.data.classes());
    SegmentationNetConfig {
        backbone: context.file.network.backbone.clone(),
        classes,
        head: context.file.finetune.head,
    }
    .init(context.file.seed, device)
}

/// The segmentation network as step 3 left it.
pub(crate) fn finetuned_net(context: &Context, step: Step) -> Result<SegmentationNet, Error> {
    context.run.require(step, Step::Finetune)?;
    let mut net = fresh_net(context, &context.device);
    load_module(&mut net, &context.run.unchanged_weights(Step::Finetune)?)?;
    Ok(net)
}

/// A training picture and its pseudo label, cut alike.
pub(crate) struct LabelledCrop {
    pixels: Vec<u8>,
    labels: LabelMask,
}

/// What turns a place in the training into a labelled crop.
#[derive(Clone)]
struct LabelledCrops {
    samples: Arc<[Sample]>,
    store: Arc<LabelStore>,
    threshold: f32,
    odd: OddPictures,
    seed: u64,
    section: FinetuneSection,
}

impl LabelledCrops {
    fn new(context: &Context) -> Result<Self, Error> {
        Ok(Self {
            samples: context.data.samples(Split::Train).into(),
            store: Arc::new(ensure_store(context, Step::Finetune, Split::Train)?),
            threshold: chosen_threshold(context)?,
            odd: context.file.data.odd_pictures,
            seed: context.file.seed,
            section: context.file.finetune.clone(),
        })
    }

    fn make(&self, place: Place) -> Result<LabelledCrop, Error> {
        let sample = &self.samples[place.index];
        let picture = sample.read_picture(self.odd)?;
        let mut stream = Stream::new(self.seed, place.epoch, place.index as u64, Purpose::Pair);
        let FinetuneSection {
            crop,
            min_scale,
            max_scale,
            ..
        } = self.section;
        let sides = [picture.width(), picture.height()];
        let crop = PairedCrop::random(sides, crop, min_scale, max_scale, &mut stream);
        let [columns, rows] = crop.mask_pixels();
        let labels = self.store.get(&sample.key)?;
        let sides = sides.map(|side| side as usize);
        Ok(LabelledCrop {
            pixels: crop.picture(&picture).into_raw(),
            labels: labels.to_crop(sides, self.threshold, &columns, &rows),
        })
    }
}

struct Finetuning {
    net: SegmentationNet,
    section: FinetuneSection,
    normalization: Normalization,
    precision: Precision,
    device: Device,
    ranks: Group,
}

impl Finetuning {
    fn new(context: &Context) -> Result<Self, Error> {
        let device = context.device.clone().autodiff();
        let backbone = pretrained_backbone(context, &device)?;
        Ok(Self {
            net: fresh_net(context, &device).with_backbone(backbone),
            section: context.file.finetune.clone(),
            normalization: normalization(&context.file),
            precision: context.file.precision,
            device,
            ranks: context.ranks.clone(),
        })
    }

    fn loss_of(&mut self, crops: &[LabelledCrop]) -> Tensor<1> {
        let side = self.section.crop;
        let pixels: Vec<&[u8]> = crops.iter().map(|crop| crop.pixels.as_slice()).collect();
        let pictures = pictures_to_tensor(&pixels, side, side, &self.normalization, &self.device);
        let labels = label_tensor(
            crops,
            self.section.label_stride,
            &self.device.clone().inner(),
        );
        let [_, height, width] = labels.dims();
        let pictures = self.precision.cast(pictures);
        let mode = self.section.norms.mode(&self.ranks);
        let logits = self.net.forward(pictures, mode);
        pixel_cross_entropy(upsample_bilinear(logits, [height, width]), labels)
    }
}

/// Labels at every `stride`-th row and column, from the first: torch's "nearest" of 1/stride.
///
/// # Shapes
///
/// - output: `[batch, floor(side / stride), floor(side / stride)]`
fn label_tensor(crops: &[LabelledCrop], stride: usize, device: &Device) -> Tensor<3, Int> {
    let [width, height] = [crops[0].labels.width(), crops[0].labels.height()];
    let [columns, rows] = [width / stride, height / stride];
    let mut values: Vec<i32> = Vec::with_capacity(crops.len() * rows * columns);
    for crop in crops {
        for row in crop
            .labels
            .labels()
            .chunks(width)
            .step_by(stride)
            .take(rows)
        {
            values.extend(
                row.iter()
                    .step_by(stride)
                    .take(columns)
                    .map(|&id| i32::from(id)),
            );
        }
    }
    Tensor::from_data(
        TensorData::new(values, [crops.len(), rows, columns]),
        device,
    )
}

impl Task for Finetuning {
    type Item = LabelledCrop;
    type Net = SegmentationNet;

    fn loss(&mut self, crops: &[LabelledCrop], _seen: Option<&mut Vitals>) -> Loss {
        let minimised = self.loss_of(crops);
        Loss {
            terms: vec![("cross_entropy".into(), number(&minimised))],
            minimised,
        }
    }

    fn net(&self) -> &SegmentationNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut SegmentationNet {
        &mut self.net
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_even_rows_and_columns() {
        let crop = |first: u16| LabelledCrop {
            pixels: Vec::new(),
            labels: LabelMask::new(5, 4, (first..first + 20).collect()).unwrap(),
        };
        let labels = label_tensor(&[crop(0), crop(100)], 2, &Device::default());
        let expected = [[[0i32, 2], [10, 12]], [[100, 102], [110, 112]]];
        labels.into_data().assert_eq(&expected.into(), false);
    }
}
