//! Step 2.4, pseudo labels: the nearest centroid of every pixel, OTHER where the attention is low.
//!
//! Labels are stored at the resolution of the ×4 feature map together with the attention, whatever
//! the threshold; a mask at picture resolution is made from them when it is needed. A process that
//! was killed is followed by one that goes on behind the last labels and masks that were counted.

use std::{path::Path, time::Instant};

use imagenet_s::{Split, remove_torn_masks};
use luss_metrics::LabelMask;
use pixel_attention::{
    attention_net::AttentionNet,
    cam::image_level_labels,
    centroids::read_centroids,
    label_generation::generate,
    label_store::{LabelFormat, LabelStore, LabelStoreWriter, remove_cursor},
    refine::CrfConfig,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Progress, Step,
    inference::{Pass, Prepared, Shape, for_each_batch},
    run::{cursor::Cursor, masks::write_as},
    run_file::LabelWay,
    step::{
        attention::tuned_net,
        objects::labels::{Edges, ObjectLabels},
        threshold::chosen_threshold,
    },
    watch::{findings, mask_counts::MaskCounts},
};

/// Batches between two waits for the disk: as many are labelled again after a kill, at most.
const BATCHES_BETWEEN_SYNCS: usize = 16;

/// The same where a picture is one object's worth of work.
const PICTURES_BETWEEN_SYNCS: usize = 256;

/// What the step leaves in `done/generate_labels.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelsSummary {
    /// Training pictures labelled.
    pub pictures: usize,
    /// Share of their feature-map cells whose attention reaches the threshold.
    pub foreground: f64,
    /// These cells, by id from 1; of runs of former versions nothing.
    #[serde(default)]
    pub cells: Vec<u64>,
    /// How the masks use the categories; of runs of former versions nothing.
    #[serde(default, alias = "result")]
    pub counts: Option<MaskCounts>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs step 2.4: labels of the training pictures, and of those that are evaluated as PNGs.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.3; else from data or disk.
