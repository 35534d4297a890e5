//! Trainings in 16 bits: the loss scale of float16. What they learn is in `.ci/precision`.

use pass_ranks::ThreadRanks;

use super::{
    faults::{Planted, found, learner, nothing},
    *,
};

const FLOAT16: [&str; 4] = [
    "precision=float16",
    SMALL_VIEWS,
    "pretrain.epochs=3",
    "health.every_iterations=1",
];

/// Without optimisation float16 is slow on the processor.
pub(super) const SMALL_VIEWS: &str =
    "pretrain.views.groups=[{ count = 2, size = 16, min_scale = 0.3, max_scale = 1.0 }]";

/// The scale, and how many updates were left out, after each iteration.
fn scales(root: &Path) -> Vec<[f64; 2]> {
    let of = |record: &LogRecord| {
        ["loss_scale", "skipped_updates"].map(|name| record.values[&format!("precision/{name}")])
    };
    log_of(root).iter().map(of).collect()
}

/// Gradients beyond any 16 bits in one of nine iterations; by then the first scale, which is too high
/// for this network, has fallen.
fn late(iteration: usize) -> f64 {
    if iteration == LATE { 1e30 } else { 1.0 }
}

const LATE: usize = 7;

fn overflowing(context: &Context) -> Learner<Planted> {
    learner(Planted::with_factor(context, late), context)
}

/// What `train` leaves of the optimiser's momentum after so many iterations.
fn momentum(context: &Context, iterations: usize) -> Vec<(String, Vec<u8>)> {
    let name = format!("checkpoint-{iterations:09}");
    let mut files = files_of(&context.run.step_dir(Step::Pretrain).join(name));
    files.retain(|(name, _)| name.starts_with("optimizer.bpk"));
    assert!(files.len() > 20);
    files
}

#[test]
fn an_overflow_costs_one_update_and_half_the_scale() {
    let root = tempfile::tempdir().unwrap();
    let every = ["checkpoints.iterations=1", "checkpoints.keep=99"];
    let context = open(root.path(), &[&FLOAT16[..], &every].concat());
    train_on_views(&context, &mut overflowing(&context)).unwrap();
    let scales = scales(root.path());
    println!("{scales:?}");
    let [scale, skipped] = scales[LATE - 1];
    assert_eq!(scales[LATE..], [[scale / 2.0, skipped + 1.0]; 2]);
    assert_eq!(scale, 65_536.0 * 0.5f64.powf(skipped));
    let log = log_of(root.path());
    let looked = |record: &LogRecord| record.values.contains_key("health/update_norm");
    let looks: Vec<bool> = log.iter().map(looked).collect();
    assert_eq!(looks[LATE - 1..], [true, false, true]);
    assert!(log.iter().all(|record| record.values["total"].is_finite()));
    let [before, after] = [LATE, LATE + 1].map(|done| momentum(&context, done));
    assert!(before == after && momentum(&context, LATE - 1) != before);
}

#[test]
fn a_training_in_float16_goes_on_with_its_scale() {
    assert_parts_end_as_the_whole(&FLOAT16, 8, overflowing);
}

#[test]
fn a_training_goes_on_in_another_precision() {
    let root = tempfile::tempdir().unwrap();
    for precision in ["float16", "bfloat16", "float32", "float16"] {
        let precision = format!("precision={precision}");
        let context = open(root.path(), &["pretrain.epochs=2", SMALL_VIEWS, &precision]);
        context.stop.ask();
        train_on_views(&context, &mut pretraining(&context)).unwrap_err();
    }
    let scaled = |record: &LogRecord| record.values.contains_key("precision/loss_scale");
    let log = log_of(root.path());
    let scaled: Vec<bool> = log.iter().map(scaled).collect();
    assert_eq!(scaled, [true, false, false, true]);
}

#[test]
fn a_loss_that_is_not_a_number_is_no_overflow() {
    let float16 = |file: &mut RunFile| file.precision = Precision::Float16;
    let (iteration, fault) = found(Some(7), nothing, float16);
    assert!(matches!(fault, Fault::NotFinite { .. }), "{fault}");
    assert_eq!(iteration, 7);
}

#[test]
fn a_scale_below_1_stops_the_training() {
    let root = tempfile::tempdir().unwrap();
    let settings = ["precision=float16", SMALL_VIEWS, "pretrain.epochs=9"];
    // Also where faults are only to be told.
    let context = open(
        root.path(),
        &[&settings[..], &["health.on_fault=warn"]].concat(),
    );
    let mut planted = learner(Planted::with_factor(&context, |_| 1e30), &context);
    let error = train_on_views(&context, &mut planted).unwrap_err();
    let said = error.to_string();
    let lost = |fault| matches!(fault, Fault::LossScale { skipped: 17 });
    let right =
        matches!(error, Error::Unhealthy { iteration: 16, fault, .. } if lost(fault.clone()));
    assert!(right && said.contains("bfloat16"), "{said}");
}

/// One of two ranks overflows: both leave the update out, and hold the same weights ever after, which
/// every checkpoint checks. Before that they lose what one process loses.
#[test]
fn ranks_agree_on_an_update_that_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let settings = [&FLOAT16[..], &["checkpoints.iterations=1"]].concat();
    ThreadRanks::run(2, |ranks| {
        let context = open_of_ranks(root.path(), &settings, ranks.clone());
        let factor = if ranks.rank() == 1 { late } else { |_| 1.0 };
        let mut planted = Planted::with_factor(&context, factor);
        planted.inner.ranks = ranks.clone();
        train_on_views(&context, &mut learner(planted, &context)).unwrap();
    });
    let skipped: Vec<f64> = scales(root.path()).iter().map(|scale| scale[1]).collect();
    assert_eq!(skipped[LATE], skipped[LATE - 1] + 1.0);

    let alone = tempfile::tempdir().unwrap();
    let context = open(alone.path(), &FLOAT16);
    train_on_views(&context, &mut pretraining(&context)).unwrap();
    let [two, one] = [root.path(), alone.path()].map(log_of);
    // As long as the scale falls no weight moves, and only roundings differ.
    for (two, one) in two.iter().zip(&one).take(3) {
        let [two, one] = [two, one].map(|record| record.values["total"]);
        println!("{two} {one}");
        assert!((two - one).abs() < 0.02, "{two} for {one}");
    }
}
