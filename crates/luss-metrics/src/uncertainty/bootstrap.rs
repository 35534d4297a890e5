//! Bootstrap over pictures: how far the scores would move with another sample of pictures.
//!
//! A resample draws as many pictures as there are, with replacement; its scores are computed as
//! those of the whole set are. Because the matching is part of an unsupervised score, it is fitted
//! anew in each resample; with a matching held fixed the intervals would be too narrow. Intervals
//! are percentiles of the scores of the resamples (Efron and Tibshirani 1993, §13.3).

use serde::Serialize;

use crate::{
    Error, ImageCounts, MatchingRule, Protocol, Score,
    uncertainty::resampling::{Sampler, Values, draws},
};

/// Settings of a bootstrap: the pictures are drawn anew, with replacement, and all is computed again,
/// a matching included. The result depends on all settings but `threads`.
///
/// # Boundaries
///
/// A picture's counts are taken once, from its generated ids, and a matching renames them. Where a
/// matching gives two labels of a picture one name, the boundary between them should vanish, but
/// the counts cannot tell and keep it. Then the boundary scores are approximations, the same way
/// for all resamples and the value beside them, and `boundary_exact` is false. One to one, with at
/// most as many clusters as classes, labels are never joined, and everything is exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bootstrap {
    /// Start of the random draws.
    pub seed: u64,
    /// Number of resamples; at least 1, and 1000 or more for intervals of 95 %.
    pub resamples: u32,
    /// Share of the resamples inside an interval, between 0 and 1.
    pub confidence: f64,
    /// Threads to use; 0 is taken as 1.
    #[serde(skip)]
    pub threads: usize,
}

/// The counted pictures of one prediction, and how its ids become classes.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    /// The pictures, counted under the protocol that they are scored by.
    pub images: &'a [ImageCounts],
    /// What the predicted ids mean.
    pub fit: Fit,
}

/// How predicted ids become classes in a resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They are classes, of themselves or by a matching from elsewhere.
    AsTheyAre,
    /// By the matching that is best in the resample.
    Refit {
        /// What it makes as large as possible.
        rule: MatchingRule,
        /// Number of clusters.
        clusters: u16,
    },
}

/// The intervals of all scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// The settings.
    pub bootstrap: Bootstrap,
    /// Pictures in each resample.
    pub images: u64,
    /// Whether the boundary scores are exact, as they are unless a matching joined labels (see
    /// [`Bootstrap`]).
    pub boundary_exact: bool,
    /// One for each of [`Score::ALL`].
    pub scores: Vec<ScoreInterval>,
}

/// One score with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScoreInterval {
    /// Which score.
    pub score: Score,
    /// Its value for all pictures; `None` for a size that no object has.
    pub value: Option<f64>,
    /// Where it lies in the resamples; `None` when none of them has it.
    pub interval: Option<Interval>,
}

/// Where a number lies in the resamples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Percentile (1 - confidence) / 2, interpolated between neighbours.
    pub low: f64,
    /// Percentile (1 + confidence) / 2.
    pub high: f64,
    /// Standard deviation, which estimates the standard error of the score.
    pub standard_error: f64,
    /// Resamples that have the score: objects of a rare size are not always drawn.
    pub resamples: u32,
}

/// Two predictions of the same pictures, compared picture by picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The settings.
    pub bootstrap: Bootstrap,
    /// Pictures in each resample.
    pub images: u64,
    /// Whether the boundary scores are exact.
    pub boundary_exact: bool,
    /// One for each of [`Score::ALL`].
    pub scores: Vec<ScoreComparison>,
}

/// One score of two predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScoreComparison {
    /// Which score.
    pub score: Score,
    /// Its value for the first prediction.
    pub a: Option<f64>,
    /// Its value for the second prediction.
    pub b: Option<f64>,
    /// `a - b`, in `-1..=1`.
    pub difference: Option<f64>,
    /// Where the difference lies in the resamples, each drawn for both alike.
    pub interval: Option<Interval>,
    /// Share of the resamples in which the first is higher, in `0..=1`.
    pub a_higher: f64,
    /// Share of the resamples in which they are equal, in `0..=1`.
    pub equal: f64,
}

impl Bootstrap {
    /// 95 % intervals on one thread.
    ///
    /// ```
    /// use luss_metrics::Bootstrap;
    ///
    /// let bootstrap = Bootstrap { confidence: 0.9, threads: 2, ..Bootstrap::new(7, 1000) };
    /// assert_eq!((bootstrap.seed, bootstrap.resamples), (7, 1000));
    /// ```
    pub fn new(seed: u64, resamples: u32) -> Self {
        Self {
            seed,
            resamples,
            confidence: 0.95,
            threads: 1,
        }
    }

    /// The intervals of all scores.
    ///
    /// Memory: 8 bytes for each pair of labels of each picture, and 256 for each resample.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] without pictures; [`Error::BootstrapSettings`] for settings out of range;
    /// else as [`Protocol::check`], [`crate::Matching::fit`], [`crate::Evaluator::add_counts`].
    pub fn intervals(
        &self,
        predictions: &Predictions,
        protocol: &Protocol,
    ) -> Result<Intervals, Error> {
        self.check()?;
        let sampler = Sampler::new(predictions, protocol)?;
        let images = predictions.images.len();
        let (values, exact_here) = sampler.scores(&vec![1; images])?;
        let samples = self.for_each_resample(images, |times| sampler.scores(times))?;
        let interval =
            |index: usize| self.interval(samples.iter().map(|(values, _)| values[index]));
        let score = |(index, score)| ScoreInterval {
            score,
            value: values[index],
            interval: interval(index),
        };
        Ok(Intervals {
            bootstrap: *self,
            images: images as u64,
            boundary_exact: exact_here && samples.iter().all(|(_, exact)| *exact),
            scores: Score::ALL.into_iter().enumerate().map(score).collect(),
        })
    }

