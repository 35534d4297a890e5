//! The list of what stands in the way of a score.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Result, bail};
use luss_metrics::folder::{Problem, ProblemKind};

use crate::{output::write_file, pairs::Pairs, settings::Settings, terminal::tell};

/// Problems that the terminal shows.
const SHOWN: usize = 20;

/// Writes the problems of a folder behind those met `before`, and prints them; refuses masks whose
/// values are no ids, and problems unless they are allowed.
pub(crate) fn report(
    before: &[Problem],
    problems: &[Problem],
    pairs: &Pairs,
    settings: &Settings,
) -> Result<()> {
    if let Some(file) = &settings.arguments.problems {
        write_file(file, &list(&[before, problems].concat()))?;
    }
    pairs.check_evidence(settings)?;
    if problems.is_empty() {
        return Ok(());
    }
    problems
        .iter()
        .take(SHOWN)
        .for_each(|problem| tell(format_args!("{problem}")));
    if problems.len() > SHOWN {
        tell(format_args!(
            "… and {} more (all of them: --problems FILE)",
            problems.len() - SHOWN
        ));
    }
    let counts = counts(problems);
    let counts: Vec<String> = counts
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let counts = counts.join(", ");
    if !settings.arguments.allow_missing {
        bail!(
            "nothing is scored: {counts}; repair the folders, or score the complete pictures alone with --allow-missing"
        );
    }
    tell(format_args!("left out (--allow-missing): {counts}"));
    Ok(())
}

/// How many problems of each sort there are.
pub(crate) fn counts(problems: &[Problem]) -> BTreeMap<ProblemKind, u64> {
    let mut counts = BTreeMap::new();
    problems
        .iter()
        .for_each(|problem| *counts.entry(problem.kind).or_default() += 1);
    counts
}

fn list(problems: &[Problem]) -> String {
    let mut text = String::from("kind\tpath\tmessage\n");
    for Problem {
        path,
        kind,
        message,
    } in problems
    {
        let message = message.replace(['\t', '\n'], " ");
        writeln!(text, "{kind}\t{}\t{message}", path.display()).expect("a String takes any text");
    }
    text
}
