//! The features of a backbone over a folder of pictures, one array.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use imagenet_s::{
    Dataset, Loader, OddPictures, Sample, Selection, Split, pictures_to_tensor,
    views::{Filter, Normalization, Region, center_crop, resize_picture, resize_shorter},
};
use pass_model::{
    backbone::{Backbone, Interpolation, Preprocessing},
    resize::BilinearResize,
};
use pass_train::{Progress, Verbosity};
use pixel_attention::row_file::RowFileWriter;

use super::recipe::{Found, Recipe};

/// The layer that is no map: what the classifier of the published weights takes.
pub const POOLED: &str = "pooled";

/// The pictures of a folder by the paths below it; with a pattern, those that match it.
///
/// # Errors
///
/// A folder without pictures, or that cannot be read; what is no pattern.
pub fn pictures_of(folder: &Path, pattern: Option<&str>) -> anyhow::Result<Vec<Sample>> {
    let selection = Selection::default();
    let selection = match pattern {
        Some(pattern) => selection.matching(pattern)?,
        None => selection,
    };
    let data = Dataset::open_selected_pictures(&selection, folder, 1)?;
    let mut samples = data.samples(Split::Train).to_vec();
    samples.sort_by(|a, b| a.picture.cmp(&b.picture));
    Ok(samples)
}

/// The pictures of shard `shard` of `of`, from 1 on.
pub fn shard_of(samples: &[Sample], shard: usize, of: usize) -> &[Sample] {
    let start = |shard: usize| samples.len() * shard / of;
    &samples[start(shard - 1)..start(shard)]
}

/// Writes the features of some pictures to `array`, from where an earlier process came; returns their
/// shape.
///
/// # Errors
///
/// An array of another recipe; a picture that cannot be read; features that are not finite; a failed
/// write.
pub fn extract(
    network: &mut Backbone,
    recipe: &Recipe,
    samples: &[Sample],
    array: &Path,
    work: &Work,
) -> anyhow::Result<Vec<usize>> {
    let keys: Vec<String> = samples.iter().map(|sample| sample.key.clone()).collect();
    let views = Views::new(recipe);
    let [height, width, channels] = map_size(network, recipe, &views, &samples[0], work)?;
    let inner: &[usize] = match recipe.layer.as_str() {
        POOLED => &[],
        _ => &[height, width],
    };
    let shape = [&[samples.len()], inner, &[channels]].concat();
    if recipe.begin(array, &keys)? == Found::Whole {
        return Ok(shape);
    }
    let mut writer = RowFileWriter::resume_maps(array, inner, channels, recipe.dtype)?;
    let done = writer.rows() / (height * width);
    let mut progress = Progress::resumed(
        work.verbosity,
        "extract",
        done as u64,
        samples.len() as u64,
        "images",
    );
    let mut loader = loader(&samples[done..], &views, work);
    loop {
        let batch = loader.by_ref().take(work.batch);
        let batch: Vec<Vec<RgbImage>> = batch.collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let maps = features(network, recipe, &batch, &work.device);
        let rows: Vec<f32> = maps.permute([0, 2, 3, 1]).into_data().iter().collect();
        let first = writer.rows() / (height * width);
        let last = first + batch.len() - 1;
        writer
            .append(&rows)
            .with_context(|| format!("pictures {} to {}", keys[first], keys[last]))?;
        writer.sync()?; // a kill costs the batch that it interrupts
        progress.advance(batch.len() as u64);
    }
    writer.finish()?;
    progress.finish();
    Ok(shape)
}

/// Where and how an extraction computes; its numbers do not depend on it.
pub struct Work {
    /// The device.
    pub device: Device,
    /// Pictures that go through the network together.
    pub batch: usize,
    /// Threads that decode.
    pub workers: usize,
    /// How pictures with an unusual encoding are taken.
    pub odd: OddPictures,
    /// What is told.
    pub verbosity: Verbosity,
}

/// Pictures at each scale, decoded on other threads.
fn loader(samples: &[Sample], views: &Views, work: &Work) -> Loader<Vec<RgbImage>> {
    let (views, odd) = (views.clone(), work.odd);
    Loader::new(
        samples.to_vec(),
        work.workers,
        2 * work.batch,
        move |sample: &Sample| Ok(views.of(&sample.read_picture(odd)?)),
    )
}

/// How a picture becomes what the network sees.
#[derive(Clone)]
struct Views {
    preprocessing: Preprocessing,
    filter: Filter,
    size: Option<usize>,
    scales: Vec<f64>,
}

impl Views {
    fn new(recipe: &Recipe) -> Self {
        let filter = match (recipe.size, recipe.preprocessing.interpolation) {
            (None, Interpolation::Bicubic) => Filter::BICUBIC,
            _ => Filter::BILINEAR,
        };
        Self {
            preprocessing: recipe.preprocessing,
            filter,
            size: recipe.size,
            scales: recipe.scales.clone(),
        }
    }

    fn of(&self, picture: &RgbImage) -> Vec<RgbImage> {
        let scaled = |&scale: &f64| self.at(picture, scale);
        self.scales.iter().map(scaled).collect()
    }

