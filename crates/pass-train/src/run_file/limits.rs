//! What every key of a run file may be: the one place where the ends of its numbers stand.
//!
//! [`limits`] names all keys; the tests walk run files with every section in each of its forms, so
//! that a key without a line here fails them. The ends are generous: beyond them a run cannot work,
//! or no memory holds it. What depends on several keys together is checked in
//! [`check`](super::check) and [`memory`](super::memory).

use std::{borrow::Cow, collections::HashMap, fmt, sync::LazyLock};

use toml::{Table, Value};

use super::check::Fault;

/// What the value of a key may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// A whole number, the ends included.
    Whole(i64, i64),
    /// A number, the ends included.
    Real(f64, f64),
    /// A word, a truth value or a path: its type says which.
    Other,
}

use Limit::{Other, Real, Whole};

/// Numbers that are only compared, or that key a random stream.
const ANY: Limit = Whole(0, i64::MAX);
/// Intervals and epochs that may lie beyond the end of a training.
const INTERVAL: Limit = Whole(0, 1_000_000_000);
const SHARE: Limit = Real(0.0, 1.0);
const WEIGHT: Limit = Real(0.0, 1000.0);
const CHANNELS: Limit = Whole(1, 65_536);
const TEMPERATURE: Limit = Real(0.001, 1000.0);
/// Of a ring or a bank.
const ROWS: Limit = Whole(1, 10_000_000);
/// Pictures that share batch statistics.
const PART: Limit = Whole(0, MOST_PICTURES);
/// Most pictures that go through a network together.
const MOST_PICTURES: i64 = 65_536;
/// Sides of what a network sees, in pixels.
const VIEW_PX: Limit = Whole(4, 2048);
/// Pictures of the embedded dataset; a start refuses a split without any before it draws the others.
const DRAWN: i64 = 100_000;

