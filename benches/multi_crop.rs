//! How long do the views of one picture take?

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imagenet_s::views::{CropGroup, MultiCropConfig, multi_crop};
use luss_benches::{PICTURE_PX, picture};

/// Which views are grey or blurred is drawn for each picture, so one picture says little.
const PICTURES: u64 = 16;

/// Two global and six local views, as in the multi-crop runs of SwAV.
fn config() -> MultiCropConfig {
    let group = |count, size, min_scale, max_scale| CropGroup {
        count,
        size,
        min_scale,
        max_scale,
    };
    MultiCropConfig {
        groups: vec![group(2, 224, 0.14, 1.0), group(6, 96, 0.05, 0.14)],
        ..MultiCropConfig::default()
    }
}

fn multi_crops(criterion: &mut Criterion) {
    let [width, height] = PICTURE_PX;
    let (picture, config) = (picture(), config());
    let mut group = criterion.benchmark_group("multi_crop");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(PICTURES));
    let name = format!("{width}x{height} to 2x224 + 6x96, {PICTURES} pictures");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for index in 0..PICTURES {
                black_box(multi_crop(black_box(&picture), &config, 4, 0, index));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, multi_crops);
criterion_main!(benches);
