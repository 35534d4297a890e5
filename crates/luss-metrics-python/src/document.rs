//! Scores as dicts, with the keys of the JSON that `luss-eval` writes.

use luss_metrics::{Areas, Evaluator, Matching, OutOfRange, Protocol, SizeGroup, SizeScore, Ties};
use pyo3::prelude::*;
use pythonize::pythonize;
use serde_json::{Map, Value, json};

use crate::error::value_error;

/// All scores of an evaluator.
pub(crate) fn report(evaluator: &Evaluator) -> PyResult<Value> {
    let report = evaluator.report();
    let mut document = serde_json::to_value(&report).map_err(value_error)?;
    let fields = document.as_object_mut().expect("a report has fields");
    fields.shift_remove("protocol");
    fields.insert("policies".into(), policies(evaluator.protocol()));
    fields["sizes"] = by_size(&report.sizes);
    let classes = fields["per_class"].as_array_mut().into_iter().flatten();
    for (label, class) in classes.enumerate() {
        describe_class(class, label, evaluator.areas());
    }
    Ok(document)
}

/// The choices under luss-eval's names: `score_other` where it is not, "reference" for "drop".
fn policies(protocol: &Protocol) -> Value {
    let mut policies = json!(protocol);
    if protocol.score_other {
        policies
            .as_object_mut()
            .map(|all| all.shift_remove("score_other"));
    }
    if protocol.out_of_range == OutOfRange::Drop {
        policies["out_of_range"] = json!("reference");
    }
    policies
}

/// The groups by their names instead of in a list.
fn by_size(sizes: &[SizeScore]) -> Value {
    let name = |group| match group {
        SizeGroup::Small => "small",
        SizeGroup::MediumSmall => "medium_small",
        SizeGroup::MediumLarge => "medium_large",
        SizeGroup::Large => "large",
    };
    let scores = |size: &SizeScore| json!({"miou": size.miou, "boundary_miou": size.boundary_miou, "classes": size.classes});
    let named = sizes.iter();
    let named = named.map(|size| (name(size.group).to_string(), scores(size)));
    named.collect::<Map<_, _>>().into()
}

/// Names the label `id` and adds its boundary pixels.
fn describe_class(class: &mut Value, label: usize, areas: &Areas) {
    let Value::Object(mut scores) = class.take() else {
        unreachable!("a class has fields")
    };
    let boundary = &areas.boundary;
    let counts = [
        ("truth_boundary_pixels", boundary.truth()),
        ("prediction_boundary_pixels", boundary.prediction()),
        ("intersection_boundary_pixels", boundary.intersection()),
    ];
    scores.shift_remove("class");
    *class = std::iter::once(("id".to_string(), json!(label)))
        .chain(scores)
        .chain(counts.map(|(name, pixels)| (name.to_string(), json!(pixels[label]))))
        .collect::<Map<_, _>>()
        .into();
}

/// Which cluster is which class, and how far that is a matter of chance.
pub(crate) fn matching(matching: &Matching, ties: &Ties) -> Value {
    let pair = |cluster| json!({"cluster": cluster, "class": matching.class_of(cluster)});
    json!({
        "kind": matching.rule().map(|rule| rule.name()),
        "pairs": (1..=matching.clusters()).map(pair).collect::<Vec<_>>(),
        "total": matching.total(),
        "unit": matching.rule().map(|rule| rule.unit()),
        "ties": {
            "unique": ties.unique,
            "clusters_with_choice": ties.clusters_with_choice,
            "assignments": ties.assignments,
            "assignments_exact": ties.assignments_exact,
        },
        "miou_range": ties.miou,
    })
}

/// A value of JSON as Python has it.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize(py, value)?)
}
