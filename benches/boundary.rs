//! How long does the boundary of one mask take?

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use luss_benches::{PICTURE_PX, prediction_mask, truth_mask};
use luss_metrics::{boundary_map, boundary_map_transparent, boundary_thickness};

const CLASSES: u16 = 50;

fn boundary(criterion: &mut Criterion) {
    let [width, height] = PICTURE_PX;
    let (mask, truth) = (prediction_mask(CLASSES), truth_mask(CLASSES));
    let mut group = criterion.benchmark_group("boundary");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    // 19 pixels are 3 % of the diagonal; the time should not depend on it.
    for thickness in [1, boundary_thickness(width, height, 0.03)] {
        let name = format!("{width}x{height}, {CLASSES} classes, thickness {thickness}");
        group.bench_function(format!("edge/{name}"), |bencher| {
            bencher.iter(|| boundary_map(black_box(&mask), thickness));
        });
        group.bench_function(format!("transparent/{name}"), |bencher| {
            bencher.iter(|| boundary_map_transparent(black_box(&mask), &truth, thickness));
        });
    }
    group.finish();
}

criterion_group!(benches, boundary);
criterion_main!(benches);
