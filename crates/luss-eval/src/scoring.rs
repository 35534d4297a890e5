//! One folder of predictions, from files to counts.
//!
//! Each picture is decoded once. Without a matching, or with one from a file, it is scored at once.
//! To fit a matching its counts are kept (some hundred bytes) and scored when the matching is
//! known; only where the matching joins two clusters of a picture, or where the kept counts would
//! take more than [`KEPT_BYTES`], the picture is read again.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow, ensure};
use luss_metrics::{
    ChosenThreshold, Error, Evaluator, ImageCounts, Matching, MatchingRule, OutOfRange, Overlap,
    Protocol, Report, ThresholdPoint, Ties, folder::Problem,
};

use crate::{
    Failed,
    pairs::{Pairs, Picture, Submission},
    pass::pass,
    picture::{Loaded, Loader, problem_of},
    problems,
    progress::Progress,
    settings::{Meaning, Settings},
    thresholding::Thresholding,
};

/// Most memory for the counts of pictures that wait for the matching. Those of 40 000 usual
/// pictures take a tenth of it.
const KEPT_BYTES: usize = 100 << 20;

/// A scored folder of predictions.
pub(crate) struct Scored {
    pub(crate) pairs: Pairs,
    /// What someone who reads the scores has to know of the masks.
    pub(crate) notes: Vec<String>,
    pub(crate) evaluator: Evaluator,
    pub(crate) report: Report,
    pub(crate) matching: Option<Matching>,
    pub(crate) ties: Option<Ties>,
    pub(crate) threshold: Option<ChosenThreshold>,
    pub(crate) curve: Option<Vec<ThresholdPoint>>,
    /// All problems, of whole folders and of single pictures, in order.
    pub(crate) problems: Vec<Problem>,
    /// The pictures' counts by their number, if they are to be resampled.
    pub(crate) counts: Vec<(usize, ImageCounts)>,
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
        let Thresholding {
            chosen: threshold,
            curve,
        } = Thresholding::new(&pairs, settings)?;
        let scoring = Scoring {
            pairs: &pairs,
            settings,
            threshold: threshold.map(|chosen| chosen.threshold),
            held_bytes: AtomicUsize::new(0),
        };
        let mut sum = scoring.count()?;
        sum.problems.extend(pairs.problems.iter().cloned());
        sum.problems.sort();
        pairs.check_evidence(settings)?;
        problems::report(before, &sum.problems, settings)?;
        ensure!(!sum.counted.is_empty(), "no picture is left to score");
        let (matching, ties) = scoring.finish(&mut sum)?;
        let (evaluator, problems) = (sum.evaluator, sum.problems);
        let kept = sum
            .counted
            .into_iter()
            .filter_map(|(index, counts)| Some((index, counts?)));
        let counts = if settings.resamples() {
            kept.collect()
        } else {
            Vec::new()
        };
        let report = evaluator.report();
        let notes = pairs.notes(settings);
        Ok(Self {
            pairs,
            notes,
            evaluator,
            report,
            matching,
            ties,
            threshold,
            curve,
            problems,
            counts,
        })
    }
}

struct Scoring<'a> {
    pairs: &'a Pairs,
    settings: &'a Settings<'a>,
    threshold: Option<f32>,
    held_bytes: AtomicUsize,
}

/// What one thread, or all of them, made of their pictures.
struct Share {
    loader: Loader,
    evaluator: Evaluator,
    /// If a matching is to be fitted.
    overlap: Option<Overlap>,
    /// Each good picture by its number, with its counts if they are kept.
    counted: Vec<(usize, Option<ImageCounts>)>,
    problems: Vec<Problem>,
}