/// Keys that occur once; `[]` stands for each entry of a list.
const ALONE: &[(&str, Limit)] = &[
    ("seed", ANY),
    ("precision", Other),
    ("data.pattern", Other),
    ("data.orientation", Other),
    ("data.stretch", Other),
    ("data.stretch.range[]", Real(-1e12, 1e12)),
    ("data.stretch.percentile[]", Real(0.0, 100.0)),
    ("data.bands[]", Whole(1, 65_535)),
    ("data.background", Other),
    ("data.background.colour[]", Whole(0, 255)),
    ("data.odd_pictures", Other),
    ("data.bad_pictures", Other),
    ("data.workers", Whole(1, super::MOST_THREADS as i64)),
    ("data.pretrain_pictures", Other),
    ("data.pack", Other),
    ("data.pretrain_pack", Other),
    ("data.validation.pictures", Other),
    ("data.validation.masks", Other),
    ("data.red_deviation", Other),
    ("data.source.layout.path", Other),
    ("data.source.pictures.path", Other),
    ("data.source.pictures.classes", Whole(2, 999)),
    ("data.source.synthetic.classes", Whole(1, 12)),
    ("data.source.synthetic.train", Whole(1, DRAWN)),
    (
        "data.source.synthetic.train_semi_per_class",
        Whole(0, DRAWN),
    ),
    ("data.source.synthetic.validation", Whole(0, DRAWN)),
    ("data.source.synthetic.test", Whole(0, DRAWN)),
    ("data.source.synthetic.side_px", Whole(32, 1024)),
    ("data.source.synthetic.jpeg_quality", Whole(1, 100)),
    ("data.source.synthetic.second_category_ratio", SHARE),
    ("data.source.synthetic.ignore_ratio", SHARE),
    ("data.source.synthetic.object_ratio[]", Real(0.02, 0.7)),
    ("data.source.synthetic.seed", ANY),
    ("network.backbone.block", Other),
    ("network.backbone.depths[]", Whole(1, 200)),
    ("network.backbone.width", Whole(1, 4096)),
    ("network.backbone.bottleneck_width", Whole(1, 4096)),
    ("network.backbone.max_pool", Other),
    ("network.backbone.groups", Whole(1, 4096)),
    ("network.backbone.dilated_stages", Whole(0, 2)),
    ("network.backbone.zero_init_residual", Other),
    ("network.hidden", CHANNELS),
    ("network.feature_dim", Whole(2, 65_536)),
    ("network.prototypes", Whole(2, 100_000)),
    ("pretrain.epochs", Whole(0, 100_000)),
    ("attention.epochs", Whole(1, 100_000)),
    ("finetune.epochs", Whole(1, 100_000)),
    ("pretrain.method", Other),
    ("pretrain.freeze_prototypes_iterations", ANY),
    ("pretrain.swapped_weight", WEIGHT),
    ("pretrain.shallow[]", Whole(1, 3)),
    ("pretrain.shallow_weights[]", WEIGHT),
    ("pretrain.p2p", Other),
    ("pretrain.p2p_weight", WEIGHT),
    ("pretrain.alignment.kind", Other),
    ("pretrain.alignment.projection", Other),
    ("pretrain.alignment.empty_pairs", Other),
    ("pretrain.alignment.sampling", Other),
    ("pretrain.supervision.teacher", Other),
    ("pretrain.supervision.view", Other),
    ("pretrain.consistency.weight", WEIGHT),
    ("pretrain.consistency.hidden", CHANNELS),
    ("pretrain.consistency.dim", CHANNELS),
    ("pretrain.consistency.momentum", SHARE),
    ("pretrain.consistency.positive_ratio", Real(1e-6, 1000.0)),
    ("attention.frozen_norms", Other),
    ("attention.train_prototypes", Other),
    ("attention.shared", Other),
    ("finetune.crop", VIEW_PX),
    ("finetune.min_scale", Real(1e-6, 1.0)),
    ("finetune.max_scale", Real(1e-6, 1.0)),
    ("finetune.label_stride", Whole(1, 2048)),
    ("finetune.norms", Other),
    ("finetune.head", Other),
    ("cluster.batch", Whole(1, MOST_PICTURES)),
    ("predict.batch", Whole(1, MOST_PICTURES)),
    ("objects.size", VIEW_PX),
    ("objects.layer", Other),
    ("objects.foreground_layer", Other),
    ("objects.foreground.way", Other),
    ("objects.foreground.threshold", Real(-1.0, 1.0)),
    ("objects.foreground.coverage", SHARE),
    ("objects.foreground.keep", Other),
    ("objects.foreground.keep.mass", SHARE),
    ("objects.foreground.objects", Whole(1, 64)),
    ("objects.foreground.least_share", SHARE),
    ("objects.batch", Whole(1, MOST_PICTURES)),
    ("cluster.metric", Other),
    ("cluster.whitened_dims", CHANNELS),
    ("cluster.way", Other),
    ("cluster.cam", Other),
    ("cluster.restarts", Whole(1, 100_000)),
    ("cluster.iterations", Whole(1, 100_000)),
    ("cluster.kmeans", Other),
    ("cluster.kmeans.device.resident_bytes", ANY),
    ("cluster.kmeans.device.chunk_bytes", ANY),
    ("cluster.kmeans.device.compute", Other),
    ("cluster.resize", VIEW_PX),
    ("cluster.crop", VIEW_PX),
    ("cluster.embeddings", Other),
    ("cluster.memory_mib", Whole(0, 1 << 40)),
    ("threshold.rule", Other),
    ("threshold.rule.foreground_share", Real(1e-6, 0.999_999)),
    ("threshold.rule.fixed", SHARE),
    ("predict.resize", Whole(16, 4096)),
    ("predict.longer_side_cap", INTERVAL),
    ("predict.attention", Other),
    ("predict.inference", Other),
    ("predict.refine.appearance", WEIGHT),
    ("predict.refine.alpha", Real(1e-3, 1e4)),
    ("predict.refine.beta", Real(1e-3, 1e4)),
    ("predict.refine.smoothness", WEIGHT),
    ("predict.refine.gamma", Real(1e-3, 1e4)),
    ("predict.refine.iterations", Whole(1, 1000)),
    ("predict.refine.unary", Real(1e-6, 1e6)),
    ("predict.masks", Other),
    ("predict.predictor", Other),
    ("predict.inference.cam.normalization", Other),
    ("predict.inference.cam.threshold", SHARE),
    ("distance_matching.neighbours", Whole(1, 100_000)),
    ("distance_matching.temperature", Real(0.005, 1000.0)),
    ("distance_matching.voting", Other),
    ("checkpoints.epochs", INTERVAL),
    ("checkpoints.iterations", INTERVAL),
    ("checkpoints.minutes", Real(0.0, 1e6)),
    ("checkpoints.keep", Whole(1, 1_000_000)),
    ("checkpoints.keep_best", Other),
    ("health.every_iterations", INTERVAL),
    ("health.on_fault", Other),
    ("probe.every_epochs", INTERVAL),
    ("probe.pictures", Whole(2, 20_000)),
    ("probe.neighbours", Whole(1, 20_000)),
];

