//! Which cluster became which class.

use html_report::summary;
use luss_metrics::{Matching, Ties};

use super::{
    labels::Labels,
    table::{cell, of_count, row, table},
};
use crate::{output::rows::percent, scoring::Scored};

pub(super) fn content(scored: &Scored, labels: &Labels) -> String {
    let Some(matching) = &scored.matching else {
        return String::new();
    };
    let mut facts = facts(matching);
    facts.extend(scored.ties.iter().flat_map(ties));
    let line = |cluster| {
        let class = labels.chip(matching.class_of(cluster));
        row(&of_count(cluster), [cell(&class)])
    };
    let lines: String = (1..=matching.clusters()).map(line).collect();
    let caption = "The class of each cluster; a cluster left alone is \u{201c}other\u{201d}.";
    let columns = ["cluster", "class"];
    let pairs = table("metrics dense", caption, &columns, &lines);
    let n = matching.clusters();
    summary(&facts) + &format!("<details><summary>All {n} clusters</summary>\n{pairs}</details>\n")
}

fn facts(matching: &Matching) -> Vec<(String, String)> {
    let rule = matching.rule();
    let facts = [
        ("matched by", rule.map(|rule| rule.name().to_string())),
        ("total", matching.total().map(|total| total.to_string())),
        (
            "one unit of the total",
            rule.map(|rule| rule.unit().to_string()),
        ),
    ];
    let known = facts.into_iter();
    let known = known.filter_map(|(name, value)| Some((name.into(), value?)));
    known.collect()
}

fn ties(ties: &Ties) -> Vec<(String, String)> {
    let exact = |is_exact, inexact: &str| match is_exact {
        true => String::new(),
        false => inexact.to_string(),
    };
    let assignments = exact(ties.assignments_exact, "at least ") + &ties.assignments.to_string();
    let mut facts = vec![
        ("optimal matchings".into(), assignments),
        (
            "clusters with a choice among them".into(),
            ties.clusters_with_choice.to_string(),
        ),
    ];
    facts.extend(ties.miou.map(|range| {
        let [lowest, highest] = [range.lowest, range.highest].map(|miou| percent(Some(miou)));
        let about = exact(range.exact, "about ");
        (
            "mIoU over them, percent".into(),
            format!("{about}{lowest} to {highest}"),
        )
    }));
    facts
}
