//! One folder of predictions, from files to scores.
//!
//! Each picture is decoded once and its counts are kept (some hundred bytes). A matching from a file
//! is applied at once, while the masks are there. One to be fitted needs all pictures first; only
//! where it then joins two clusters of a picture, this picture is read again.

mod inputs;
mod samples;
pub(crate) mod shards;

use std::borrow::Cow;

use anyhow::{Result, anyhow, ensure};
use luss_metrics::{
    ChosenThreshold, Confusion, Error, Evaluator, ImageCounts, ImageScore, Matched,
    MatchedEvaluator, Matching, MatchingRule, Protocol, Report, ThresholdPoint, Ties,
    folder::Problem,
};
use serde::{Deserialize, Serialize};

use crate::{
    Failed,
    evidence::Facts,
    pairs::{Pairs, Picture, Submission},
    pass::pass,
    picture::{Loaded, Loader, problem_of},
    problems,
    progress::Progress,
    settings::{Meaning, Settings},
    thresholding::Thresholding,
};

pub(crate) use inputs::{Inputs, LeftOut};
pub(crate) use samples::{BOX, Drawn, Sample, Samples};

/// A scored folder of predictions.
pub(crate) struct Scored {
    pub(crate) inputs: Inputs,
    pub(crate) facts: Facts,
    pub(crate) left_out: LeftOut,
    /// All problems, of whole folders and of single pictures, in order.
    pub(crate) problems: Vec<Problem>,
    /// The scored pictures, in the order of their keys.
    pub(crate) pictures: Vec<Counted>,
    pub(crate) evaluator: Evaluator,
    pub(crate) report: Report,
    /// If it is written, or on the page.
    pub(crate) confusion: Option<Confusion>,
    /// Fitted or from a file.
    pub(crate) matching: Option<Matching>,
    /// Of a fitted matching.
    pub(crate) ties: Option<Ties>,
    pub(crate) threshold: Option<ChosenThreshold>,
    pub(crate) curve: Option<Vec<ThresholdPoint>>,
    /// The worst and the best pictures, if the page is asked for.
    pub(crate) samples: Samples,
}

/// A picture and its counts: of clusters where a matching is fitted, else of classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) picture: Picture,
    pub(crate) counts: ImageCounts,
}

/// What was read of all pictures; it remains to be matched and scored.
pub(crate) struct Counts {
    pub(crate) inputs: Inputs,
    pub(crate) facts: Facts,
    pub(crate) left_out: LeftOut,
    pub(crate) problems: Vec<Problem>,
    pub(crate) pictures: Vec<Counted>,
    pub(crate) threshold: Option<ChosenThreshold>,
    pub(crate) curve: Option<Vec<ThresholdPoint>>,
}

impl Scored {
    /// Scores a folder, or refuses with the list of its problems. Those `before` are of another
    /// folder, and belong into the same file.
    pub(crate) fn new(
        submission: Submission,
        before: &[Problem],
        settings: &Settings,
    ) -> Result<Self> {
        let pairs = Pairs::new(submission, settings)?;
        let thresholding = Thresholding::new(&pairs, settings)?;
        let threshold = thresholding.chosen.map(|chosen| chosen.threshold);
        let reading = Reading {
            pairs: &pairs,
            settings,
            threshold,
        };
        let (pictures, mut problems) = reading.count();
        problems.extend(pairs.problems.iter().cloned());
        problems.sort();
        problems::report(before, &problems, &pairs, settings)?;
        let counts = Counts {
            facts: Facts::new(&pairs, &pictures),
            inputs: Inputs::new(submission, &pairs, settings),
            left_out: LeftOut::new(pairs.truths, pictures.len(), &problems),
            problems,
            pictures,
            threshold: thresholding.chosen,
            curve: thresholding.curve,
        };
        let again =
            |matching: &Matching, pictures: &[&Picture]| reading.score_again(pictures, matching);
        let mut scored = Self::of(counts, settings, again)?;
        if settings.arguments.html.is_some() {
            let (pictures, matching) = (&scored.pictures, scored.matching.as_ref());
            scored.samples.draw(&reading, pictures, matching)?;
        }
        Ok(scored)
    }

    /// Matches and scores what was counted; `again` scores pictures from their masks, where the
    /// matching joins clusters.
    pub(crate) fn of(
        counts: Counts,
        settings: &Settings,
        again: impl FnOnce(&Matching, &[&Picture]) -> Result<Evaluator>,
    ) -> Result<Self> {
        let pictures = counts.pictures;
        ensure!(!pictures.is_empty(), "no picture is left to score");
        let protocol = &settings.protocol;
        let (evaluator, matching, ties) = match &settings.meaning {
            Meaning::Classes => (evaluated(&pictures, protocol)?, None, None),
            Meaning::Fixed(matching) => {
                let evaluator = evaluated(&pictures, protocol)?;
                (evaluator, Some(matching.clone()), None)
            }
            Meaning::Fit(rule) => {
                let matched = matched(&pictures, *rule, settings, again)?;
                (
                    matched.evaluator,
                    Some(matched.matching),
                    Some(matched.ties),
                )
            }
        };
        let mut scored = Self {
            inputs: counts.inputs,
            facts: counts.facts,
            left_out: counts.left_out,
            problems: counts.problems,
            report: evaluator.report(),
            confusion: None,
            pictures,
            evaluator,
            matching,
            ties,
            threshold: counts.threshold,
            curve: counts.curve,
            samples: Samples::default(),
        };
        let is_page = settings.arguments.html.is_some();
        if is_page || settings.arguments.confusion.is_some() {
            scored.look_at_pictures(is_page)?;
        }
        Ok(scored)
    }