/// Keys of the methods of step 1 beside PASS, each below `pretrain`.
const OF_METHODS: &[(&str, Limit)] = &[
    ("supervised.label_smoothing", Real(0.0, 0.999_999)),
    ("simclr.temperature", TEMPERATURE),
    ("simclr.hidden_layers", Whole(0, 16)),
    ("simclr.dim", CHANNELS),
    ("moco_v2.queue", ROWS),
    ("moco_v2.temperature", TEMPERATURE),
    ("moco_v2.momentum", SHARE),
    ("moco_v2.dim", CHANNELS),
    ("moco_v2.norms.pictures", PART),
    ("moco_v2.norms.shuffle_keys", Other),
    ("adco.bank.rows", ROWS),
    ("adco.bank.temperature", TEMPERATURE),
    ("adco.bank.lr", Real(0.0, 1000.0)),
    ("adco.bank.momentum", Real(0.0, 0.999_999)),
    ("adco.bank.weight_decay", SHARE),
    ("adco.temperature", TEMPERATURE),
    ("adco.momentum", SHARE),
    ("adco.dim", CHANNELS),
    ("adco.symmetric", Other),
    ("adco.norms.pictures", PART),
    ("adco.norms.shuffle_keys", Other),
    ("byol.momentum", SHARE),
    ("byol.hidden", CHANNELS),
    ("byol.dim", CHANNELS),
    ("simsiam.dim", CHANNELS),
    ("simsiam.predictor_hidden", CHANNELS),
    ("simsiam.constant_predictor_lr", Other),
    ("pcl.queue", ROWS),
    ("pcl.temperature", TEMPERATURE),
    ("pcl.momentum", SHARE),
    ("pcl.dim", CHANNELS),
    ("pcl.warmup_epochs", INTERVAL),
    ("pcl.clusters[]", Whole(1, 10_000_000)),
    ("pcl.negatives", ROWS),
    ("pcl.kmeans_iterations", Whole(1, 100_000)),
    ("pcl.kmeans_restarts", Whole(1, 100_000)),
    ("pcl.norms.pictures", PART),
    ("pcl.norms.shuffle_keys", Other),
    ("densecl.queue", ROWS),
    ("densecl.temperature", TEMPERATURE),
    ("densecl.momentum", SHARE),
    ("densecl.hidden", CHANNELS),
    ("densecl.dim", CHANNELS),
    ("densecl.dense_weight", SHARE),
    ("densecl.dense_from_iteration", INTERVAL),
    ("densecl.norms.pictures", PART),
    ("densecl.norms.shuffle_keys", Other),
    ("swav.last_norm", Other),
    ("pixpro.hidden", CHANNELS),
    ("pixpro.dim", CHANNELS),
    ("pixpro.momentum", SHARE),
    ("pixpro.positive_ratio", Real(1e-6, 1000.0)),
    ("pixpro.instance_weight", WEIGHT),
    ("barlow_twins.lambda", WEIGHT),
    ("barlow_twins.hidden", CHANNELS),
    ("barlow_twins.dim", CHANNELS),
    ("barlow_twins.vector_rate", Real(0.0, 1000.0)),
    ("vicreg.invariance_weight", WEIGHT),
    ("vicreg.variance_weight", WEIGHT),
    ("vicreg.covariance_weight", WEIGHT),
    ("vicreg.variance", Other),
    ("vicreg.hidden", CHANNELS),
    ("vicreg.dim", CHANNELS),
    ("moco_v3.temperature", TEMPERATURE),
    ("moco_v3.momentum", SHARE),
    ("moco_v3.projector_layers", Whole(1, 16)),
    ("moco_v3.predictor_norm", Other),
    ("moco_v3.hidden", CHANNELS),
    ("moco_v3.dim", CHANNELS),
    ("moco_v3.freeze_patches", Other),
    ("dino.prototypes", Whole(2, 10_000_000)),
    ("dino.hidden", CHANNELS),
    ("dino.bottleneck", CHANNELS),
    ("dino.norm_last_layer", Other),
    ("dino.student_temperature", TEMPERATURE),
    ("dino.teacher_temperature", TEMPERATURE),
    ("dino.warmup_teacher_temperature", TEMPERATURE),
    ("dino.warmup_teacher_epochs", INTERVAL),
    ("dino.momentum", SHARE),
    ("dino.centre_momentum", SHARE),
    ("dino.freeze_last_layer_epochs", INTERVAL),
    ("emp_ssl.similarity_weight", WEIGHT),
    ("emp_ssl.rate_weight", WEIGHT),
    ("emp_ssl.epsilon", Real(1e-6, 1000.0)),
    ("emp_ssl.hidden", CHANNELS),
    ("emp_ssl.dim", CHANNELS),
];