    /// Compares two predictions of the same pictures, in the same order.
    ///
    /// # Errors
    ///
    /// As [`Bootstrap::intervals`]; [`Error::Unpaired`] when the pictures differ in number or truth.
    ///
    /// ```
    /// use luss_metrics::{Bootstrap, Fit, ImageCounts, LabelMask, Predictions, Protocol};
    ///
    /// let (protocol, truth) = (Protocol::new(1), LabelMask::new(2, 1, vec![0, 1])?);
    /// let good = [ImageCounts::new(&truth, &truth, 1, &protocol)?];
    /// let bad = [ImageCounts::new(&LabelMask::new(2, 1, vec![0, 0])?, &truth, 1, &protocol)?];
    /// let of = |images| Predictions { images, fit: Fit::AsTheyAre };
    /// let comparison = Bootstrap::new(1, 100).compare(&of(&good), &of(&bad), &protocol)?;
    /// assert_eq!(comparison.scores[0].a_higher, 1.0);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn compare(
        &self,
        a: &Predictions,
        b: &Predictions,
        protocol: &Protocol,
    ) -> Result<Comparison, Error> {
        self.check()?;
        check_paired(a.images, b.images)?;
        let (ours, theirs) = (Sampler::new(a, protocol)?, Sampler::new(b, protocol)?);
        let both = |times: &[u32]| {
            let ((a, exact_a), (b, exact_b)) = (ours.scores(times)?, theirs.scores(times)?);
            Ok(((a, b), exact_a && exact_b))
        };
        let images = a.images.len();
        let (whole, exact_here) = both(&vec![1; images])?;
        let samples = self.for_each_resample(images, both)?;
        let score = |(index, score)| self.comparison(score, index, &whole, &samples);
        Ok(Comparison {
            bootstrap: *self,
            images: images as u64,
            boundary_exact: exact_here && samples.iter().all(|(_, exact)| *exact),
            scores: Score::ALL.into_iter().enumerate().map(score).collect(),
        })
    }

    fn comparison(
        &self,
        score: Score,
        index: usize,
        whole: &(Values, Values),
        samples: &[((Values, Values), bool)],
    ) -> ScoreComparison {
        let difference = |(a, b): &(Values, Values)| Some(a[index]? - b[index]?);
        let differences = || samples.iter().map(|(values, _)| difference(values));
        let known = differences().flatten().count().max(1) as f64;
        let share = |wanted: fn(f64) -> bool| {
            differences()
                .flatten()
                .filter(|difference| wanted(*difference))
                .count() as f64
                / known
        };
        ScoreComparison {
            score,
            a: whole.0[index],
            b: whole.1[index],
            difference: difference(whole),
            interval: self.interval(differences()),
            a_higher: share(|difference| difference > 0.0),
            equal: share(|difference| difference == 0.0),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let Self {
            resamples,
            confidence,
            ..
        } = *self;
        if resamples > 0 && confidence > 0.0 && confidence < 1.0 {
            return Ok(());
        }
        Err(Error::BootstrapSettings {
            resamples,
            confidence,
        })
    }

    /// What `work` makes of each resample, in their order.
    fn for_each_resample<T: Send>(
        &self,
        images: usize,
        work: impl Fn(&[u32]) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let threads = self.threads.clamp(1, 1024) as u32;
        let share = |thread: u32| {
            let mine = (0..self.resamples).filter(move |resample| resample % threads == thread);
            mine.map(|resample| Ok((resample, work(&draws(self.seed, resample, images))?)))
                .collect::<Result<Vec<(u32, T)>, Error>>()
        };
        let shares: Result<Vec<_>, Error> = std::thread::scope(|scope| {
            let share = &share;
            let handles: Vec<_> = (0..threads)
                .map(|t| scope.spawn(move || share(t)))
                .collect();
            let join = |handle: std::thread::ScopedJoinHandle<_>| handle.join();
            let joined = handles.into_iter().map(join);
            joined
                .map(|share| share.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut results: Vec<(u32, T)> = shares?.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(resample, _)| *resample);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    fn interval(&self, values: impl Iterator<Item = Option<f64>>) -> Option<Interval> {
        let mut sorted: Vec<f64> = values.flatten().collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Some(Interval {
            low: percentile(&sorted, tail),
            high: percentile(&sorted, 1.0 - tail),
            standard_error: standard_deviation(&sorted),
            resamples: sorted.len() as u32,
        })
    }
}

/// The value at a share of the way through `sorted`, linear between neighbours (NumPy's default).
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

/// With n - 1 in the denominator; 0 of a single value.
fn standard_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}

fn check_paired(a: &[ImageCounts], b: &[ImageCounts]) -> Result<(), Error> {
    let index = if a.len() != b.len() {
        Some(a.len().min(b.len()))
    } else {
        a.iter().zip(b).position(|(a, b)| !a.has_truth_of(b))
    };
    match index {
        Some(index) => Err(Error::Unpaired { index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
