//! How long does scoring one picture take, and does the number of classes matter?

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use luss_benches::{PICTURE_PX, prediction_mask, truth_mask};
use luss_metrics::{Evaluator, Protocol};

fn evaluator(criterion: &mut Criterion) {
    let [width, height] = PICTURE_PX;
    let mut group = criterion.benchmark_group("evaluator");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    for classes in [50, 919] {
        let (prediction, truth) = (prediction_mask(classes), truth_mask(classes));
        let mut evaluator = Evaluator::new(Protocol::new(classes));
        let name = format!("add/{width}x{height}, {classes} classes");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                evaluator
                    .add(black_box(&prediction), black_box(&truth))
                    .expect("the pair fits the protocol");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, evaluator);
criterion_main!(benches);
