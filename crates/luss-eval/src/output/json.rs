//! The JSON document, described in `docs/EVALUATE.md`. Fields are added under the same schema
//! number; renaming or removing one raises it, and so does a new meaning of a value.

use anyhow::Result;
use luss_metrics::{
    AbsentClass, BoundaryIgnore, ClassScore, Comparison, Evaluator, Intervals, Matching, MiouRange,
    OutOfRange, SizeGroup,
};
use serde::Serialize;
use serde_json::Value;

use super::rows::{labels_used, matching_kind, name, notes, threshold_rule};
use crate::{
    evaluation::Evaluation,
    scoring::{Inputs, LeftOut, Scored},
    settings::Settings,
};

/// Version of the document.
const SCHEMA: u32 = 2;

pub(super) fn document(evaluation: &Evaluation, settings: &Settings) -> Result<String> {
    let document = Document::new(evaluation, settings)?;
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: String,
    /// What the table says above the scores.
    notes: Vec<String>,
    policies: Value,
    #[serde(flatten)]
    scores: Scores<'a>,
    uncertainty: Option<&'a Intervals>,
    comparison: Option<ComparisonSection<'a>>,
}

#[derive(Serialize)]
struct ComparisonSection<'a> {
    b: Scores<'a>,
    paired: &'a Comparison,
}

/// What one folder of predictions scores.
#[derive(Serialize)]
struct Scores<'a> {
    inputs: &'a Inputs,
    images: u64,
    left_out: &'a LeftOut,
    miou: Option<f64>,
    miou_without_other: Option<f64>,
    boundary_miou: Option<f64>,
    image_accuracy: Option<f64>,
    f_beta: Option<f64>,
    aacc: Option<f64>,
    macc: Option<f64>,
    fwiou: Option<f64>,
    sizes: Sizes,
    matching: MatchingSection,
    threshold: Option<Threshold>,
    per_class: Vec<Class<'a>>,
}

#[derive(Serialize)]
struct Policies<'a> {
    classes: u16,
    clusters: u16,
    ignore: u16,
    ignored: &'a [u16],
    reduce_zero_label: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    binary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    colors: Option<&'a str>,
    #[serde(rename = "match")]
    matching: &'a str,
    out_of_range: &'static str,
    absent_class: &'static str,
    boundary_ignore: &'static str,
    boundary_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score_other: Option<bool>,
    allow_missing: bool,
}

#[derive(Serialize)]
struct Sizes {
    small: Size,
    medium_small: Size,
    medium_large: Size,
    large: Size,
}

#[derive(Serialize)]
struct Size {
    miou: Option<f64>,
    boundary_miou: Option<f64>,
    classes: u64,
}

#[derive(Serialize)]
struct MatchingSection {
    kind: &'static str,
    pairs: Vec<Pair>,
    total: Option<u64>,
    /// What one unit of the total stands for.
    unit: Option<f64>,
    ties: Option<TiesSection>,
    miou_range: Option<MiouRange>,
}

#[derive(Serialize)]
struct Pair {
    cluster: u16,
    class: u16,
}

#[derive(Serialize)]
struct TiesSection {
    unique: bool,
    clusters_with_choice: u64,
    assignments: u64,
    assignments_exact: bool,
}

#[derive(Serialize)]
struct Threshold {
    value: f32,
    rule: String,
    labels_used: &'static str,
}

#[derive(Serialize)]
struct Class<'a> {
    id: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    iou: Option<f64>,
    boundary_iou: Option<f64>,
    precision: Option<f64>,
    recall: Option<f64>,
    dice: Option<f64>,
    truth_pixels: u64,
    prediction_pixels: u64,
    intersection_pixels: u64,
    truth_boundary_pixels: u64,
    prediction_boundary_pixels: u64,
    intersection_boundary_pixels: u64,
}

impl<'a> Document<'a> {
    fn new(evaluation: &'a Evaluation, settings: &'a Settings) -> Result<Self> {
        let comparison = evaluation.other.as_ref().map(|other| ComparisonSection {
            b: Scores::new(&other.scored, settings),
            paired: &other.comparison,
        });
        Ok(Self {
            schema: SCHEMA,
            tool: tool(),
            notes: notes(evaluation, settings),
            policies: policies(settings)?,
            scores: Scores::new(&evaluation.scored, settings),
            uncertainty: evaluation.intervals.as_ref(),
            comparison,
        })
    }
}

/// The program and its version.
pub(super) fn tool() -> String {
    format!("luss-eval {}", env!("CARGO_PKG_VERSION"))
}

