//! Writes the embedded dataset as an ImageNet-S tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use image::{RgbImage, codecs::jpeg::JpegEncoder};
use rayon::prelude::*;

use super::{config::SyntheticConfig, scene::Scene};
use crate::{
    error::Error,
    layout::{MASK_EXTENSION, Split},
    pictures::mask_png::write_mask,
    views::{Purpose, Stream},
};

/// File in the root of an embedded dataset: its settings. It is written last, so a tree that has
/// it is complete.
pub const SYNTHETIC_MARKER: &str = "synthetic.json";

/// Writes the embedded dataset to `root`, or does nothing when it is there already.
///
/// The pictures go to a folder beside `root` that is renamed at the end, so `root` never holds
/// half a dataset. As in ImageNet-S, `train-semi` repeats training pictures and its masks annotate
/// the folder's category only (another one is ignored), while validation masks annotate all.
///
/// # Errors
///
/// If a setting lies outside its range, if `root` holds something else or a dataset of other
/// settings, or if a file cannot be written.
pub fn write_synthetic(root: &Path, config: &SyntheticConfig) -> Result<(), Error> {
    if let Some(problem) = config.problem() {
        return Err(Error::SyntheticSetting { problem });
    }
    if root.exists() {
        return check_existing(root, config);
    }
    let partial = partial_root(root);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io(&partial))?;
    }
    for split in Split::ALL {
        write_split(&partial, split, config)?;
    }
    write_bytes(&partial.join(SYNTHETIC_MARKER), marker(config).as_bytes())?;
    fs::rename(&partial, root).map_err(Error::io(root))
}

/// The folder beside `root` that is being filled.
fn partial_root(root: &Path) -> PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    root.with_file_name(name)
}

/// Accepts an existing `root` only if it was written with the same settings.
fn check_existing(root: &Path, config: &SyntheticConfig) -> Result<(), Error> {
    let path = root.join(SYNTHETIC_MARKER);
    match fs::read_to_string(&path) {
        Ok(text) if text == marker(config) => Ok(()),
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, source }),
        _ => Err(Error::SyntheticExists {
            path: root.to_path_buf(),
            marker: SYNTHETIC_MARKER,
        }),
    }
}

fn marker(config: &SyntheticConfig) -> String {
    serde_json::to_string_pretty(config).expect("numbers and tuples are always JSON") + "\n"
}

/// Pictures of a split, and masks where the split has any.
fn write_split(root: &Path, split: Split, config: &SyntheticConfig) -> Result<(), Error> {
    let classes = usize::from(config.classes);
    let pictures = match split {
        Split::Train => config.train,
        Split::TrainSemi => config.train.min(config.train_semi_per_class * classes),
        Split::Validation => config.validation,
        Split::Test => config.test,
    };
    let folders = config.class_names();
    for folder in &folders {
        make_folder(&split.pictures(root).join(folder))?;
        if let Some(masks) = mask_root(root, split) {
            make_folder(&masks.join(folder))?;
        }
    }
    let write = |index| write_picture(root, split, index, &folders, config);
    (0..pictures).into_par_iter().try_for_each(write)
}

/// Picture `index` of a split belongs to category `index mod classes`.
fn write_picture(
    root: &Path,
    split: Split,
    index: usize,
    folders: &[String],
    config: &SyntheticConfig,
) -> Result<(), Error> {
    let rank = index % folders.len();
    let stem = format!("{}_{}", folders[rank], index / folders.len() + 1);
    let mut stream = scene_stream(split, index, config);
    let scene = Scene::draw(config, &ranks(rank, config, &mut stream), &mut stream);

    let path = split
        .pictures(root)
        .join(&folders[rank])
        .join(format!("{stem}.JPEG"));
    write_jpeg(&path, &scene.picture(&mut stream), config.jpeg_quality)?;

    let Some(masks) = mask_root(root, split) else {
        return Ok(());
    };
    let own = rank as u16 + 1;
    let mask = scene.mask(|class| class == own || split != Split::TrainSemi);
    let name = format!("{stem}.{MASK_EXTENSION}");
    write_mask(&masks.join(&folders[rank]).join(name), &mask)
}

/// Where the masks of a split go; as in ImageNet-S, the test split keeps its masks to itself.
fn mask_root(root: &Path, split: Split) -> Option<PathBuf> {
    (split != Split::Test).then(|| split.masks(root)).flatten()
}

/// The random stream of a picture; `train-semi` repeats the training pictures.
fn scene_stream(split: Split, index: usize, config: &SyntheticConfig) -> Stream {
    let split = match split {
        Split::Train | Split::TrainSemi => 0,
        Split::Validation => 1,
        Split::Test => 2,
    };
    Stream::new(config.seed, split, index as u64, Purpose::Synthetic)
}

/// The picture's own category, and sometimes a second, different one.
fn ranks(rank: usize, config: &SyntheticConfig, stream: &mut Stream) -> Vec<usize> {
    let classes = usize::from(config.classes);
    let second = (rank + 1 + stream.below(classes.max(2) - 1)) % classes;
    let shown = stream.chance(config.second_category_ratio) && classes > 1;
    if shown {
        vec![rank, second]
    } else {
        vec![rank]
    }
}

fn write_jpeg(path: &Path, picture: &RgbImage, quality: u8) -> Result<(), Error> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(picture)
        .expect("sides of at most 1280 pixels fit into a JPEG");
    write_bytes(path, &bytes)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::io(path))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io(path))
}