    fn at(&self, picture: &RgbImage, scale: f64) -> RgbImage {
        let pixels = |side: usize| match scale {
            1.0 => side as u32,
            _ => self.multiple(side as f64 * scale),
        };
        match self.size {
            Some(size) => {
                let whole = Region::whole(picture.width(), picture.height());
                resize_picture(picture, whole, pixels(size), pixels(size), self.filter)
            }
            None => {
                let Preprocessing { resize, crop, .. } = self.preprocessing;
                let crop = pixels(crop);
                let resized = resize_shorter(picture, pixels(resize).max(crop), self.filter);
                center_crop(&resized, crop)
            }
        }
    }

    /// The nearest whole multiple of what the network needs, at least one.
    fn multiple(&self, side: f64) -> u32 {
        let multiple = self.preprocessing.multiple as f64;
        ((side / multiple).round().max(1.0) * multiple) as u32
    }
}

/// Height, width and channels of the map of a picture.
fn map_size(
    network: &mut Backbone,
    recipe: &Recipe,
    views: &Views,
    sample: &Sample,
    work: &Work,
) -> anyhow::Result<[usize; 3]> {
    let picture = sample.read_picture(work.odd)?;
    let maps = features(network, recipe, &[views.of(&picture)], &work.device);
    let [_, channels, height, width] = maps.dims();
    Ok([height, width, channels])
}

/// The mean over scales and mirrors, at the size that the first scale has.
fn features(
    network: &mut Backbone,
    recipe: &Recipe,
    batch: &[Vec<RgbImage>],
    device: &Device,
) -> Tensor<4> {
    let mut all: Vec<Tensor<4>> = Vec::new();
    for scale in 0..recipe.scales.len() {
        let pictures = tensor_of(batch, scale, &recipe.preprocessing, device);
        all.push(one_pass(network, recipe, pictures.clone()));
        if recipe.flip {
            all.push(one_pass(network, recipe, pictures.flip([3])).flip([3]));
        }
    }
    let [_, _, height, width] = all[0].dims();
    let count = all.len() as f64;
    let resized = all
        .into_iter()
        .map(|maps| resized_to(maps, [height, width]));
    let sum = resized.reduce(|sum, maps| sum + maps);
    sum.expect("at least one scale") / count
}

fn one_pass(network: &mut Backbone, recipe: &Recipe, pictures: Tensor<4>) -> Tensor<4> {
    match recipe.layer.as_str() {
        POOLED => {
            let pooled = network.pooled(pictures);
            let [batch, channels] = pooled.dims();
            pooled.reshape([batch, channels, 1, 1])
        }
        layer => network.layer(pictures, layer),
    }
}

fn resized_to(maps: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = maps.dims();
    if [height, width] == size {
        return maps;
    }
    BilinearResize::new([height, width], size, &maps.device()).forward(maps)
}

fn tensor_of(
    batch: &[Vec<RgbImage>],
    scale: usize,
    preprocessing: &Preprocessing,
    device: &Device,
) -> Tensor<4> {
    let pixels: Vec<&[u8]> = batch
        .iter()
        .map(|views| &views[scale].as_raw()[..])
        .collect();
    let (width, height) = batch[0][scale].dimensions();
    let Preprocessing { mean, std, .. } = *preprocessing;
    let normalization = Normalization { mean, std };
    pictures_to_tensor(
        &pixels,
        height as usize,
        width as usize,
        &normalization,
        device,
    )
}

/// `I/N` as the second of three machines gives it: `2/3`.
///
/// # Errors
///
/// Anything else.
pub fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/');
    let numbers = numbers.and_then(|(shard, of)| Some((shard.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((shard, of)) if (1..=of).contains(&shard) => Ok((shard, of)),
        _ => Err("a shard is I/N with I from 1 to N, as 2/3 for the second of three".to_owned()),
    }
}

/// Checks that each shard has a picture, and gives the file of this one.
///
/// # Errors
///
/// More shards than pictures; a file that is no `.npy`.
pub fn array_path(
    out: &Path,
    shard: Option<(usize, usize)>,
    pictures: usize,
) -> anyhow::Result<PathBuf> {
    let shown = out.display();
    ensure!(
        out.extension().is_some_and(|extension| extension == "npy"),
        "--out {shown}: features are an array in a file NAME.npy"
    );
    let Some((shard, of)) = shard else {
        return Ok(out.to_owned());
    };
    ensure!(
        of <= pictures,
        "--shard {shard}/{of}: there are only {pictures} pictures"
    );
    Ok(pixel_attention::row_file::shard_path(out, shard, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sides of what a network with patches of 14 pixels sees of a picture of 60 x 40.
    fn sides(size: Option<usize>, scale: f64) -> (u32, u32) {
        let preprocessing = Preprocessing {
            multiple: 14,
            ..Preprocessing::default()
        };
        let views = Views {
            preprocessing,
            filter: Filter::BILINEAR,
            size,
            scales: vec![scale],
        };
        views.of(&RgbImage::new(60, 40))[0].dimensions()
    }

    #[test]
    fn a_size_is_taken_as_it_was_given_and_scales_of_it_fill_patches() {
        assert_eq!(sides(Some(100), 1.0), (100, 100));
        assert_eq!(sides(Some(100), 1.5), (154, 154));
        assert_eq!(sides(None, 1.0), (224, 224));
        assert_eq!(sides(None, 0.5), (112, 112));
    }
}
