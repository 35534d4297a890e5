//! Step 2.1 of `cluster.way = "objects"`: what stands out on the map of the frozen backbone.
//!
//! No gradient is computed. Every picture goes once through the backbone; kept are the embedding and
//! the score map of each of its objects, of which `clustered` and `labels` make the rest. A process
//! that was killed is followed by one that goes on behind the last batch.

pub(crate) mod clustered;
mod found;
pub(crate) mod labels;
mod model;
pub mod suggest;

use std::{path::PathBuf, time::Instant};

use burn::tensor::{Device, Tensor};
use imagenet_s::Split;
use ndarray::Array4;
use pass_model::backbone::Backbone;
use pixel_attention::row_file::{Element, RowFileWriter};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, RunDir, Step,
    inference::{Pass, Shape, check_finite, for_each_batch},
    run_file::ObjectsSection,
    step::pretrain::pretrained_backbone,
    watch::findings,
};
pub(crate) use model::ObjectModel;
pub use model::ObjectRule;

use found::{MapShape, Objects, picture_of, record};

/// What the step leaves in `done/find_objects.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectsSummary {
    /// Training pictures.
    pub pictures: usize,
    /// Their objects.
    pub objects: usize,
    /// Those of them on which nothing stood out; all their pixels are OTHER.
    pub without: usize,
    /// Share of the values of their embeddings that are negative, `0..=1`; of runs of former versions
    /// nothing.
    #[serde(default)]
    pub negative: Option<f64>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs the step on the backbone of step 1 and leaves `find_objects/SPLIT.npy` of the training pictures
/// and of those that are shown.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 1, [`Error::Value`] for a layer that the backbone has not; else
/// from data or disk.
pub fn find_objects(context: &Context) -> Result<ObjectsSummary, Error> {
    let summary = find(context)?;
    let signed = findings::of_objects(&context.file.objects, &summary);
    findings::tell(context, signed.as_slice());
    Ok(summary)
}

/// The same, without a word on what it found.
fn find(context: &Context) -> Result<ObjectsSummary, Error> {
    let started = Instant::now();
    context.run.begin(Step::FindObjects)?;
    let find = |split: Split| {
        context.set_aside_if_changed(&context.run.objects(split.name()))?;
        ensure_objects(context, split)
    };
    let splits = splits_with_objects(context).into_iter();
    let found = splits.map(find).collect::<Result<Vec<_>, _>>()?;
    let (objects, without) = found[0].counts()?; // of the training pictures
    let summary = ObjectsSummary {
        pictures: context.data.samples(Split::Train).len(),
        objects,
        without,
        negative: Some(found[0].negative_share()?),
        seconds: started.elapsed().as_secs_f64(),
    };
    context.run.finish(Step::FindObjects, &summary)?;
    Ok(summary)
}

/// The training split and those that are shown.
fn splits_with_objects(context: &Context) -> Vec<Split> {
    let mut splits = vec![Split::Train];
    splits.extend(context.shown_splits());
    splits.dedup();
    splits
}

/// The objects of a split, found now if they are not there.
fn ensure_objects(context: &Context, split: Split) -> Result<Objects, Error> {
    let path = context.run.objects(split.name());
    if !path.exists() {
        extract(context, split)?;
    }
    let path = context.run.unchanged(&path)?;
    let shape = context
        .run
        .read_json(&context.run.unchanged(&map_file(&context.run))?)?;
    Objects::open(&path, shape, context.data.samples(split).len())
}

fn map_file(run: &RunDir) -> PathBuf {
    run.step_dir(Step::FindObjects).join("map.json")
}

fn extract(context: &Context, split: Split) -> Result<(), Error> {
    let section = &context.file.objects;
    let mut backbone = pretrained_backbone(context, &context.device)?;
    check_layers(&backbone, section)?;
    let shape = map_shape(&mut backbone, section, &context.device)?;
    let (run, path) = (&context.run, context.run.objects(split.name()));
    run.make_room_for(&path)?;
    run.write_json(&map_file(run), &shape)?;
    run.seal(&map_file(run))?;
    run.unseal(&path)?;
    let mut writer = RowFileWriter::resume(&path, shape.columns(), Element::Float32)?;
    let last = writer.last()?;
    let pass = Pass {
        name: &format!("find objects {}", split.name()),
        split,
        done: last.map_or(0, |row| picture_of(&row) + 1),
        shape: Shape::Square(section.size),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |prepared, pictures| {
        let indices = prepared
            .iter()
            .map(|picture| picture.index)
            .collect::<Vec<_>>();
        writer.append(&records(&mut backbone, &indices, pictures(), section)?)?;
        Ok(writer.sync()?)
    })?;
    writer.finish()?;
    run.seal(&path)
}

fn check_layers(backbone: &Backbone, section: &ObjectsSection) -> Result<(), Error> {
    let layers = backbone.layers();
    for (key, layer) in [
        ("objects.layer", section.layer.as_str()),
        ("objects.foreground_layer", section.found_on()),
    ] {
        if !layers.contains(&layer) {
            return Err(Error::Value {
                place: "this run".into(),
                key: key.into(),
                value: layer.into(),
                rule: format!("the layers of this backbone are {}", layers.join(", ")),
            });
        }
    }
    Ok(())
}

/// The size of every map: all pictures are of one size.
fn map_shape(
    backbone: &mut Backbone,
    section: &ObjectsSection,
    device: &Device,
) -> Result<MapShape, Error> {
    let side = section.size as usize;
    let blank = Tensor::zeros([1, 3, side, side], device);
    let [_, _, rows, columns] = backbone.layer(blank.clone(), section.found_on()).dims();
    let [_, channels, height, width] = backbone.layer(blank, &section.layer).dims();
    if [rows, columns] != [height, width] {
        return Err(Error::Value {
            place: "this run".into(),
            key: "objects.foreground_layer".into(),
            value: section.found_on().into(),
            rule: format!(
                "its map is {rows} x {columns}, that of `objects.layer` {height} x {width}: they must have \
                 the same cells"
            ),
        });
    }
    Ok(MapShape {
        height,
        width,
        channels,
    })
}

/// The rows of a batch of pictures, one picture after the other.
fn records(
    backbone: &mut Backbone,
    indices: &[usize],
    pictures: Tensor<4>,
    section: &ObjectsSection,
) -> Result<Vec<f32>, Error> {
    let maps = host_maps(backbone.layer(pictures.clone(), &section.layer))?;
    let looked_at = match &section.foreground_layer {
        Some(layer) => host_maps(backbone.layer(pictures, layer))?,
        None => maps.clone(),
    };
    let pairs = maps.outer_iter().zip(looked_at.outer_iter());
    let each: Vec<_> = indices.iter().zip(pairs).collect();
    let rows = each.into_par_iter().map(|(&picture, (map, looked_at))| {
        record(picture, map, section.foreground.find(looked_at))
    });
    Ok(rows.collect::<Vec<_>>().concat())
}

/// `[batch, channels, height, width]` as `[batch, height, width, channels]` on the host.
fn host_maps(maps: Tensor<4>) -> Result<Array4<f32>, Error> {
    let [batch, channels, height, width] = maps.dims();
    let values: Vec<f32> = maps.permute([0, 2, 3, 1]).into_data().iter().collect();
    check_finite("feature", &values)?;
    let maps = Array4::from_shape_vec((batch, height, width, channels), values);
    Ok(maps.expect("as many values as the shape says"))
}
