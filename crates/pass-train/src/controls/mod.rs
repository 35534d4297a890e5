//! Controls that learn nothing: what a centred ellipse is worth.
//!
//! Objects tend to be in the middle of a photograph, and to differ in colour. Each control calls a
//! centred ellipse foreground, gives all of it one cluster, and is matched and scored like a
//! prediction. A pipeline that does not beat [`EllipseControl::ColourClusters`] has learned nothing
//! worth having.

mod ellipse;

use imagenet_s::{OddPictures, Sample, Split, views::permutation};
use luss_metrics::{LabelMask, Report};
use ndarray::Array2;
use pixel_attention::kmeans::{self, KMeansConfig};
use rayon::prelude::*;

use crate::{Context, Error, Progress, step::evaluate::matched_scores};

pub use ellipse::{ELLIPSE_SHARE, FEATURES, centre_ellipse, ellipse_colours};

/// Pictures read at a time.
const CHUNK: usize = 64;

/// How the ellipse of each picture gets its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EllipseControl {
    /// The same cluster in every picture.
    SingleCluster,
    /// A random cluster in each picture, all of about the same size.
    RandomCluster,
    /// k-means, as many clusters as classes, of the mean and the standard deviation of the
    /// colours within the ellipse ([`ellipse_colours`]).
    ColourClusters,
}

impl EllipseControl {
    /// The name on the command line and in `metrics.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleCluster => "single_cluster",
            Self::RandomCluster => "random_cluster",
            Self::ColourClusters => "colour_clusters",
        }
    }
}

/// Scores controls on the validation pictures by the fully unsupervised protocol: clusters are
/// fitted there, matched to the classes there, and evaluated there, in one pass over the masks.
///
/// # Errors
///
/// [`Error::Data`] for a picture or mask that cannot be read, [`Error::TooFewPictures`] when colour
/// clusters outnumber the pictures, [`Error::Metrics`] when there is no picture at all.
///
/// # Panics
///
/// If the validation pictures have no masks.
pub fn score(context: &Context, controls: &[EllipseControl]) -> Result<Vec<Report>, Error> {
    let samples = context.data.samples(Split::Validation);
    let clusters = |&control: &EllipseControl| Ok((control.name(), clusters_of(context, control)?));
    let clusters = controls.iter().map(clusters);
    let clusters = clusters.collect::<Result<Vec<_>, Error>>()?;
    let total = samples.len() as u64;
    let mut progress = Progress::new(context.verbosity, "score controls", total, "pictures");
    let truth = |index: usize| context.truth(&samples[index]);
    let classes = context.data.classes();
    let reports = evaluate(&clusters, classes, samples.len(), truth, &mut progress)?;
    progress.finish();
    Ok(reports)
}

/// The cluster of each validation picture, from 1.
fn clusters_of(context: &Context, control: EllipseControl) -> Result<Vec<u16>, Error> {
    let samples = context.data.samples(Split::Validation);
    let (classes, seed) = (context.data.classes(), context.file.seed);
    Ok(match control {
        EllipseControl::SingleCluster => vec![1; samples.len()],
        EllipseControl::RandomCluster => random_clusters(samples.len(), classes, seed),
        EllipseControl::ColourClusters => {
            let total = samples.len() as u64;
            let mut progress = Progress::new(context.verbosity, control.name(), total, "pictures");
            let colours = colours_of(samples, context.file.data.odd_pictures, &mut progress)?;
            progress.finish();
            colour_clusters(&colours, classes, seed)?
        }
    })
}

/// A cluster from 1 to `clusters` for each of `pictures`: the ranks of a random permutation, dealt
/// out in turn, so that no cluster is more than one picture larger than another.
pub fn random_clusters(pictures: usize, clusters: u16, seed: u64) -> Vec<u16> {
    let ranks = permutation(pictures, seed, 0).into_iter();
    ranks
        .map(|rank| 1 + (rank % usize::from(clusters)) as u16)
        .collect()
}

/// The k-means cluster, from 1 to `clusters`, of each picture's colours.
///
/// # Errors
///
/// [`Error::TooFewPictures`] with fewer pictures than clusters.
pub fn colour_clusters(
    colours: &[[f32; FEATURES]],
    clusters: u16,
    seed: u64,
) -> Result<Vec<u16>, Error> {
    if colours.len() < usize::from(clusters) {
        return Err(Error::TooFewPictures {
            step: EllipseControl::ColourClusters.name(),
            pictures: colours.len(),
            what: "clusters",
            needed: clusters.into(),
            remedy: "leave this control out".into(),
        });
    }
    let points = Array2::from_shape_fn((colours.len(), FEATURES), |(i, j)| colours[i][j]);
    let config = KMeansConfig {
        seed,
        ..KMeansConfig::new(clusters.into())
    };
    let run = kmeans::fit(points.view(), &config)?;
    Ok(run
        .assignments
        .into_iter()
        .map(|cluster| cluster as u16 + 1)
        .collect())
}