    /// Fills the confusion matrix, and ranks the pictures for the page.
    fn look_at_pictures(&mut self, is_page: bool) -> Result<(), Error> {
        let protocol = self.report.protocol;
        let mut confusion = Confusion::new(protocol.classes);
        let mut scores = Vec::new();
        for index in 0..self.pictures.len() {
            let counts = self.image_counts(index)?;
            confusion.add(&counts)?;
            scores.extend(is_page.then(|| ImageScore::of(&counts, &protocol).miou));
        }
        self.confusion = Some(confusion);
        self.samples = Samples::of(&scores);
        Ok(())
    }

    /// The counts of a picture by class. Where the matching joins clusters of the picture, the
    /// boundary between them is still there.
    fn image_counts(&self, index: usize) -> Result<Cow<'_, ImageCounts>, Error> {
        let counts = &self.pictures[index].counts;
        Ok(match (&self.matching, &self.ties) {
            (Some(fitted), Some(_)) => {
                Cow::Owned(counts.matched_with_seams(fitted, &self.report.protocol)?)
            }
            _ => Cow::Borrowed(counts),
        })
    }
}

fn evaluated(pictures: &[Counted], protocol: &Protocol) -> Result<Evaluator, Error> {
    let mut evaluator = Evaluator::new(*protocol);
    let mut counts = pictures.iter().map(|picture| &picture.counts);
    counts.try_for_each(|counts| evaluator.add_counts(counts))?;
    Ok(evaluator)
}

fn matched(
    pictures: &[Counted],
    rule: MatchingRule,
    settings: &Settings,
    again: impl FnOnce(&Matching, &[&Picture]) -> Result<Evaluator>,
) -> Result<Matched> {
    let evaluator = MatchedEvaluator::new(settings.protocol, rule);
    let mut evaluator = evaluator.with_clusters(settings.clusters);
    let mut counts = pictures.iter().map(|picture| picture.counts.clone());
    counts.try_for_each(|counts| evaluator.add_counts(counts))?;
    evaluator.finish_by(|matching, joined| {
        let joined: Vec<&Picture> = joined.iter().map(|&n| &pictures[n].picture).collect();
        again(matching, &joined)
    })
}

/// The pass over the files.
struct Reading<'a> {
    pairs: &'a Pairs,
    settings: &'a Settings<'a>,
    threshold: Option<f32>,
}

impl Reading<'_> {
    /// Counts all pictures; those with problems are left out.
    fn count(&self) -> (Vec<Counted>, Vec<Problem>) {
        let pictures: Vec<&Picture> = self.pairs.pictures.iter().collect();
        let mut counted = Vec::new();
        let mut problems = Vec::new();
        let counts = self.each("scoring", &pictures, |loader, picture| {
            let loaded = self.load(loader, picture)?;
            let counts = self.counts_of(&loaded);
            counts.map_err(|error| vec![problem_of(&error, picture)])
        });
        for (picture, counts) in pictures.into_iter().zip(counts) {
            match counts {
                Ok(counts) => counted.push(Counted {
                    picture: picture.clone(),
                    counts,
                }),
                Err(found) => problems.extend(found),
            }
        }
        (counted, problems)
    }

    /// What `work` makes of each picture, in their order.
    fn each<T: Send>(
        &self,
        what: &'static str,
        pictures: &[&Picture],
        work: impl Fn(&mut Loader, &Picture) -> T + Sync,
    ) -> Vec<T> {
        let progress = Progress::new(what, pictures.len(), self.settings.arguments.quiet);
        let share = || (Loader::new(self.pairs, self.settings), Vec::new());
        let shares = pass(
            pictures,
            self.settings.threads,
            &progress,
            share,
            |(loader, results), index, picture| results.push((index, work(loader, picture))),
        );
        let mut results: Vec<(usize, T)> = shares.into_iter().flat_map(|share| share.1).collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn load(&self, loader: &mut Loader, picture: &Picture) -> Result<Loaded, Vec<Problem>> {
        let mut loaded = loader.load(picture)?;
        loaded.apply_threshold(self.threshold);
        Ok(loaded)
    }

    /// The counts of a picture: of classes, if it is known by now which these are.
    fn counts_of(&self, loaded: &Loaded) -> Result<ImageCounts, Error> {
        let protocol = &self.settings.protocol;
        let counts = loaded.count(self.settings.clusters, protocol)?;
        let Meaning::Fixed(matching) = &self.settings.meaning else {
            return Ok(counts);
        };
        match counts.matched(matching, protocol)? {
            Some(counts) => Ok(counts),
            None => loaded.count_matched(matching, protocol),
        }
    }

    fn score_again(&self, pictures: &[&Picture], matching: &Matching) -> Result<Evaluator> {
        let protocol = &self.settings.protocol;
        let counts = self.each("joined clusters", pictures, |loader, picture| {
            let loaded = self.load(loader, picture)?;
            let counts = loaded.count_matched(matching, protocol);
            counts.map_err(|error| vec![problem_of(&error, picture)])
        });
        let mut evaluator = Evaluator::new(*protocol);
        for counts in counts {
            evaluator.add_counts(&counts.map_err(|problems| changed(&problems))?)?;
        }
        Ok(evaluator)
    }
}

/// A picture that was good before.
fn changed(problems: &[Problem]) -> anyhow::Error {
    let problem = problems.first().map(Problem::to_string).unwrap_or_default();
    let failed = format!("a file changed while it was scored: {problem}");
    anyhow!(Failed(failed))
}

#[cfg(test)]
pub(crate) mod tests;
