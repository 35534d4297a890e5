//! Values of a run file that parse but cannot work, refused by key before anything starts: the limits
//! of each key ([`limits`](super::limits)), and here what several keys ask of each other.

use imagenet_s::{Stretch, views::MultiCropConfig};
use pass_model::backbone::BadSetting;
use pixel_attention::{Error as AttentionError, row_file::Element};

use super::{
    DataSection, LabelWay, Method, PretrainSection, RunFile, Source, ThresholdRule,
    limits::check_values,
};
use crate::Step;

/// A value that cannot work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// The key, dotted.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: String,
    /// What is allowed.
    pub(crate) rule: String,
}

/// Refuses a run file whose values cannot work; `table` is what it says.
pub(super) fn check(file: &RunFile, table: &toml::Table) -> Result<(), Fault> {
    check_values(table)?;
    check_decoding(&file.data)?;
    check_network(file)?;
    check_sides(file)?;
    check_pretrain(&file.pretrain)?;
    check_training_steps(file)?;
    check_labels(file)?;
    check_synthetic(file)
}

fn that(
    holds: bool,
    key: impl Into<String>,
    value: impl std::fmt::Display,
    rule: impl Into<String>,
) -> Result<(), Fault> {
    if holds {
        return Ok(());
    }
    Err(Fault {
        key: key.into(),
        value: value.to_string(),
        rule: rule.into(),
    })
}

fn check_decoding(section: &DataSection) -> Result<(), Fault> {
    let bands = &section.bands;
    that(
        [0, 1, 3].contains(&bands.len()),
        "data.bands",
        format!("{bands:?}"),
        "must be one band, shown as grey, or three: red, green and blue",
    )?;
    that(
        section.pattern.is_none() || !matches!(section.source, Source::Synthetic(_)),
        "data.pattern",
        format!("{:?}", section.pattern.as_deref().unwrap_or_default()),
        "the embedded data has no names to choose from; leave it out, or name pictures (--images, \
         --data)",
    )?;
    // That each is finite, and percentiles within 0 and 100, is a limit of its key.
    let (key, [black, white]) = match section.stretch {
        Stretch::Full => return Ok(()),
        Stretch::Range(ends) => ("data.stretch.range", ends),
        Stretch::Percentile(ends) => ("data.stretch.percentile", ends),
    };
    that(
        black < white,
        key,
        format!("[{black}, {white}]"),
        "the first must be smaller than the second",
    )
}

fn check_network(file: &RunFile) -> Result<(), Fault> {
    let checked = file.network.backbone.check();
    checked.map_err(|BadSetting { key, value, rule }| Fault {
        key: format!("network.backbone.{key}"),
        value,
        rule,
    })
}

/// No step may show the network less than it can look at.
fn check_sides(file: &RunFile) -> Result<(), Fault> {
    let least = file.network.backbone.least_side();
    let views = |views: &MultiCropConfig| {
        let sides = views.groups.iter().map(|group| group.size);
        sides.min().unwrap_or(least)
    };
    for (key, side) in [
        ("pretrain.views.groups", views(&file.pretrain.drawn_views())),
        ("attention.views.groups", views(&file.attention.views)),
        ("finetune.crop", file.finetune.crop),
        ("cluster.crop", file.cluster.crop as usize),
        ("predict.resize", file.predict.resize as usize),
        ("objects.size", file.objects.size as usize),
    ] {
        let rule = format!("this backbone cannot look at fewer than {least} pixels along a side");
        that(side >= least, key, side, rule)?;
    }
    Ok(())
}

fn check_pretrain(step: &PretrainSection) -> Result<(), Fault> {
    match step.method {
        Method::PassS | Method::PassP => check_pass(step),
        _ => check_keys(step, 1),
    }
}

/// What the methods with keys of a momentum encoder ask of a batch on so many ranks.
pub(crate) fn check_keys(step: &PretrainSection, ranks: usize) -> Result<(), Fault> {
    let batch = step.batch;
    let share = batch / step.accumulate / ranks;
    let checked = match step.method {
        Method::MocoV2 => step.moco_v2.check(batch, share),
        Method::Adco => step.adco.check(share),
        Method::Pcl => step.pcl.check(batch, share),
        Method::Densecl => step.densecl.check(batch, share),
        _ => Ok(()),
    };
    checked.map_err(|BadSetting { key, value, rule }| Fault {
        key: format!("pretrain.{}.{key}", step.method.name()),
        value,
        rule,
    })
}

fn check_pass(step: &PretrainSection) -> Result<(), Fault> {
    let pairs = step.p2p || !step.shallow.is_empty() || step.method == Method::PassP;
    let first = first_crops(&step.views);
    that(
        !pairs || first == 2,
        "pretrain.views.groups",
        first,
        "P2P, D2S and PASS_p need exactly 2 crops of the first size",
    )?;
    let mut stages = step.shallow.clone();
    stages.sort_unstable();
    stages.dedup();
    that(
        stages.len() == step.shallow.len(),
        "pretrain.shallow",
        format!("{:?}", step.shallow),
        "each stage may be named once",
    )?;
    that(
        step.shallow_weights.len() == step.shallow.len(),
        "pretrain.shallow_weights",
        format!("{:?}", step.shallow_weights),
        "needs one weight for each stage of `pretrain.shallow`",
    )?;
    let weights = step.swapped_weight + step.shallow_weights.iter().sum::<f64>();
    that(
        weights > 0.0,
        "pretrain.swapped_weight",
        step.swapped_weight,
        "the weights of swapped prediction and D2S must add up to more than 0",
    )
}

