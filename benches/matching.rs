//! How long does the image-level matching take on the tables of the three validation sets?
//!
//! Most counts of such a table are 0, 1 or 2: ties everywhere, the hard case of the assignment.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use luss_benches::Noise;
use luss_metrics::{CoOccurrence, LabelMask, Matching};

/// Classes and validation pictures of the ImageNet-S subsets.
const SUBSETS: [(u16, usize); 3] = [(50, 752), (300, 4_097), (919, 12_419)];

/// Labels in one picture: its class and stray ones.
const LABELS: usize = 4;

/// Counts of pictures in which a third of the predictions hold the cluster of the right class.
fn table(classes: u16, pictures: usize) -> CoOccurrence {
    let mut noise = Noise::new(3);
    let mut table = CoOccurrence::new(classes, classes);
    for _ in 0..pictures {
        let truth = 1 + noise.below(usize::from(classes)) as u16;
        let mut clusters = [0; LABELS].map(|_| 1 + noise.below(usize::from(classes)) as u16);
        if noise.below(3) == 0 {
            clusters[0] = classes + 1 - truth;
        }
        let (prediction, truth) = (row(clusters), row([truth; LABELS]));
        table.add(&prediction, &truth).expect("ids are in range");
    }
    table
}

fn row(labels: [u16; LABELS]) -> LabelMask {
    LabelMask::new(LABELS, 1, labels.to_vec()).expect("a label for each pixel")
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    for (classes, pictures) in SUBSETS {
        let table = table(classes, pictures);
        let name = format!("image_level/{classes}x{classes}, {pictures} pictures");
        group.bench_function(name, |bencher| {
            bencher.iter(|| Matching::image_level(black_box(&table)));
        });
    }
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
