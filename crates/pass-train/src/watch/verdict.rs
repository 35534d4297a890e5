//! Whether a run has worked: `verdict.json`, the end of the terminal's text and the top of the report.

use std::{cmp::Reverse, fs};

use imagenet_s::Split;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step, quoted,
    run::dir::{RunDir, remove_if_there},
    run_file::Predictor,
    step::{labels::LabelsSummary, predict::PredictSummary},
    watch::{findings, findings::Finding, mask_counts::MaskCounts},
};

/// Version of the file; another number means that fields have changed their meaning.
const SCHEMA: u32 = 1;

/// The file in the run directory.
const FILE: &str = "verdict.json";

/// How a run has gone, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Nothing was found against it.
    Sound,
    /// Something speaks against it.
    Doubtful,
    /// Its result is of no use.
    Failed,
}

/// A category in the masks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryUse {
    /// Its id in the masks; 0 is the background.
    pub id: usize,
    /// Share of all pixels, `0..=1`.
    pub share: f64,
    /// Images in which it occurs.
    pub images: u64,
    /// Images in which it touches all four sides.
    pub on_all_sides: u64,
}

/// Whether a run has worked. It holds no time and no path outside the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// Version of the file: 1.
    pub schema: u32,
    /// The worst of what was found.
    pub grade: Grade,
    /// The same in a sentence, with what to try.
    pub sentence: String,
    /// What was found, in the order of the steps.
    pub findings: Vec<Finding>,
    /// The ids of the masks, from 0 on; empty for runs of former versions.
    pub categories: Vec<CategoryUse>,
    /// Mean NMI of the other restarts of k-means with the best one; `null` without others.
    pub stability: Option<f64>,
    /// Folders of masks, below the run directory.
    pub masks: Vec<String>,
}

impl RunVerdict {
    /// The verdict on the steps that have finished, which is left as `verdict.json`.
    ///
    /// # Errors
    ///
    /// A result that cannot be read, or the disk.
    pub(crate) fn leave(context: &Context) -> Result<Self, Error> {
        let verdict = Self::of_run(context)?;
        let place = context.run.file(FILE);
        context.run.write_json(&place, &verdict)?;
        Ok(verdict)
    }

    /// The verdict that a run has left.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Damaged`].
    pub fn read(run: &RunDir) -> Result<Self, Error> {
        run.read_json(&run.file(FILE))
    }

    /// [`RunVerdict::read`] of a run that may not have left one yet.
    pub(crate) fn find(run: &RunDir) -> Result<Option<Self>, Error> {
        let left = run.file(FILE).exists();
        left.then(|| Self::read(run)).transpose()
    }

    /// Removes it, when what it is about is made again.
    pub(crate) fn remove(run: &RunDir) -> Result<(), Error> {
        remove_if_there(&run.file(FILE), fs::remove_file)
    }

    fn of_run(context: &Context) -> Result<Self, Error> {
        let findings = findings::of_run(context)?;
        let counts = counts(context)?;
        let stability = stability(context)?;
        let grade = findings.iter().map(|finding| finding.grade).max();
        let grade = grade.unwrap_or(Grade::Sound);
        let splits = context.shown_splits();
        let folder = |split: &Split| format!("{}/{}", context.result(), split.name());
        Ok(Self {
            schema: SCHEMA,
            grade,
            sentence: sentence(&findings, counts.as_ref(), stability),
            categories: uses(&counts.unwrap_or_default()),
            findings,
            stability,
            masks: splits.iter().map(folder).collect(),
        })
    }

    /// What people read at the end of a run: the verdict, the categories, the masks, the next commands.
    pub fn lines(&self, run: &RunDir) -> Vec<String> {
        let mut lines = vec![self.sentence.clone()];
        lines.extend(self.shares());
        let folders = self.masks.iter().map(|name| run.file(name));
        lines.extend(folders.map(|folder| format!("masks: {}", folder.display())));
        let next = next_commands(run).into_iter();
        lines.extend(next.map(|(what, command)| format!("{what}: {command}")));
        lines
    }

    /// The background, then the categories, the largest first.
    pub(crate) fn by_share(&self) -> Option<(&CategoryUse, Vec<&CategoryUse>)> {
        let (background, rest) = self.categories.split_first()?;
        let mut rest: Vec<&CategoryUse> = rest.iter().collect();
        rest.sort_by_key(|of| (Reverse((of.share * 1e9) as u64), of.id));
        Some((background, rest))
    }

    /// The share of the background and of each category, the largest first.
    fn shares(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let (background, rest) = self.by_share()?;
        let percent = |of: &CategoryUse| format!("{:.1} %", 100.0 * of.share);
        let mut parts = vec![format!("background {}", percent(background))];
        let shown = rest.iter().take(SHOWN);
        parts.extend(shown.map(|of| format!("category {} {}", of.id, percent(of))));
        if rest.len() > SHOWN {
            parts.push(format!("and {} more", rest.len() - SHOWN));
        }
        Some(format!("share of the pixels: {}", parts.join(", ")))
    }
}

/// The commands that use a finished run, with what they give: its network on other images, where it
/// has one, and its masks in other formats.
pub(crate) fn next_commands(run: &RunDir) -> Vec<(&'static str, String)> {
    let directory = quoted(run.root());
    let labels_others = !run.leaves_out(Step::Finetune) || !run.leaves_out(Step::FindObjects);
    let segment = labels_others.then(|| {
        let command = format!("luss segment --run {directory} --out masks IMAGES…");
        ("other images", command)
    });
    let export = format!("luss export --run {directory} --format overlay --out overlays");
    segment
        .into_iter()
        .chain([("other formats", export)])
        .collect()
}