impl Scoring<'_> {
    fn protocol(&self) -> &Protocol {
        &self.settings.protocol
    }

    fn share(&self) -> Share {
        let Protocol {
            classes, ignore, ..
        } = *self.protocol();
        let fits = matches!(self.settings.meaning, Meaning::Fit(_));
        Share {
            loader: Loader::new(self.pairs, self.settings),
            evaluator: Evaluator::new(*self.protocol()),
            overlap: fits.then(|| Overlap::new(self.settings.clusters, classes, ignore)),
            counted: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The pass over all pictures.
    fn count(&self) -> Result<Share> {
        let progress = Progress::new(
            "scoring",
            self.pairs.pictures.len(),
            self.settings.arguments.quiet,
        );
        let work = |share: &mut Share, index, picture: &Picture| self.add(share, index, picture);
        let shares = pass(
            &self.pairs.pictures,
            self.settings.threads,
            &progress,
            || self.share(),
            work,
        );
        let mut shares = shares.into_iter();
        let mut sum = shares.next().unwrap_or_else(|| self.share());
        for share in shares {
            sum.evaluator.merge(&share.evaluator)?;
            if let (Some(sum), Some(share)) = (&mut sum.overlap, &share.overlap) {
                sum.merge(share)?;
            }
            sum.counted.extend(share.counted);
            sum.problems.extend(share.problems);
        }
        sum.counted.sort_unstable_by_key(|(index, _)| *index);
        Ok(sum)
    }

    fn add(&self, share: &mut Share, index: usize, picture: &Picture) {
        let mut loaded = match share.loader.load(picture) {
            Ok(loaded) => loaded,
            Err(problems) => return share.problems.extend(problems),
        };
        loaded.apply_threshold(self.threshold);
        match self.add_loaded(share, &loaded) {
            Ok(counts) => share.counted.push((index, self.kept(counts))),
            Err(error) => share.problems.push(problem_of(&error, picture)),
        }
    }

    fn add_loaded(&self, share: &mut Share, loaded: &Loaded) -> Result<ImageCounts, Error> {
        let counts = loaded.count(self.settings.clusters, self.protocol())?;
        match (&self.settings.meaning, &mut share.overlap) {
            (Meaning::Classes, _) => share.evaluator.add_counts(&counts)?,
            (Meaning::Fixed(matching), _) => {
                if !self.add_matched(&mut share.evaluator, &counts, matching)? {
                    self.add_masks(&mut share.evaluator, loaded, matching)?;
                }
            }
            (Meaning::Fit(_), overlap) => {
                let overlap = overlap.as_mut().expect("tables to fit a matching to");
                self.add_overlap(overlap, &counts, loaded)?;
            }
        }
        Ok(counts)
    }

    fn add_overlap(
        &self,
        overlap: &mut Overlap,
        counts: &ImageCounts,
        loaded: &Loaded,
    ) -> Result<(), Error> {
        match overlap.add_counts(counts) {
            Err(Error::LabelOutOfRange { .. }) if self.drops_strays() => overlap.add(
                &loaded.without_strays(self.settings.clusters),
                &loaded.truth,
            ),
            added => added,
        }
    }

    /// Whether a picture could be scored from its counts.
    fn add_matched(
        &self,
        evaluator: &mut Evaluator,
        counts: &ImageCounts,
        matching: &Matching,
    ) -> Result<bool, Error> {
        match counts.matched(matching) {
            Ok(Some(matched)) => evaluator.add_counts(&matched).map(|()| true),
            Ok(None) => Ok(false),
            Err(Error::ClusterWithoutClass { .. }) if self.drops_strays() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn add_masks(
        &self,
        evaluator: &mut Evaluator,
        loaded: &Loaded,
        matching: &Matching,
    ) -> Result<(), Error> {
        evaluator.add(&loaded.matched(matching, self.protocol())?, &loaded.truth)
    }

    fn drops_strays(&self) -> bool {
        self.protocol().out_of_range == OutOfRange::Drop
    }

    /// The counts, if they are needed later and there is room for them.
    fn kept(&self, counts: ImageCounts) -> Option<ImageCounts> {
        if self.settings.resamples() {
            return Some(counts);
        }
        let bytes = match self.settings.meaning {
            Meaning::Fit(_) => counts.held_bytes(),
            _ => return None,
        };
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        (held + bytes <= KEPT_BYTES).then_some(counts)
    }

    /// Fits the matching, if there is one to fit, and scores under it.
    fn finish(&self, sum: &mut Share) -> Result<(Option<Matching>, Option<Ties>)> {
        match (&self.settings.meaning, &sum.overlap) {
            (Meaning::Fit(rule), Some(overlap)) => {
                let matching = Matching::fit(*rule, overlap)?;
                let ties = self.ties(*rule, overlap)?;
                self.score(sum, &matching)?;
                Ok((Some(matching), Some(ties)))
            }
            (Meaning::Fixed(matching), _) => Ok((Some(matching.clone()), None)),
            _ => Ok((None, None)),
        }
    }

    fn ties(&self, rule: MatchingRule, overlap: &Overlap) -> Result<Ties> {
        Ok(Ties::of(rule, overlap, self.protocol().absent_class)?)
    }

    /// Scores the counted pictures; those whose counts do not tell enough are read again.
    fn score(&self, sum: &mut Share, matching: &Matching) -> Result<()> {
        let mut again = Vec::new();
        for (index, counts) in &sum.counted {
            let known = match counts {
                Some(counts) => self.add_matched(&mut sum.evaluator, counts, matching)?,
                None => false,
            };
            if !known {
                again.push(&self.pairs.pictures[*index]);
            }
        }
        if !again.is_empty() {
            sum.evaluator.merge(&self.score_again(&again, matching)?)?;
        }
        Ok(())
    }

    fn score_again(&self, pictures: &[&Picture], matching: &Matching) -> Result<Evaluator> {
        let progress = Progress::new(
            "joined clusters",
            pictures.len(),
            self.settings.arguments.quiet,
        );
        let work = |(share, changed): &mut (Share, Vec<String>), _, picture: &&Picture| {
            changed.extend(self.add_again(share, picture, matching).err());
        };
        let shares = pass(
            pictures,
            self.settings.threads,
            &progress,
            || (self.share(), Vec::new()),
            work,
        );
        let mut sum = Evaluator::new(*self.protocol());
        for (share, changed) in shares {
            if let Some(problem) = changed.first() {
                let failed = format!("a file changed while it was scored: {problem}");
                return Err(anyhow!(Failed(failed)));
            }
            sum.merge(&share.evaluator)?;
        }
        Ok(sum)
    }

    fn add_again(
        &self,
        share: &mut Share,
        picture: &Picture,
        matching: &Matching,
    ) -> Result<(), String> {
        let first =
            |problems: Vec<Problem>| problems.first().map(Problem::to_string).unwrap_or_default();
        let mut loaded = share.loader.load(picture).map_err(first)?;
        loaded.apply_threshold(self.threshold);
        let added = self.add_masks(&mut share.evaluator, &loaded, matching);
        added.map_err(|error| problem_of(&error, picture).to_string())
    }
}
