//! Milliseconds of the hot loops on this machine, with fixed inputs:
//! `cargo run --release -p luss-metrics --example speed [SECONDS]`.
//!
//! Pictures are 500x375 with a few regions, as masks are; "noisy" predictions change their label at
//! one pixel in twenty, as a per-pixel argmax does. The time of a line is the smallest of its runs:
//! what the machine can do when nothing else runs.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use luss_metrics::{
    Bootstrap, BoundaryIgnore, CoOccurrence, Evaluator, Fit, ImageCounts, LabelMask, Matching,
    MatchingRule, Overlap, Predictions, Protocol, ThresholdCurve, Ties,
};

const WIDTH: usize = 500;
const HEIGHT: usize = 375;

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(1.0, |text| text.parse().expect("seconds"));
    let budget = Duration::from_secs_f64(seconds);
    pictures(budget);
    matchings(budget);
}

fn pictures(budget: Duration) {
    let classes = 50;
    let (truth, clean) = (truth(7), prediction(7, 0));
    let noisy = prediction(7, 20);
    for (name, prediction) in [("clean", &clean), ("noisy", &noisy)] {
        let files = [encoded(&truth), encoded(prediction)];
        report(
            &format!("decode both PNGs (crate png), {name} picture"),
            budget,
            || {
                files.iter().for_each(|file| decode(black_box(file)));
            },
        );
        let mut evaluator = Evaluator::new(Protocol::new(classes));
        report(&format!("evaluator, {name} picture"), budget, || {
            evaluator
                .add(black_box(prediction), black_box(&truth))
                .unwrap();
        });
        let mut overlap = Overlap::new(classes, Protocol::new(classes));
        report(&format!("overlap tables, {name} picture"), budget, || {
            overlap
                .add(black_box(prediction), black_box(&truth))
                .unwrap();
        });
        let protocol = Protocol {
            boundary_ignore: BoundaryIgnore::Transparent,
            ..Protocol::new(classes)
        };
        let mut evaluator = Evaluator::new(protocol);
        report(
            &format!("evaluator, transparent, {name} picture"),
            budget,
            || {
                evaluator
                    .add(black_box(prediction), black_box(&truth))
                    .unwrap();
            },
        );
    }
    thresholds(budget, &truth, &clean);
    let tiny = LabelMask::new(8, 8, vec![1; 64]).unwrap();
    let mut evaluator = Evaluator::new(Protocol {
        ignore: 65_535,
        ..Protocol::new(65_534)
    });
    report("evaluator, 8x8 picture, 65534 classes", budget, || {
        evaluator.add(black_box(&tiny), black_box(&tiny)).unwrap();
    });
}

fn thresholds(budget: Duration, truth: &LabelMask, ids: &LabelMask) {
    let attention = attention();
    let mut curve = ThresholdCurve::new(Protocol::new(50));
    report("81 thresholds, one picture", budget, || {
        curve
            .add(black_box(ids), black_box(&attention), black_box(truth))
            .unwrap();
    });
    report("81 thresholds, the points", budget, || {
        black_box(curve.points().unwrap());
    });
    let matching = Matching::identity(50);
    let mut evaluator = Evaluator::new(Protocol::new(50));
    let mut overlap = Overlap::new(50, Protocol::new(50));
    report(
        "one threshold, one picture: cut, fit, match, evaluate",
        budget,
        || {
            let kept = ids.labels().iter().zip(&attention);
            let kept = kept
                .map(|(&id, &a)| if a < black_box(0.41) { 0 } else { id })
                .collect();
            let kept = LabelMask::new(WIDTH, HEIGHT, kept).unwrap();
            overlap.add(&kept, truth).unwrap();
            evaluator
                .add(&matching.apply(&kept).unwrap(), truth)
                .unwrap();
        },
    );
}

fn matchings(budget: Duration) {
    for (classes, pictures) in [(50, 752), (300, 4_097), (919, 12_419)] {
        let images = pictures_of(classes, pictures);
        let mut overlap = Overlap::new(classes, Protocol::new(classes));
        images
            .iter()
            .for_each(|image| overlap.add_counts(image).unwrap());
        for rule in MatchingRule::ALL {
            report(&format!("match {rule}, {classes} classes"), budget, || {
                black_box(Matching::fit(rule, black_box(&overlap)).unwrap());
            });
        }
        report(&format!("ties, {classes} classes"), budget, || {
            black_box(Ties::of(MatchingRule::ImageLevel, &overlap).unwrap());
        });
        let predictions = Predictions {
            images: &images,
            fit: Fit::Refit {
                rule: MatchingRule::ImageLevel,
                clusters: classes,
            },
        };
        report(
            &format!("10 resamples, {classes} classes, {pictures} pictures"),
            budget,
            || {
                let intervals =
                    Bootstrap::new(1, 10).intervals(&predictions, &Protocol::new(classes));
                black_box(intervals.unwrap());
            },
        );
    }
    dense(budget);
}

