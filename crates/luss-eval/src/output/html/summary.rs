//! The settings that the scores hold for.

use anyhow::Result;
use serde_json::Value;

use super::super::{
    policies,
    rows::{labels_used, threshold_rule},
};
use crate::{
    scoring::{Inputs, Scored},
    settings::Settings,
};

type Pairs = Vec<(String, String)>;

pub(super) fn content(scored: &Scored, settings: &Settings) -> Result<String> {
    let mut pairs = inputs(&scored.inputs);
    pairs.push(("images".into(), scored.report.images.to_string()));
    pairs.extend(left_out(scored));
    let policies = policies(settings)?;
    let policies = policies.as_object().into_iter().flatten();
    pairs.extend(policies.map(|(key, value)| (key.replace('_', " "), text(value))));
    pairs.extend(threshold(scored));
    pairs.push(("program".into(), super::super::json::tool()));
    Ok(html_report::summary(&pairs))
}

fn inputs(inputs: &Inputs) -> Pairs {
    let pairs = [
        ("prediction", &inputs.prediction),
        ("truth", &inputs.truth),
        ("attention maps", &inputs.scores),
        ("paired by", &inputs.paired_by),
        ("format of predictions", &inputs.prediction_format),
        ("format of true masks", &inputs.truth_format),
    ];
    let given = |(name, value): (&str, &Option<String>)| Some((name.into(), value.clone()?));
    pairs.into_iter().filter_map(given).collect()
}

fn left_out(scored: &Scored) -> Pairs {
    let left_out = &scored.left_out;
    let problems = left_out.problems.iter();
    let problems = problems.map(|(kind, n)| (format!("problems: {kind}"), n.to_string()));
    let images = ("images left out".into(), left_out.images.to_string());
    [images].into_iter().chain(problems).collect()
}

fn threshold(scored: &Scored) -> Pairs {
    let Some(chosen) = scored.threshold else {
        return Vec::new();
    };
    let pairs = [
        ("attention threshold", chosen.threshold.to_string()),
        ("rule of the threshold", threshold_rule(chosen.rule)),
        (
            "labels it used",
            labels_used(chosen.labels_used).to_string(),
        ),
    ];
    pairs.map(|(name, value)| (name.into(), value)).into()
}

/// A setting as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        value => value.to_string(),
    }
}
