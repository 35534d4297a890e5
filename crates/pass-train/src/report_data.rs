//! Gathers what a run left behind into its report.

use imagenet_s::{Sample, Split, read_mask, read_picture};
use luss_metrics::{LabelMask, Matching, image_miou};

use crate::{
    Context, Error, Step,
    log::{LogRecord, read_log},
    report::{
        Curve, MetricRow, ReportData, RowKind, Series, SheetRow, ThresholdChart, write_report,
    },
    step::{
        evaluate::{Metrics, Scores},
        threshold::ChosenThreshold,
    },
};

/// Pictures on the contact sheet: this many of the best and of the worst.
const SHEET_HALF: usize = 12;

/// The results of the method; all others are controls.
const METHOD: [&str; 3] = ["pseudo_labels", "fine_tuned", "distance_matching"];

/// Writes `report.html`.
pub(crate) fn write_run_report(context: &Context, metrics: &Metrics) -> Result<(), Error> {
    let data = ReportData {
        title: format!("PASS on {}", context.data.root().display()),
        summary: summary(context),
        metrics: metric_rows(metrics),
        curves: curves(&read_log(&context.run.file("log.jsonl"))?),
        threshold: threshold_chart(context)?,
        sheet: sheet(context)?,
        class_names: class_names(context),
    };
    write_report(&context.run.file("report.html"), &data)?;
    Ok(())
}

/// Names for the legend; none where nobody matched the generated categories to classes.
fn class_names(context: &Context) -> Vec<String> {
    if context.data.has_masks(Split::Validation) {
        context.data.class_names().to_vec()
    } else {
        Vec::new()
    }
}

fn summary(context: &Context) -> Vec<(String, String)> {
    let file = &context.file;
    let backbone = &file.network.backbone;
    let count = |split| context.data.samples(split).len();
    let rows = [
        ("data", context.data.root().display().to_string()),
        ("classes", context.data.classes().to_string()),
        (
            "pictures",
            format!(
                "{} train, {} train-semi, {} validation, {} test",
                count(Split::Train),
                count(Split::TrainSemi),
                count(Split::Validation),
                count(Split::Test)
            ),
        ),
        ("seed", file.seed.to_string()),
        (
            "backbone",
            format!(
                "{:?} {:?}, width {}",
                backbone.block, backbone.depths, backbone.width
            ),
        ),
        ("prototypes", file.network.prototypes.to_string()),
        (
            "epochs",
            format!(
                "{} pre-training, {} attention, {} fine-tuning",
                file.pretrain.epochs, file.attention.epochs, file.finetune.epochs
            ),
        ),
    ];
    rows.map(|(key, value)| (key.to_string(), value)).to_vec()
}

fn metric_rows(metrics: &Metrics) -> Vec<MetricRow> {
    let is_method = |name: &String| METHOD.contains(&name.as_str());
    let row = |kind| {
        move |(name, scores): (&String, &Scores)| MetricRow {
            name: name.clone(),
            kind,
            miou: Some(scores.miou),
            boundary_miou: Some(scores.boundary_miou),
            image_accuracy: Some(scores.image_accuracy),
            f_beta: Some(scores.f_beta),
        }
    };
    let methods = metrics.iter().filter(|(name, _)| is_method(name));
    let controls = metrics.iter().filter(|(name, _)| !is_method(name));
    let methods = methods.map(row(RowKind::Method));
    methods.chain(controls.map(row(RowKind::Control))).collect()
}

/// Whether a value of the log is a term of the loss: the others are the rate, the waiting, and what
/// has the name of its group before a slash.
fn is_loss(name: &str) -> bool {
    !["lr", "waiting"].contains(&name) && !name.contains('/')
}

