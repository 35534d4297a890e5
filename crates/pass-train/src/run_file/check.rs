//! Values of a run file that parse but cannot work, refused by key before anything starts.

use imagenet_s::views::MultiCropConfig;
use pixel_attention::row_file::Element;

use crate::{
    Error,
    run_file::{Inference, Method, OptimSection, RunFile, Source, SwappedSection, ThresholdRule},
};

/// Collects the first impossible value of a run file.
struct Check<'a> {
    path: &'a str,
}

impl Check<'_> {
    fn that(
        &self,
        holds: bool,
        key: &'static str,
        value: impl std::fmt::Display,
        rule: &'static str,
    ) -> Result<(), Error> {
        if holds {
            return Ok(());
        }
        Err(Error::Value {
            path: self.path.into(),
            key,
            value: value.to_string(),
            rule,
        })
    }

    fn positive(&self, value: usize, key: &'static str) -> Result<(), Error> {
        self.that(value > 0, key, value, "must be at least 1")
    }

    fn at_least_two(&self, value: usize, key: &'static str) -> Result<(), Error> {
        self.that(value >= 2, key, value, "must be at least 2")
    }
}

/// Refuses a run file whose values cannot work; `path` names it in the message.
pub(crate) fn check(file: &RunFile, path: &str) -> Result<(), Error> {
    let check = Check { path };
    check_data(&check, file)?;
    check_watching(&check, file)?;
    check_network(&check, file)?;
    check_pretrain(&check, file)?;
    check_consistency(&check, file)?;
    check_attention(&check, file)?;
    check_labels(&check, file)?;
    check_finetune(&check, file)
}

fn check_data(check: &Check, file: &RunFile) -> Result<(), Error> {
    check.positive(file.data.workers, "data.workers")?;
    if let Source::Pictures { classes, .. } = file.data.source {
        check.that(
            (2..1000).contains(&classes),
            "data.source.pictures.classes",
            classes,
            "must be 2 to 999 (1000 is the ignore id)",
        )?;
    }
    Ok(())
}

fn check_network(check: &Check, file: &RunFile) -> Result<(), Error> {
    let network = &file.network;
    check.positive(network.hidden, "network.hidden")?;
    check.positive(network.feature_dim, "network.feature_dim")?;
    check.at_least_two(network.prototypes, "network.prototypes")?;
    check.positive(network.backbone.width, "network.backbone.width")?;
    let shallowest = network.backbone.depths.iter().copied().min().unwrap_or(0);
    check.that(
        shallowest > 0,
        "network.backbone.depths",
        shallowest,
        "every stage needs at least 1 block",
    )
}

fn check_pretrain(check: &Check, file: &RunFile) -> Result<(), Error> {
    let step = &file.pretrain;
    check.at_least_two(step.batch, "pretrain.batch")?;
    check_accumulation(check, step.batch, step.accumulate, "pretrain.accumulate")?;
    check_optim(
        check,
        &step.optim,
        ["pretrain.optim.base_lr", "pretrain.optim.momentum"],
    )?;
    check_swapped(
        check,
        &step.swapped,
        ["pretrain.swapped.temperature", "pretrain.swapped.epsilon"],
    )?;
    check_views(check, &step.views, "pretrain.views")?;
    let paired = step.p2p || !step.shallow.is_empty();
    let [_, first] = step.views.resolutions()[0];
    check.that(
        !paired || first == 2,
        "pretrain.views.groups",
        first,
        "P2P and D2S need exactly 2 crops of the first size",
    )?;
    check_queue(
        check,
        step.batch_rule
            .queue_length(step.swapped.queue_length, step.batch),
        step.batch / step.accumulate,
        "pretrain.swapped.queue_length",
    )?;
    for &stage in &step.shallow {
        check.that(
            (1..=3).contains(&stage),
            "pretrain.shallow",
            stage,
            "stages are 1, 2 and 3",
        )?;
    }
    let mut stages = step.shallow.clone();
    stages.sort_unstable();
    stages.dedup();
    check.that(
        stages.len() == step.shallow.len(),
        "pretrain.shallow",
        format!("{:?}", step.shallow),
        "each stage may be named once",
    )?;
    check.that(
        step.shallow_weights.len() == step.shallow.len(),
        "pretrain.shallow_weights",
        format!("{:?}", step.shallow_weights),
        "needs one weight for each stage of `pretrain.shallow`",
    )?;
    let weights = step.swapped_weight + step.shallow_weights.iter().sum::<f64>();
    check.that(
        weights.is_finite() && weights > 0.0,
        "pretrain.swapped_weight",
        step.swapped_weight,
        "the weights must add up to more than 0",
    )
}