/// Matches the ellipses of the pictures to the classes and evaluates them, those of each named list of
/// `clusters`; `truth` reads the mask of a picture.
fn evaluate(
    clusters: &[(&str, Vec<u16>)],
    classes: u16,
    pictures: usize,
    truth: impl Fn(usize) -> Result<LabelMask, Error> + Sync,
    progress: &mut Progress,
) -> Result<Vec<Report>, Error> {
    let names: Vec<&str> = clusters.iter().map(|(name, _)| *name).collect();
    let ellipse = |name: &str, index: usize, truth: &LabelMask| {
        let of = clusters.iter().find(|(of, _)| *of == name);
        let (_, of) = of.expect("asked only for what was named");
        let (width, height) = truth.size();
        Ok(centre_ellipse(width, height, ELLIPSE_SHARE, of[index]))
    };
    matched_scores(&names, classes, pictures, truth, ellipse, progress)
}

fn colours_of(
    samples: &[Sample],
    odd: OddPictures,
    progress: &mut Progress,
) -> Result<Vec<[f32; FEATURES]>, Error> {
    let colours = |sample: &Sample| {
        let picture = sample.read_picture(odd)?;
        Ok::<_, Error>(ellipse_colours(&picture, ELLIPSE_SHARE))
    };
    let mut all = Vec::with_capacity(samples.len());
    for chunk in samples.chunks(CHUNK) {
        all.extend(
            chunk
                .par_iter()
                .map(colours)
                .collect::<Result<Vec<_>, _>>()?,
        );
        progress.advance(chunk.len() as u64);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Verbosity;
    use imagenet_s::{Dataset, read_mask};

    fn progress() -> Progress {
        Progress::new(Verbosity::Quiet, "control", 0, "images")
    }

    #[test]
    fn random_clusters_are_balanced_and_repeatable() {
        let clusters = random_clusters(23, 5, 7);
        assert_eq!(clusters, random_clusters(23, 5, 7));
        assert_ne!(clusters, random_clusters(23, 5, 8));
        for cluster in 1..=5 {
            let size = clusters.iter().filter(|&&id| id == cluster).count();
            assert!(
                (4..=5).contains(&size),
                "cluster {cluster} has {size} pictures"
            );
        }
    }

    #[test]
    fn pictures_of_one_colour_share_a_cluster() {
        let colour =
            |i: usize| [[0.1; 6], [0.5; 6], [0.9; 6]][i % 3].map(|c: f32| c + i as f32 * 1e-4);
        let colours: Vec<_> = (0..11).map(colour).collect();
        let clusters = colour_clusters(&colours, 3, 1).unwrap();
        assert!(
            (3..11).all(|i| clusters[i] == clusters[i - 3]),
            "{clusters:?}"
        );
        assert!(clusters[0] != clusters[1] && clusters[1] != clusters[2]);
        assert!(clusters.iter().all(|id| (1..=3).contains(id)));
    }

    #[test]
    fn fewer_pictures_than_clusters_are_refused() {
        let error = colour_clusters(&[[0.5; 6]; 4], 7, 1).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooFewPictures {
                    pictures: 4,
                    needed: 7,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn ellipses_in_the_right_clusters_score_one_when_the_truth_is_an_ellipse() {
        let clusters = [("right", vec![2, 3, 1, 2, 1]), ("wrong", vec![1; 5])];
        let reads = AtomicUsize::new(0);
        let truth = |i: usize| {
            reads.fetch_add(1, Ordering::Relaxed);
            Ok(centre_ellipse(13, 9, ELLIPSE_SHARE, [3, 1, 2, 3, 2][i]))
        };
        let reports = evaluate(&clusters, 3, 5, truth, &mut progress()).unwrap();
        let right = &reports[0];
        assert_eq!(
            (right.miou, right.image_accuracy, right.images),
            (Some(1.0), Some(1.0), 5)
        );
        // The one cluster is one of the two frequent classes, in two of five pictures.
        assert_eq!(reports[1].image_accuracy, Some(0.4));
        assert_eq!(reads.into_inner(), 5, "a truth is read once for all");
    }

    /// The floors that the README of these sets gives, measured by another implementation with its
    /// own ellipse and colour features. Ours is 17 to 19 % and 38 % for six seeds, hence the
    /// tolerance.
    #[test]
    #[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
    fn colour_clusters_reach_the_known_floors_of_the_shared_pictures() {
        for (name, floor_percent) in [("cloth10", 16.6), ("eth80", 34.0)] {
            let root = golden::shared("data").join(name);
            let found = 100.0 * floor(&Dataset::open(&root).unwrap());
            let distance = (found - floor_percent).abs();
            assert!(
                distance < 6.0,
                "{name}: {found:.1} %, expected about {floor_percent} %"
            );
        }
    }

    fn floor(data: &Dataset) -> f64 {
        let samples = data.samples(Split::Validation);
        let colours = colours_of(samples, OddPictures::Refuse, &mut progress()).unwrap();
        let clusters = colour_clusters(&colours, data.classes(), 0).unwrap();
        let truth = |i: usize| Ok(read_mask(samples[i].mask.as_ref().unwrap())?);
        let clusters = [("colour_clusters", clusters)];
        let reports = evaluate(
            &clusters,
            data.classes(),
            samples.len(),
            truth,
            &mut progress(),
        );
        reports.unwrap()[0].miou.unwrap()
    }
}