pub fn generate_labels(context: &Context) -> Result<LabelsSummary, Error> {
    let started = Instant::now();
    context.run.begin(Step::GenerateLabels)?;
    let threshold = chosen_threshold(context)?;
    let store = ensure_store(context, Step::GenerateLabels, Split::Train)?;
    let pictures = context.data.samples(Split::Train).len();
    let (foreground, cells) = foreground_of(context, &store, threshold)?;
    let mut counts = MaskCounts::new(context.data.classes());
    for split in context.shown_splits() {
        write_pseudo_masks(context, split, threshold, &mut counts)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let summary = LabelsSummary {
        pictures,
        foreground,
        cells,
        counts: Some(counts),
        seconds,
    };
    findings::tell(context, &findings::of_labels(context, &summary));
    context.run.finish(Step::GenerateLabels, &summary)?;
    Ok(summary)
}

/// The stored labels of a split, generated now if they are not there.
pub(crate) fn ensure_store(
    context: &Context,
    step: Step,
    split: Split,
) -> Result<LabelStore, Error> {
    let path = context.run.labels(split.name());
    context.run.require(step, Step::Cluster)?;
    if [Step::SweepThreshold, Step::GenerateLabels].contains(&step) {
        context.run.unchanged(&context.run.centroids())?; // also where they are not read again
        context.set_aside_if_changed(&path)?;
    }
    if !path.exists() {
        context.run.unseal(&path)?;
        write_store(context, step, split)?;
        context.run.seal(&path)?;
    } else if context.speaks() {
        context.run.unchanged(&path)?;
    }
    remove_cursor(&path)?;
    Ok(LabelStore::open(&path)?)
}

fn write_store(context: &Context, step: Step, split: Split) -> Result<(), Error> {
    let place = context.run.labels(split.name());
    context.run.make_room_for(&place)?;
    let format = LabelFormat {
        classes: context.data.classes(),
        attention: context.file.predict.attention,
    };
    let mut writer = LabelStoreWriter::resume(&place, format)?;
    match context.file.cluster.way {
        LabelWay::Objects => label_objects(context, split, &mut writer)?,
        _ => {
            let mut net = tuned_net(context, step)?;
            label_maps(context, &mut net, split, &mut writer)?;
        }
    }
    Ok(writer.finish()?)
}

/// Labels the objects that were found on the pictures.
fn label_objects(
    context: &Context,
    split: Split,
    writer: &mut LabelStoreWriter,
) -> Result<(), Error> {
    let objects = ObjectLabels::new(context, split)?;
    if let Some(crf) = &context.file.predict.refine {
        return label_refined(context, split, (&objects, crf), writer);
    }
    let samples = context.data.samples(split).iter().enumerate();
    for (picture, sample) in samples.skip(writer.len()) {
        writer.push(&sample.key, &objects.of_picture(picture, None)?)?;
        if (picture + 1) % PICTURES_BETWEEN_SYNCS == 0 {
            writer.sync()?;
        }
    }
    Ok(())
}

/// The same, with each picture at hand.
fn label_refined(
    context: &Context,
    split: Split,
    (objects, crf): (&ObjectLabels, &CrfConfig),
    writer: &mut LabelStoreWriter,
) -> Result<(), Error> {
    let (samples, section) = (context.data.samples(split), &context.file.objects);
    let pass = Pass {
        name: &format!("refine {}", split.name()),
        split,
        done: writer.len(),
        shape: Shape::Square(section.size),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |pictures, _| {
        let label = |picture: &Prepared| {
            let pixels = &picture.pixels;
            objects.of_picture(
                picture.index,
                Some(Edges {
                    picture: pixels,
                    crf,
                }),
            )
        };
        let labels: Vec<_> = pictures.par_iter().map(label).collect();
        for (picture, labels) in pictures.iter().zip(labels) {
            writer.push(&samples[picture.index].key, &labels?)?;
        }
        Ok(writer.sync()?)
    })
}

/// Takes the pictures through the attention network and labels their maps.
fn label_maps(
    context: &Context,
    net: &mut AttentionNet,
    split: Split,
    writer: &mut LabelStoreWriter,
) -> Result<(), Error> {
    let centroids = read_centroids(&context.run.unchanged(&context.run.centroids())?)?;
    let samples = context.data.samples(split);
    let section = &context.file.predict;
    let pass = Pass {
        name: &format!("label {}", split.name()),
        split,
        done: writer.len(),
        shape: Shape::Whole(section.resize),
        batch: section.batch,
    };
    let mut batches = 0;
    for_each_batch(context, &pass, |pictures, tensor| {
        let (features, attention) = net.label_features(tensor());
        let centroids = centroids.view();
        let labels = match context.file.cluster.way {
            LabelWay::PixelAttention => generate(features, attention, centroids)?,
            LabelWay::ImageLevel => {
                image_level_labels(features, centroids, context.file.cluster.cam)?
            }
            LabelWay::PixelLevel => generate(features, attention.ones_like(), centroids)?,
            LabelWay::Objects => unreachable!("labelled without a network"),
        };
        for (picture, labels) in pictures.iter().zip(labels) {
            writer.push(&samples[picture.index].key, &labels)?;
        }
        batches += 1;
        if batches % BATCHES_BETWEEN_SYNCS == 0 {
            writer.sync()?;
        }
        Ok(())
    })
}

/// The share of foreground among the cells of the training pictures, and its cells by id.
fn foreground_of(
    context: &Context,
    store: &LabelStore,
    threshold: f32,
) -> Result<(f64, Vec<u64>), Error> {
    let mut of_id = vec![0; usize::from(context.data.classes())];
    let mut all = 0;
    for sample in context.data.samples(Split::Train) {
        let labels = store.get(&sample.key)?;
        all += labels.ids.len();
        let cells = labels.ids.iter().zip(&labels.attention);
        for (&id, _) in cells.filter(|(_, attention)| **attention >= threshold) {
            of_id[usize::from(id) - 1] += 1;
        }
    }
    let foreground: u64 = of_id.iter().sum();
    Ok((foreground as f64 / all as f64, of_id))
}

/// Adds the masks of a split, also those that an earlier process has written, to the counts.
fn write_pseudo_masks(
    context: &Context,
    split: Split,
    threshold: f32,
    counts: &mut MaskCounts,
) -> Result<(), Error> {
    let store = ensure_store(context, Step::GenerateLabels, split)?;
    let mut cursor = Cursor::of_step(context, Step::GenerateLabels, split.name())?;
    for sample in &context.data.samples(split)[..cursor.done()] {
        counts.add(&context.read_mask("pseudo_labels", split, &sample.key)?);
    }
    let folder = context.run.masks("pseudo_labels", split.name());
    let place = (split, folder.as_path());
    write_each_mask(context, &store, place, threshold, &mut cursor, |mask| {
        counts.add(mask);
    })
}

/// Writes the full-size masks of a split from the first that `cursor` does not count on.
pub(super) fn write_masks(
    context: &Context,
    store: &LabelStore,
    split: Split,
    threshold: f32,
    folder: &Path,
    cursor: &mut Cursor,
) -> Result<(), Error> {
    write_each_mask(context, store, (split, folder), threshold, cursor, |_| ())
}

/// [`write_masks`], of which each is shown to `see`.
fn write_each_mask(
    context: &Context,
    store: &LabelStore,
    (split, folder): (Split, &Path),
    threshold: f32,
    cursor: &mut Cursor,
    mut see: impl FnMut(&LabelMask),
) -> Result<(), Error> {
    remove_torn_masks(folder)?;
    let samples = context.data.samples(split);
    let (name, done) = (format!("masks of {}", split.name()), cursor.done());
    let mut progress = Progress::resumed(
        context.verbosity,
        name,
        done as u64,
        samples.len() as u64,
        "masks",
    );
    for sample in &samples[done..] {
        let (width, height) = sample.picture_size()?;
        let mask = store.get(&sample.key)?.to_mask(width, height, threshold);
        see(&mask);
        let place = folder.join(format!("{}.png", sample.key));
        write_as(context.mask_form(), &place, &mask, store.classes())?;
        cursor.advance(1)?;
        progress.advance(1);
    }
    progress.finish();
    cursor.store()
}
