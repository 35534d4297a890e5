//! Clustering, labels and scores of anybody's features: `luss features`.

mod distinct;
mod extract;
mod input;
mod out_folder;
mod recipe;
mod score;

use pass_model::group::Group;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use burn::tensor::{Device, Tensor, TensorData};
use imagenet_s::terminal::tell;
use ndarray::{Array2, ArrayView2};
use pixel_attention::{
    centroids::write_centroids,
    kmeans::{KMeans, KMeansConfig, Run, normalize_rows},
    label_generation::{FeatureLabels, generate},
    label_store::{LabelFormat, LabelStore, LabelStoreWriter},
    row_file::{Element, RowFile, RowFileWriter},
    rows::read_within,
};

use distinct::Distinct;
pub use extract::{POOLED, Work, array_path, extract, parse_shard, pictures_of, shard_of};
pub use input::{FeatureSet, array_file};
pub use out_folder::prepare_out;
pub use recipe::{Recipe, keys_path};
pub use score::{check_masks, choose_threshold, label_masks, score};

/// What is clustered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// One embedding a picture: the mean of its features, weighted by the attention.
    Images,
    /// Every feature of every picture.
    Pixels,
}

/// Writes what is clustered to `embeddings.npy` in `out`: rows of length 1.
///
/// # Errors
///
/// Features that are not finite, or of fewer directions than `clusters`; a failed write.
pub fn write_embeddings(
    set: &FeatureSet,
    level: Level,
    clusters: usize,
    out: &Path,
) -> anyhow::Result<RowFile> {
    let path = out.join("embeddings.npy");
    let mut writer = RowFileWriter::create(&path, set.channels(), Element::Float32)?;
    let mut distinct = Distinct::new(clusters);
    for picture in 0..set.keys().len() {
        let features = set.features(picture)?;
        let shape = (set.rows_each(), set.channels());
        let features = Array2::from_shape_vec(shape, features)?;
        let mut rows = match level {
            Level::Pixels => features,
            Level::Images if set.is_dense() => pooled(features, &set.attention(picture)?),
            Level::Images => features,
        };
        normalize_rows(&mut rows);
        let directions = rows.rows().into_iter();
        directions.for_each(|row| distinct.see(row.to_slice().expect("standard layout")));
        writer.append(rows.as_slice().expect("standard layout"))?;
    }
    refuse_too_few(set, &distinct, clusters)?;
    writer.finish()?;
    Ok(RowFile::open(&path)?)
}

/// Refuses features of which clusters would be clusters of nothing, and tells those that are zero.
fn refuse_too_few(set: &FeatureSet, distinct: &Distinct, clusters: usize) -> anyhow::Result<()> {
    let Distinct { rows, zero, .. } = *distinct;
    let zeros = format!("{zero} are zero, or their attention is");
    ensure!(
        distinct.count() >= clusters.min(rows),
        "{}: what is clustered, {rows} rows, has only {} different directions ({zeros}), which cannot \
         form {clusters} clusters; look at how the features were saved, or ask for fewer with --classes",
        set.name(),
        distinct.count()
    );
    if zero > 0 {
        tell(format_args!(
            "warning: {}: of {rows} rows {zeros}; they have no direction and fall together",
            set.name()
        ));
    }
    Ok(())
}

/// The mean of the features times their attention, `[1, channels]`.
fn pooled(features: Array2<f32>, attention: &[f32]) -> Array2<f32> {
    let mut sums = vec![0.0f64; features.ncols()];
    for (row, &weight) in features.rows().into_iter().zip(attention) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value) * f64::from(weight);
        }
    }
    let count = attention.len() as f64;
    Array2::from_shape_fn((1, sums.len()), |(_, channel)| {
        (sums[channel] / count) as f32
    })
}

/// Clusters the rows and writes `centroids.npy` in `out`.
///
/// # Errors
///
/// Settings out of range, fewer rows than clusters, a failed write.
pub fn cluster_rows(
    rows: &RowFile,
    config: &KMeansConfig,
    memory_mib: usize,
    out: &Path,
) -> anyhow::Result<Run> {
    let run = match read_within(rows, memory_mib)? {
        Some(all) => KMeans::new(&all.view(), config, &Group::default())?.best(|_| ())?,
        None => KMeans::new(rows, config, &Group::default())?.best(|_| ())?,
    };
    write_centroids(&out.join("centroids.npy"), run.centroids.view())?;
    Ok(run)
}

/// Names every feature after its nearest centroid (cosine) and writes `labels/NAME.labels` in
/// `out`.
///
/// # Errors
///
/// Features that are not finite, an attention outside 0 to 1, a failed write.
pub fn label(
    set: &FeatureSet,
    centroids: ArrayView2<f32>,
    device: &Device,
    name: &str,
    out: &Path,
) -> anyhow::Result<LabelStore> {
    ensure!(
        set.channels() == centroids.ncols(),
        "the features {name} have {} channels, those that were clustered {}",
        set.channels(),
        centroids.ncols()
    );
    let path: PathBuf = out.join("labels").join(format!("{name}.labels"));
    std::fs::create_dir_all(path.parent().expect("in labels"))?;
    let format = LabelFormat::new(centroids.nrows() as u16);
    let mut writer = LabelStoreWriter::create(&path, format)?;
    let mut zero = 0;
    for (picture, key) in set.keys().iter().enumerate() {
        let features = set.features(picture)?;
        zero += usize::from(features.iter().all(|&value| value == 0.0));
        writer.push(key, &labels_of(set, picture, features, centroids, device)?)?;
    }
    if zero > 0 {
        tell(format_args!(
            "warning: {}: the features of {zero} of {} pictures are zero: all take the label 1",
            set.name(),
            set.keys().len()
        ));
    }
    writer.finish()?;
    Ok(LabelStore::open(&path)?)
}

fn labels_of(
    set: &FeatureSet,
    picture: usize,
    features: Vec<f32>,
    centroids: ArrayView2<f32>,
    device: &Device,
) -> anyhow::Result<FeatureLabels> {
    let [height, width] = set.size();
    let [rows, columns] = if set.is_dense() {
        [height, width]
    } else {
        [1, 1]
    };
    let shape = [1, rows, columns, set.channels()];
    let features = TensorData::new(features, shape);
    let features = Tensor::<4>::from_data(features, device).permute([0, 3, 1, 2]);
    let everywhere = Tensor::<4>::ones([1, 1, rows, columns], device);
    let mut labels = generate(features, everywhere, centroids)?;
    let labels = labels.pop().expect("one picture");
    // An embedding names its whole picture.
    let ids = match set.is_dense() {
        true => labels.ids,
        false => vec![labels.ids[0]; height * width],
    };
    Ok(FeatureLabels {
        width,
        height,
        ids,
        attention: set.attention(picture)?,
    })
}