/// The settings that decide what the scores mean; of merged counts, those that they were made with.
pub(crate) fn policies(settings: &Settings) -> Result<Value> {
    let mut policies = match &settings.merged_policies {
        Some(policies) => policies.clone(),
        None => serde_json::to_value(Policies::new(settings))?,
    };
    policies["match"] = matching_kind(settings).into();
    Ok(policies)
}

impl<'a> Policies<'a> {
    fn new(settings: &'a Settings) -> Self {
        let protocol = &settings.protocol;
        Self {
            classes: protocol.classes,
            clusters: settings.clusters,
            ignore: protocol.ignore,
            ignored: &settings.conventions.ids.ignored,
            reduce_zero_label: settings.conventions.ids.reduces_zero,
            binary: settings.arguments.binary,
            colors: settings.conventions.colors.as_deref(),
            matching: matching_kind(settings),
            out_of_range: match protocol.out_of_range {
                OutOfRange::Error => "error",
                OutOfRange::Drop => "reference",
            },
            absent_class: match protocol.absent_class {
                AbsentClass::Zero => "zero",
                AbsentClass::Skip => "skip",
            },
            boundary_ignore: match protocol.boundary_ignore {
                BoundaryIgnore::Edge => "edge",
                BoundaryIgnore::Transparent => "transparent",
            },
            boundary_ratio: protocol.boundary_ratio,
            score_other: (!protocol.score_other).then_some(false),
            allow_missing: settings.arguments.allow_missing,
        }
    }
}

impl<'a> Scores<'a> {
    fn new(scored: &'a Scored, settings: &'a Settings) -> Self {
        let report = &scored.report;
        let per_class = report.per_class.iter();
        Self {
            inputs: &scored.inputs,
            images: report.images,
            left_out: &scored.left_out,
            miou: report.miou,
            miou_without_other: report.miou_without_other,
            boundary_miou: report.boundary_miou,
            image_accuracy: report.image_accuracy,
            f_beta: report.f_beta,
            aacc: report.aacc,
            macc: report.macc,
            fwiou: report.fwiou,
            sizes: Sizes::new(scored),
            matching: MatchingSection::new(scored, matching_kind(settings)),
            threshold: Threshold::new(scored),
            per_class: per_class
                .map(|class| Class::new(class, &scored.evaluator, settings))
                .collect(),
        }
    }
}

impl Sizes {
    fn new(scored: &Scored) -> Self {
        let size = |group: SizeGroup| {
            let score = &scored.report.sizes[group as usize];
            Size {
                miou: score.miou,
                boundary_miou: score.boundary_miou,
                classes: score.classes,
            }
        };
        Self {
            small: size(SizeGroup::Small),
            medium_small: size(SizeGroup::MediumSmall),
            medium_large: size(SizeGroup::MediumLarge),
            large: size(SizeGroup::Large),
        }
    }
}

impl MatchingSection {
    fn new(scored: &Scored, kind: &'static str) -> Self {
        let matching = scored.matching.as_ref();
        let ties = scored.ties.as_ref();
        Self {
            kind,
            pairs: matching.map(pairs).unwrap_or_default(),
            total: matching.and_then(Matching::total),
            unit: matching.and_then(Matching::rule).map(|rule| rule.unit()),
            ties: ties.map(|ties| TiesSection {
                unique: ties.unique,
                clusters_with_choice: ties.clusters_with_choice,
                assignments: ties.assignments,
                assignments_exact: ties.assignments_exact,
            }),
            miou_range: ties.and_then(|ties| ties.miou),
        }
    }
}

fn pairs(matching: &Matching) -> Vec<Pair> {
    let pair = |cluster| Pair {
        cluster,
        class: matching.class_of(cluster),
    };
    (1..=matching.clusters()).map(pair).collect()
}

impl Threshold {
    fn new(scored: &Scored) -> Option<Self> {
        scored.threshold.map(|chosen| Self {
            value: chosen.threshold,
            rule: threshold_rule(chosen.rule),
            labels_used: labels_used(chosen.labels_used),
        })
    }
}

impl<'a> Class<'a> {
    fn new(class: &ClassScore, evaluator: &Evaluator, settings: &'a Settings) -> Self {
        let (boundary, label) = (&evaluator.areas().boundary, usize::from(class.class));
        Self {
            id: class.class,
            name: name(settings, class.class),
            iou: class.iou,
            boundary_iou: class.boundary_iou,
            precision: class.precision,
            recall: class.recall,
            dice: class.dice,
            truth_pixels: class.truth_pixels,
            prediction_pixels: class.prediction_pixels,
            intersection_pixels: class.intersection_pixels,
            truth_boundary_pixels: boundary.truth()[label],
            prediction_boundary_pixels: boundary.prediction()[label],
            intersection_boundary_pixels: boundary.intersection()[label],
        }
    }
}