/// Keys of each of [`TRAININGS`].
const OF_TRAININGS: &[(&str, Limit)] = &[
    ("least_updates", Whole(0, 100_000)),
    ("batch_rule", Other),
    ("accumulate", Whole(1, MOST_PICTURES / 2)),
    ("optim.algorithm", Other),
    ("optim.base_lr", Real(1e-9, 100.0)),
    ("optim.final_lr", Real(0.0, 100.0)),
    ("optim.warmup_epochs", Whole(0, 100_000)),
    ("optim.warmup_lr", Real(0.0, 100.0)),
    ("optim.warmup_end", Other),
    ("optim.decline", Other),
    ("optim.step_epochs[]", INTERVAL),
    ("optim.step_factor", Real(1e-6, 1.0)),
    ("optim.weight_decay", SHARE),
    ("optim.final_weight_decay", SHARE),
    ("optim.momentum", Real(0.0, 0.999_999)),
    ("optim.lr_in_buffer", Other),
    ("optim.clip_norm", Real(1e-6, 1e6)),
    ("batch", Whole(2, MOST_PICTURES)),
];

/// Keys of each of [`ASSIGNING`].
const OF_ASSIGNING: &[(&str, Limit)] = &[
    ("views.groups[].count", Whole(1, 100)),
    ("views.groups[].size", VIEW_PX),
    ("views.groups[].min_scale", SHARE),
    ("views.groups[].max_scale", Real(1e-6, 1.0)),
    ("views.groups[].max_aspect", Real(1.0, 100.0)),
    ("views.groups[].jitter.probability", SHARE),
    ("views.groups[].jitter.brightness", Real(0.0, 100.0)),
    ("views.groups[].jitter.contrast", Real(0.0, 100.0)),
    ("views.groups[].jitter.saturation", Real(0.0, 100.0)),
    ("views.groups[].jitter.hue", Real(0.0, 0.5)),
    ("views.groups[].grayscale_probability", SHARE),
    ("views.groups[].blur_probability", SHARE),
    ("views.groups[].solarize_probability", SHARE),
    ("views.filter", Other),
    ("views.flip_probability", SHARE),
    ("views.grayscale_probability", SHARE),
    ("views.blur_probability", SHARE),
    ("views.min_blur_px", Real(0.0, 1000.0)),
    ("views.max_blur_px", Real(0.0, 1000.0)),
    ("views.jitter.probability", SHARE),
    ("views.jitter.brightness", Real(0.0, 100.0)),
    ("views.jitter.contrast", Real(0.0, 100.0)),
    ("views.jitter.saturation", Real(0.0, 100.0)),
    ("views.jitter.hue", Real(0.0, 0.5)),
    ("swapped.temperature", TEMPERATURE),
    ("swapped.epsilon", Real(0.02, 1000.0)),
    ("swapped.sinkhorn_iterations", Whole(1, 1000)),
    ("swapped.queue_length", Whole(0, 1_000_000)),
    ("swapped.queue_from_epoch", INTERVAL),
];

pub(super) const TRAININGS: &[&str] = &["pretrain", "attention", "finetune"];
const ASSIGNING: &[&str] = &["pretrain", "attention"];