/// Of the masks that are the result; nothing where a former version left no counts, or none are there.
fn counts(context: &Context) -> Result<Option<MaskCounts>, Error> {
    let run = &context.run;
    let labels = context.file.predict.predictor == Predictor::Labels;
    let step = if labels {
        Step::GenerateLabels
    } else {
        Step::Predict
    };
    if !run.is_done(step) {
        return Ok(None);
    }
    if labels {
        return Ok(run.summary::<LabelsSummary>(step)?.counts);
    }
    let summary: serde_json::Value = run.summary(step)?;
    let counts = serde_json::from_value(summary).map(|summary: PredictSummary| summary.counts);
    Ok(counts.ok())
}

fn stability(context: &Context) -> Result<Option<f64>, Error> {
    if !context.run.is_done(Step::Cluster) {
        return Ok(None);
    }
    let summary: serde_json::Value = context.run.summary(Step::Cluster)?;
    Ok(summary["stability"].as_f64())
}

fn uses(counts: &MaskCounts) -> Vec<CategoryUse> {
    let of_id = |list: &[u64], id: usize| list.get(id).copied().unwrap_or(0);
    let one = |id| CategoryUse {
        id,
        share: counts.share(id),
        images: of_id(&counts.images, id),
        on_all_sides: of_id(&counts.on_all_sides, id),
    };
    (0..counts.pixels.len()).map(one).collect()
}

/// The worst of what was found with what to try, or that nothing was.
fn sentence(findings: &[Finding], counts: Option<&MaskCounts>, stability: Option<f64>) -> String {
    let worst = findings.iter().rev().max_by_key(|finding| finding.grade);
    let Some(Finding {
        grade,
        what,
        advice,
        ..
    }) = worst
    else {
        return sound(counts, stability);
    };
    let begins = match grade {
        Grade::Failed => "This run has not worked",
        _ => "The result is doubtful",
    };
    let others = match findings.len() - 1 {
        0 => String::new(),
        1 => " (and one more finding)".to_owned(),
        more => format!(" (and {more} more findings)"),
    };
    format!("{begins}: {what}{others}. What to try: {advice}.")
}

fn sound(counts: Option<&MaskCounts>, stability: Option<f64>) -> String {
    let used = match counts {
        Some(counts) => {
            let categories = counts.pixels.iter().skip(1);
            let all = categories.clone().count();
            let used = categories.filter(|&&pixels| pixels > 0).count();
            format!("{used} of {all} categories are in use")
        }
        None => "the masks were not counted, so nothing is known of how they use the categories"
            .to_owned(),
    };
    let agree = stability.map_or(String::new(), |nmi| {
        format!(", and restarts of the clustering agree (mean NMI {nmi:.2})")
    });
    format!(
        "The check found nothing wrong: {used}{agree}. Look at the masks in the report before you rely on them."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(grade: Grade, what: &str) -> Finding {
        Finding {
            step: "predict".into(),
            grade,
            what: what.into(),
            advice: format!("mend {what}"),
        }
    }

    #[test]
    fn the_sentence_is_about_the_first_of_the_gravest() {
        let said = |findings: &[Finding]| sentence(findings, Some(&MaskCounts::default()), None);
        let few = finding(Grade::Doubtful, "few images");
        let lost = finding(Grade::Failed, "the loss");
        let empty = finding(Grade::Failed, "empty masks");
        assert_eq!(
            said(std::slice::from_ref(&few)),
            "The result is doubtful: few images. What to try: mend few images."
        );
        assert_eq!(
            said(&[few, lost, empty]),
            "This run has not worked: the loss (and 2 more findings). What to try: mend the loss."
        );
    }

    #[test]
    fn a_run_without_findings_says_how_many_categories_it_uses() {
        let counts = MaskCounts {
            pixels: vec![5, 3, 0, 2],
            ..MaskCounts::default()
        };
        let said = sentence(&[], Some(&counts), Some(0.914));
        let facts =
            "2 of 3 categories are in use, and restarts of the clustering agree (mean NMI 0.91)";
        assert!(said.contains(facts), "{said}");
        let uncounted = sentence(&[], None, None);
        assert!(
            uncounted.contains("the masks were not counted"),
            "{uncounted}"
        );
        assert!(!uncounted.contains("0 of 0"), "{uncounted}");
    }

    #[test]
    fn shares_are_told_from_the_largest_on_and_many_are_counted() {
        let mut counts = MaskCounts::new(12);
        counts.pixels = (0..=12).map(|id| if id == 0 { 22 } else { id }).collect();
        let verdict = RunVerdict {
            schema: SCHEMA,
            grade: Grade::Sound,
            sentence: String::new(),
            findings: Vec::new(),
            categories: uses(&counts),
            stability: None,
            masks: Vec::new(),
        };
        let said = verdict.shares().unwrap();
        assert!(
            said.starts_with("share of the pixels: background 22.0 %, category 12 12.0 %"),
            "{said}"
        );
        assert!(said.ends_with("category 5 5.0 %, and 4 more"), "{said}");
    }

    #[test]
    fn what_labels_no_other_images_is_not_told_to() {
        let commands = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let root = tempfile::tempdir().unwrap();
            let file = crate::RunFile::parse("", "test", &settings).unwrap();
            let next = next_commands(&RunDir::open(root.path(), &file).unwrap());
            next.into_iter().map(|(what, _)| what).collect::<Vec<_>>()
        };
        let labels = "predict.predictor=labels";
        assert_eq!(commands(&[]), ["other images", "other formats"]);
        assert_eq!(commands(&[labels]), ["other formats"]);
        let objects = ["cluster.way=objects", labels];
        assert_eq!(commands(&objects), ["other images", "other formats"]);
    }
}