/// A table without zeros, in which nearly all weights differ.
fn dense(budget: Duration) {
    let mut noise = Noise(5);
    let mut table = CoOccurrence::new(919, 919);
    for _ in 0..400 {
        let mut row = |n: usize| (0..n).map(|_| 1 + noise.below(919) as u16).collect();
        let (prediction, truth) = (row(900), row(900));
        let mask = |labels| LabelMask::new(900, 1, labels).unwrap();
        table.add(&mask(prediction), &mask(truth)).unwrap();
    }
    report("match image, 919 classes, dense", budget, || {
        black_box(Matching::image_level(black_box(&table)).unwrap());
    });
}

/// Counts of pictures in which a third of the predictions hold the cluster of the right class.
fn pictures_of(classes: u16, pictures: usize) -> Vec<ImageCounts> {
    let mut noise = Noise(3);
    let protocol = Protocol::new(classes);
    let picture = |_| {
        let truth = 1 + noise.below(classes.into()) as u16;
        let mut clusters = [0; 4].map(|_| 1 + noise.below(classes.into()) as u16);
        if noise.below(3) == 0 {
            clusters[0] = classes + 1 - truth;
        }
        let row = |labels: [u16; 4]| LabelMask::new(4, 1, labels.to_vec()).unwrap();
        ImageCounts::new(&row(clusters), &row([truth; 4]), classes, &protocol).unwrap()
    };
    (0..pictures).map(picture).collect()
}

/// As the data set stores it: red is the low byte, green the high one.
fn encoded(mask: &LabelMask) -> Vec<u8> {
    let pixels = mask.labels().iter();
    let pixels: Vec<u8> = pixels
        .flat_map(|l| [(l % 256) as u8, (l / 256) as u8, 0])
        .collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&pixels)
        .unwrap();
    file
}

fn decode(file: &[u8]) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    black_box(reader.next_frame(&mut pixels).unwrap());
}

fn report(name: &str, budget: Duration, mut run: impl FnMut()) {
    let (start, mut best, mut runs) = (Instant::now(), Duration::MAX, 0u32);
    while runs < 3 || start.elapsed() < budget {
        let run_start = Instant::now();
        run();
        best = best.min(run_start.elapsed());
        runs += 1;
    }
    println!("{name:<55} {:>9.3} ms", best.as_secs_f64() * 1e3);
}

/// An ellipse and a box on "other", with an ignored rim.
fn truth(class: u16) -> LabelMask {
    let label = |i: usize| {
        let (x, y) = ((i % WIDTH) as f64, (i / WIDTH) as f64);
        let radius = ((x - 210.0) / 150.0).powi(2) + ((y - 180.0) / 120.0).powi(2);
        match radius {
            r if r < 1.0 => class,
            r if r < 1.06 => 1000,
            _ if x > 380.0 && y > 220.0 => class + 3,
            _ => 0,
        }
    };
    LabelMask::new(WIDTH, HEIGHT, (0..WIDTH * HEIGHT).map(label).collect()).unwrap()
}

/// The truth, shifted, with blocky borders, and one pixel in `noise` changed (none for 0).
fn prediction(class: u16, noise: usize) -> LabelMask {
    let truth = truth(class);
    let mut random = Noise(1);
    let label = |i: usize| {
        let (x, y) = ((i % WIDTH) / 8 * 8, (i / WIDTH) / 8 * 8);
        if noise > 0 && random.below(noise) == 0 {
            return random.below(6) as u16;
        }
        truth.at((x + 9).min(WIDTH - 1), y) % 1000
    };
    LabelMask::new(WIDTH, HEIGHT, (0..WIDTH * HEIGHT).map(label).collect()).unwrap()
}

/// Smooth with a little noise, from 0 to 1.
fn attention() -> Vec<f32> {
    let mut random = Noise(2);
    let value = |i: usize| {
        let (x, y) = ((i % WIDTH) as f32, (i / WIDTH) as f32);
        let smooth = (x / 60.0).sin() * (y / 50.0).cos() * 0.4 + 0.5;
        (smooth + random.below(100) as f32 / 1000.0).clamp(0.0, 1.0)
    };
    (0..WIDTH * HEIGHT).map(value).collect()
}

struct Noise(u64);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