/// Every key with its limits, in the order of a run file's sections.
pub(super) fn limits() -> &'static [(String, Limit)] {
    static ALL: LazyLock<Vec<(String, Limit)>> = LazyLock::new(|| {
        let alone = ALONE.iter().map(|&(key, limit)| (key.to_owned(), limit));
        let methods = each_of(&["pretrain"], OF_METHODS);
        let trainings = each_of(TRAININGS, OF_TRAININGS);
        let assigning = each_of(ASSIGNING, OF_ASSIGNING);
        alone
            .chain(methods)
            .chain(trainings)
            .chain(assigning)
            .collect()
    });
    &ALL
}

fn each_of(
    sections: &'static [&str],
    keys: &'static [(&str, Limit)],
) -> impl Iterator<Item = (String, Limit)> {
    let of = |section| {
        keys.iter()
            .map(move |(key, limit)| (format!("{section}.{key}"), *limit))
    };
    sections.iter().flat_map(of)
}

/// The limit of a key such as `pretrain.views.groups[1].size`, if there is such a key.
pub(super) fn limit_of(key: &str) -> Option<Limit> {
    static BY_KEY: LazyLock<HashMap<&str, Limit>> = LazyLock::new(|| {
        let all = limits().iter();
        all.map(|(key, limit)| (key.as_str(), *limit)).collect()
    });
    BY_KEY.get(&*without_indices(key)).copied()
}

/// `groups[1].size` as `groups[].size`.
pub(super) fn without_indices(key: &str) -> Cow<'_, str> {
    if !key.contains('[') {
        return key.into();
    }
    let mut inside = false;
    let kept = key.chars().filter(|&letter| {
        let drop = inside && letter.is_ascii_digit();
        inside = letter == '[' || drop;
        !drop
    });
    kept.collect::<String>().into()
}

/// Calls `visit` with every value that is no section and no list, and its key.
pub(super) fn each_value<E>(
    table: &Table,
    visit: &mut impl FnMut(&str, &Value) -> Result<(), E>,
) -> Result<(), E> {
    table
        .iter()
        .try_for_each(|(key, value)| each_below(key, value, visit))
}

fn each_below<E>(
    key: &str,
    value: &Value,
    visit: &mut impl FnMut(&str, &Value) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        Value::Table(table) => table
            .iter()
            .try_for_each(|(part, value)| each_below(&format!("{key}.{part}"), value, visit)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| each_below(&format!("{key}[{index}]"), value, visit)),
        _ => visit(key, value),
    }
}

/// Refuses the first number beyond its limits.
///
/// What is no number where one belongs is left to the types of a run file, which know the line.
pub(super) fn check_numbers(table: &Table) -> Result<(), Fault> {
    each_value(table, &mut |key, value| match (limit_of(key), value) {
        (Some(limit), Value::Integer(_) | Value::Float(_)) => limit.check(key, value),
        _ => Ok(()),
    })
}

/// [`check_numbers`], and refuses what is no number where one belongs.
pub(super) fn check_values(table: &Table) -> Result<(), Fault> {
    each_value(table, &mut |key, value| {
        limit_of(key).map_or(Ok(()), |limit| limit.check(key, value))
    })
}

impl Limit {
    fn check(self, key: &str, value: &Value) -> Result<(), Fault> {
        if self.allows(value) {
            return Ok(());
        }
        Err(Fault {
            key: key.to_owned(),
            value: match value {
                Value::Float(number) => format!("{number:?}"), // 1e300 without its zeros
                other => other.to_string(),
            },
            rule: format!("must be {self}"),
        })
    }

    fn allows(self, value: &Value) -> bool {
        match (self, value) {
            (Whole(least, most), Value::Integer(value)) => (least..=most).contains(value),
            (Real(least, most), Value::Float(value)) => (least..=most).contains(value),
            (Real(least, most), &Value::Integer(value)) => (least..=most).contains(&(value as f64)),
            (Other, _) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Whole(least, most) => write!(f, "a whole number, {least} to {most}"),
            Real(least, most) => write!(f, "a number, {least} to {most}"),
            Other => f.write_str("a word, a truth value or a path"),
        }
    }
}
