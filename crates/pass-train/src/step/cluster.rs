//! Step 2.2, clustering: k-means of the attention-pooled embeddings of the training pictures.

use std::time::Instant;

use imagenet_s::Split;
use luss_metrics::{cluster_accuracy, normalized_mutual_information};
use pixel_attention::{
    centroids::write_centroids,
    kmeans::{self, KMeansConfig},
    rows::Rows,
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    step::{
        embeddings::{PictureMeans, embeddings, rows_each, with_rows},
        restarts::best_restart,
    },
};

/// What the step leaves in `done/cluster.json`: the winning run, and how it agrees with the folder
/// names, which it never saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterSummary {
    /// Sum of squared distances to the centroids.
    pub inertia: f64,
    /// Pictures in each cluster.
    pub sizes: Vec<usize>,
    /// Normalised mutual information with the folders, when pictures lie in folders.
    pub nmi: Option<f64>,
    /// One-to-one matched accuracy against the folders.
    pub accuracy: Option<f64>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs step 2.2 on the weights of step 2.1 and leaves `cluster/embeddings.npy`,
/// `cluster/centroids.npy` and `cluster/assignments.json`.
///
/// A killed process is followed by one that goes on with the next batch of pictures, or with the
/// next restart, and ends with the same bits.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.1, [`Error::TooFewPictures`] for fewer pictures than
/// classes; else from data, k-means or the disk.
pub fn cluster(context: &Context) -> Result<ClusterSummary, Error> {
    let started = Instant::now();
    context.run.require(Step::Cluster, Step::TuneAttention)?;
    context.run.begin(Step::Cluster)?;
    let clusters = usize::from(context.data.classes());
    let pictures = context.data.samples(Split::Train).len();
    if pictures < clusters {
        return Err(Error::TooFewPictures {
            step: Step::Cluster.name(),
            pictures,
            what: "clusters:",
            needed: clusters,
            remedy: "add pictures or ask for fewer classes",
        });
    }
    let points = embeddings(context)?;
    let section = &context.file.cluster;
    let config = KMeansConfig {
        iterations: section.iterations,
        restarts: section.restarts,
        seed: context.file.seed,
        ..KMeansConfig::new(clusters)
    };
    let run = with_rows(&points, section.memory_mib, |rows| {
        let run = best_restart(context, rows, &config)?;
        of_pictures(run, rows, rows_each(context))
    })?;
    context.run.make_room_for(&context.run.centroids())?;
    write_centroids(&context.run.centroids(), run.centroids.view())?;
    write_assignments(context, &run.assignments)?;
    let summary = summarize(context, &run, started.elapsed().as_secs_f64());
    context.run.finish(Step::Cluster, &summary)?;
    Ok(summary)
}

/// The run with one assignment for each picture, also where each has several rows: that of their
/// mean.
fn of_pictures(run: kmeans::Run, rows: &dyn Rows, each: usize) -> Result<kmeans::Run, Error> {
    if each == 1 {
        return Ok(run);
    }
    let assignments = kmeans::assign(&PictureMeans { rows, each }, run.centroids.view())?;
    Ok(kmeans::Run { assignments, ..run })
}

fn write_assignments(context: &Context, assignments: &[u32]) -> Result<(), Error> {
    let samples = context.data.samples(Split::Train);
    let table: std::collections::BTreeMap<&str, u32> = samples
        .iter()
        .map(|sample| sample.key.as_str())
        .zip(assignments.iter().copied())
        .collect();
    let path = context.run.step_dir(Step::Cluster).join("assignments.json");
    context.run.write_json(&path, &table)
}

fn summarize(context: &Context, run: &kmeans::Run, seconds: f64) -> ClusterSummary {
    let mut sizes = vec![0; run.centroids.nrows()];
    for &cluster in &run.assignments {
        sizes[cluster as usize] += 1;
    }
    let folders: Option<Vec<u32>> = context
        .data
        .samples(Split::Train)
        .iter()
        .map(|sample| sample.folder)
        .collect();
    let folders = folders.as_deref();
    ClusterSummary {
        inertia: run.inertia,
        sizes,
        nmi: folders.map(|folders| normalized_mutual_information(&run.assignments, folders)),
        accuracy: folders.map(|folders| cluster_accuracy(&run.assignments, folders)),
        seconds,
    }
}