fn check_consistency(check: &Check, file: &RunFile) -> Result<(), Error> {
    let step = &file.pretrain;
    if step.method == Method::PassS {
        return Ok(());
    }
    let [_, first] = step.views.resolutions()[0];
    check.that(
        first == 2,
        "pretrain.views.groups",
        first,
        "PASS_p needs exactly 2 crops of the first size",
    )?;
    let section = &step.consistency;
    check.positive(section.hidden, "pretrain.consistency.hidden")?;
    check.positive(section.dim, "pretrain.consistency.dim")?;
    check.that(
        (0.0..=1.0).contains(&section.momentum),
        "pretrain.consistency.momentum",
        section.momentum,
        "must lie in 0..=1",
    )?;
    check.that(
        section.positive_ratio > 0.0,
        "pretrain.consistency.positive_ratio",
        section.positive_ratio,
        "must be above 0",
    )?;
    check.that(
        section.weight.is_finite() && section.weight >= 0.0,
        "pretrain.consistency.weight",
        section.weight,
        "must be at least 0",
    )
}

fn check_attention(check: &Check, file: &RunFile) -> Result<(), Error> {
    let step = &file.attention;
    check.at_least_two(step.batch, "attention.batch")?;
    check.positive(step.epochs, "attention.epochs")?;
    check_accumulation(check, step.batch, step.accumulate, "attention.accumulate")?;
    check_optim(
        check,
        &step.optim,
        ["attention.optim.base_lr", "attention.optim.momentum"],
    )?;
    check_swapped(
        check,
        &step.swapped,
        ["attention.swapped.temperature", "attention.swapped.epsilon"],
    )?;
    check_queue(
        check,
        step.batch_rule
            .queue_length(step.swapped.queue_length, step.batch),
        step.batch / step.accumulate,
        "attention.swapped.queue_length",
    )?;
    check_views(check, &step.views, "attention.views")
}

fn check_labels(check: &Check, file: &RunFile) -> Result<(), Error> {
    check.positive(file.cluster.restarts, "cluster.restarts")?;
    check.positive(file.cluster.iterations, "cluster.iterations")?;
    check.positive(file.cluster.batch, "cluster.batch")?;
    check_element(check, file.cluster.embeddings, "cluster.embeddings")?;
    check_element(check, file.predict.attention, "predict.attention")?;
    check.that(
        0 < file.cluster.crop && file.cluster.crop <= file.cluster.resize,
        "cluster.crop",
        file.cluster.crop,
        "must be at least 1 and at most `cluster.resize`",
    )?;
    check.that(
        file.predict.resize >= 16,
        "predict.resize",
        file.predict.resize,
        "must be at least 16",
    )?;
    check.positive(file.predict.batch, "predict.batch")?;
    if let Inference::Cam { threshold, .. } = file.predict.inference {
        check.that(
            (0.0..=1.0).contains(&threshold),
            "predict.inference.cam.threshold",
            threshold,
            "must lie in 0..=1",
        )?;
    }
    check.positive(
        file.distance_matching.neighbours,
        "distance_matching.neighbours",
    )?;
    check.that(
        file.distance_matching.temperature >= 0.005,
        "distance_matching.temperature",
        file.distance_matching.temperature,
        "must be at least 0.005: smaller votes overflow",
    )?;
    match file.threshold.rule {
        Some(ThresholdRule::ForegroundShare(share)) => check.that(
            share > 0.0 && share < 1.0,
            "threshold.rule.foreground_share",
            share,
            "must lie between 0 and 1",
        ),
        Some(ThresholdRule::Fixed(t)) => check.that(
            (0.0..=1.0).contains(&t),
            "threshold.rule.fixed",
            t,
            "must lie in 0..=1",
        ),
        _ => Ok(()),
    }
}