fn check_training_steps(file: &RunFile) -> Result<(), Fault> {
    for of in Step::trainings().filter_map(|step| step.batches(file)) {
        check_accumulation(of.section, of.batch, of.accumulate)?;
    }
    let (pretrain, attention) = (&file.pretrain, &file.attention);
    let length = |given, rule: super::BatchRule, batch| rule.queue_length(given, batch);
    for (step, queue, part, views, least) in [
        (
            "pretrain",
            length(
                pretrain.swapped.queue_length,
                pretrain.batch_rule,
                pretrain.batch,
            ),
            pretrain.batch / pretrain.accumulate,
            &pretrain.drawn_views(),
            pretrain.method.crops().unwrap_or(2),
        ),
        (
            "attention",
            length(
                attention.swapped.queue_length,
                attention.batch_rule,
                attention.batch,
            ),
            attention.batch / attention.accumulate,
            &attention.views,
            2,
        ),
    ] {
        that(
            queue == 0 || queue >= part,
            format!("{step}.swapped.queue_length"),
            queue,
            "must be 0 for no queue, or hold at least one batch",
        )?;
        check_views(step, views, least)?;
    }
    Ok(())
}

fn check_accumulation(step: &str, batch: usize, accumulate: usize) -> Result<(), Fault> {
    that(
        batch.is_multiple_of(accumulate) && batch / accumulate >= 2,
        format!("{step}.accumulate"),
        accumulate,
        "must divide the batch into equal parts of at least 2 pictures",
    )
}

fn check_views(step: &str, views: &MultiCropConfig, least: usize) -> Result<(), Fault> {
    let first = first_crops(views);
    that(
        first >= least,
        format!("{step}.views.groups"),
        first,
        format!("at least {least} crops of the first size are needed: the loss compares them"),
    )?;
    match views.validate() {
        Ok(()) => Ok(()),
        Err(cause) => that(
            false,
            format!("{step}.views"),
            cause,
            "the views cannot be made",
        ),
    }
}

/// Crops of the first size.
fn first_crops(views: &MultiCropConfig) -> usize {
    views.resolutions().first().map_or(0, |[_, count]| *count)
}

fn check_labels(file: &RunFile) -> Result<(), Fault> {
    check_element(file.cluster.embeddings, "cluster.embeddings")?;
    check_element(file.predict.attention, "predict.attention")?;
    check_objects(file)?;
    that(
        file.cluster.crop <= file.cluster.resize,
        "cluster.crop",
        file.cluster.crop,
        "must be at most `cluster.resize`",
    )?;
    let step = &file.finetune;
    that(
        step.label_stride <= step.crop,
        "finetune.label_stride",
        step.label_stride,
        "must be at most `finetune.crop`",
    )?;
    that(
        step.min_scale <= step.max_scale,
        "finetune.min_scale",
        step.min_scale,
        "must be at most `finetune.max_scale`",
    )
}

/// Objects end where their scores are 0, whatever their scale.
fn check_objects(file: &RunFile) -> Result<(), Fault> {
    let checked = file.objects.foreground.check();
    checked.map_err(|cause| match cause {
        AttentionError::Setting {
            name,
            value,
            allowed,
        } => Fault {
            key: format!("objects.{name}"),
            value,
            rule: format!("must be {allowed}"),
        },
        other => unreachable!("settings alone are checked: {other}"),
    })?;
    that(
        file.predict.refine.is_none() || file.cluster.way == LabelWay::Objects,
        "predict.refine",
        "there",
        "only the labels of `cluster.way` = \"objects\" are refined; leave it out",
    )?;
    let rule = file.threshold.rule;
    let settled = matches!(rule, None | Some(ThresholdRule::Fixed(0.0)));
    that(
        settled || file.cluster.way != LabelWay::Objects,
        "threshold.rule",
        "another than 0",
        "objects of `cluster.way` = \"objects\" end where their scores are 0; leave it out, or --set \
         threshold.rule={fixed=0.0}",
    )
}

fn check_element(element: Element, key: &str) -> Result<(), Fault> {
    let holds = element != Element::Bfloat16;
    that(holds, key, "bfloat16", "must be \"float32\" or \"float16\"")
}

fn check_synthetic(file: &RunFile) -> Result<(), Fault> {
    let Source::Synthetic(config) = &file.data.source else {
        return Ok(());
    };
    let (smallest, largest) = config.object_ratio;
    that(
        smallest <= largest,
        "data.source.synthetic.object_ratio",
        format!("[{smallest}, {largest}]"),
        "the first share must be at most the second",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_is_refused(text: &str, said: &[&str]) {
        let message = RunFile::parse(text, "my.toml", &[])
            .unwrap_err()
            .to_string();
        for part in said {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_stretch_is_finite_ascending_and_of_percentiles_that_there_are() {
        for (text, rule) in [
            ("percentile = [2, 980]", "0 to 100"),
            ("percentile = [-5, 98]", "0 to 100"),
            ("percentile = [98, 2]", "the first must be smaller"),
            ("range = [0, inf]", "a number, -1000000000000 to"),
            ("range = [nan, 9]", "a number, -1000000000000 to"),
            ("range = [9, 9]", "the first must be smaller"),
        ] {
            check_is_refused(&format!("[data.stretch]\n{text}"), &["data.stretch", rule]);
        }
    }

    #[test]
    fn a_pattern_for_the_embedded_data_is_refused() {
        let text = "[data]\npattern = \"*.jpg\"";
        check_is_refused(text, &["data.pattern", "the embedded data"]);
        let pictures = "[data.source.pictures]\npath = \"a\"\nclasses = 3";
        RunFile::parse(&format!("{text}\n{pictures}"), "my.toml", &[]).unwrap();
    }
}