/// One chart a step, one series a loss term.
fn curves(log: &[LogRecord]) -> Vec<Curve> {
    let steps = [Step::Pretrain, Step::TuneAttention, Step::Finetune];
    let of = |step: Step| log.iter().filter(move |record| record.step == step.name());
    steps
        .into_iter()
        .filter_map(|step| {
            let names: Vec<&String> = of(step)
                .next()?
                .values
                .keys()
                .filter(|name| is_loss(name))
                .collect();
            let series = names
                .into_iter()
                .map(|name| Series {
                    name: name.clone(),
                    points: of(step)
                        .filter_map(|r| Some((r.iteration as f64, *r.values.get(name)?)))
                        .collect(),
                })
                .collect();
            Some(Curve {
                step: step.name().into(),
                series,
            })
        })
        .collect()
}

fn threshold_chart(context: &Context) -> Result<Option<ThresholdChart>, Error> {
    let chosen: ChosenThreshold = context.run.read_json(&context.run.file("threshold.json"))?;
    let note = format!("Labels used for the choice: {}.", chosen.labels_used);
    Ok(Some(ThresholdChart {
        points: chosen.curve,
        chosen: chosen.threshold,
        note,
    }))
}

/// The best and then the worst pictures by their own mIoU; without masks the first ones.
fn sheet(context: &Context) -> Result<Vec<SheetRow>, Error> {
    let split = context.shown_splits()[0];
    let samples = context.data.samples(split);
    let mut ranked = Vec::with_capacity(samples.len());
    let matchings = Matchings::fit(context, split)?;
    for sample in samples {
        ranked.push((score(context, split, sample, &matchings)?, sample));
    }
    ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).expect("scores are finite"));
    let worst = ranked.len().saturating_sub(SHEET_HALF).max(SHEET_HALF);
    let best = ranked.iter().take(SHEET_HALF);
    best.chain(ranked.iter().skip(worst))
        .map(|(score, sample)| sheet_row(context, split, sample, &matchings, *score))
        .collect()
}

/// What turns generated ids into classes, for pseudo labels and for predictions.
struct Matchings {
    pseudo: Matching,
    prediction: Matching,
}

impl Matchings {
    fn fit(context: &Context, split: Split) -> Result<Self, Error> {
        let fit = |name| {
            if split == Split::Validation && context.data.has_masks(split) {
                crate::step::evaluate::fitted_matching(context, name)
            } else {
                Ok(Matching::identity(context.data.classes()))
            }
        };
        Ok(Self {
            pseudo: fit("pseudo_labels")?,
            prediction: fit("fine_tuned")?,
        })
    }
}

fn mask_of(
    context: &Context,
    name: &str,
    split: Split,
    sample: &Sample,
    matching: &Matching,
) -> Result<LabelMask, Error> {
    let mask = read_mask(&context.run.mask(name, split.name(), &sample.key))?;
    Ok(matching.apply(&mask)?)
}

fn score(
    context: &Context,
    split: Split,
    sample: &Sample,
    matchings: &Matchings,
) -> Result<Option<f64>, Error> {
    if sample.mask.is_none() {
        return Ok(None);
    }
    let prediction = mask_of(context, "fine_tuned", split, sample, &matchings.prediction)?;
    Ok(image_miou(
        &prediction,
        &context.truth(sample)?,
        context.data.classes(),
    )?)
}

fn sheet_row(
    context: &Context,
    split: Split,
    sample: &Sample,
    matchings: &Matchings,
    score: Option<f64>,
) -> Result<SheetRow, Error> {
    Ok(SheetRow {
        key: sample.key.clone(),
        picture: read_picture(&sample.picture, context.file.data.odd_pictures)?,
        truth: sample
            .mask
            .is_some()
            .then(|| context.truth(sample))
            .transpose()?,
        pseudo: Some(mask_of(
            context,
            "pseudo_labels",
            split,
            sample,
            &matchings.pseudo,
        )?),
        prediction: Some(mask_of(
            context,
            "fine_tuned",
            split,
            sample,
            &matchings.prediction,
        )?),
        score,
    })
}