fn check_element(check: &Check, element: Element, key: &'static str) -> Result<(), Error> {
    let holds = element != Element::Bfloat16;
    check.that(holds, key, "bfloat16", "must be \"float32\" or \"float16\"")
}

fn check_finetune(check: &Check, file: &RunFile) -> Result<(), Error> {
    let step = &file.finetune;
    check.positive(step.epochs, "finetune.epochs")?;
    check.positive(step.crop, "finetune.crop")?;
    check.at_least_two(step.batch, "finetune.batch")?;
    check_accumulation(check, step.batch, step.accumulate, "finetune.accumulate")?;
    check_optim(
        check,
        &step.optim,
        ["finetune.optim.base_lr", "finetune.optim.momentum"],
    )?;
    check.that(
        step.label_stride > 0 && step.crop >= step.label_stride,
        "finetune.label_stride",
        step.label_stride,
        "must be at least 1 and at most `finetune.crop`",
    )?;
    check.that(
        0.0 < step.min_scale && step.min_scale <= step.max_scale && step.max_scale <= 1.0,
        "finetune.min_scale",
        step.min_scale,
        "needs 0 < min_scale <= max_scale <= 1",
    )
}

fn check_accumulation(
    check: &Check,
    batch: usize,
    accumulate: usize,
    key: &'static str,
) -> Result<(), Error> {
    check.that(
        accumulate > 0 && batch.is_multiple_of(accumulate) && batch / accumulate >= 2,
        key,
        accumulate,
        "must divide the batch into equal parts of at least 2 pictures",
    )
}

fn check_watching(check: &Check, file: &RunFile) -> Result<(), Error> {
    check.positive(file.checkpoints.keep, "checkpoints.keep")?;
    check.that(
        (0.0..=1e6).contains(&file.checkpoints.minutes),
        "checkpoints.minutes",
        file.checkpoints.minutes,
        "must lie in 0..=1000000",
    )?;
    check.positive(file.probe.neighbours, "probe.neighbours")?;
    check.at_least_two(file.probe.pictures, "probe.pictures")
}

fn check_optim(check: &Check, optim: &OptimSection, keys: [&'static str; 2]) -> Result<(), Error> {
    check.that(
        optim.base_lr.is_finite() && optim.base_lr > 0.0 && optim.final_lr >= 0.0,
        keys[0],
        optim.base_lr,
        "must be above 0, and `final_lr` not below 0",
    )?;
    check.that(
        optim.warmup_lr.is_finite() && optim.warmup_lr >= 0.0,
        keys[0],
        optim.warmup_lr,
        "`warmup_lr` must be at least 0",
    )?;
    check.that(
        (0.0..1.0).contains(&optim.momentum),
        keys[1],
        optim.momentum,
        "must lie in 0..1",
    )
}

fn check_swapped(
    check: &Check,
    swapped: &SwappedSection,
    keys: [&'static str; 2],
) -> Result<(), Error> {
    check.that(
        swapped.temperature > 0.0,
        keys[0],
        swapped.temperature,
        "must be above 0",
    )?;
    check.that(
        swapped.epsilon > 0.0 && swapped.sinkhorn_iterations > 0,
        keys[1],
        swapped.epsilon,
        "must be above 0, and `sinkhorn_iterations` at least 1",
    )
}

fn check_queue(check: &Check, length: usize, batch: usize, key: &'static str) -> Result<(), Error> {
    check.that(
        length == 0 || length >= batch,
        key,
        length,
        "must be 0 for no queue, or hold at least one batch",
    )
}

fn check_views(check: &Check, views: &MultiCropConfig, key: &'static str) -> Result<(), Error> {
    let first = views.resolutions().first().map_or(0, |[_, count]| *count);
    check.that(
        first >= 2,
        key,
        first,
        "at least 2 crops of the first size are needed: they are assigned",
    )?;
    match views.validate() {
        Ok(()) => Ok(()),
        Err(cause) => check.that(false, key, cause, "the views cannot be made"),
    }
}
