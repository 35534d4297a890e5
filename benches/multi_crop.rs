//! How long does a picture take from its file to its views?
//!
//! `LUSS_PICTURES=FOLDER` measures on the JPEGs of a folder, as `peers/torchvision_views.py` does
//! for both sides; otherwise pictures of waves and noise are made.

use std::{env, fs, hint::black_box, io::Cursor, path::Path, time::Duration};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use image::ImageFormat;
use imagenet_s::{
    OddPictures, decode_picture,
    views::{CropGroup, MULTI_CROP, MultiCropConfig, multi_crop},
};
use luss_benches::picture;

/// Which views are grey or blurred is drawn for each picture, so one picture says little.
const PICTURES: usize = 16;

/// The contents of JPEG files.
fn files() -> Vec<Vec<u8>> {
    let Some(folder) = env::var_os("LUSS_PICTURES") else {
        let mut bytes = Cursor::new(Vec::new());
        picture()
            .write_to(&mut bytes, ImageFormat::Jpeg)
            .expect("a picture can be a JPEG");
        return vec![bytes.into_inner(); PICTURES];
    };
    let entries = fs::read_dir(&folder).expect("LUSS_PICTURES is a folder");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a folder").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a picture"))
        .collect()
}

/// Views of 224 and 96 pixels, as in the multi-crop runs of SwAV.
fn views(large: usize, small: usize) -> MultiCropConfig {
    MultiCropConfig {
        groups: vec![
            CropGroup::new(large, 224, [0.14, 1.0]),
            CropGroup::new(small, 96, [0.05, 0.14]),
        ],
        ..MultiCropConfig::default()
    }
}

/// Decoded, cut, coloured, blurred and normalised on one thread.
fn make_views(bytes: &[u8], views: &MultiCropConfig, index: usize) {
    let picture = decode_picture(bytes, Path::new("a.jpg"), OddPictures::Decode).expect("a JPEG");
    for view in multi_crop(&picture, views, 4, 0, index as u64) {
        black_box(MULTI_CROP.planes(&view.rgb));
    }
}

fn views_of_files(group: &mut BenchmarkGroup<'_, WallTime>, files: &[Vec<u8>]) {
    for (name, views) in [
        ("one view", views(1, 0)),
        ("two and six views", views(2, 6)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (index, bytes) in files.iter().enumerate() {
                    make_views(black_box(bytes), &views, index);
                }
            });
        });
    }
}

fn multi_crops(criterion: &mut Criterion) {
    let files = files();
    let mut group = criterion.benchmark_group("multi_crop");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("decoding", |bencher| {
        bencher.iter(|| {
            for bytes in &files {
                let decoded = decode_picture(bytes, Path::new("a.jpg"), OddPictures::Decode);
                black_box(decoded.expect("a JPEG"));
            }
        });
    });
    views_of_files(&mut group, &files);
    group.finish();
}

criterion_group!(benches, multi_crops);
criterion_main!(benches);
