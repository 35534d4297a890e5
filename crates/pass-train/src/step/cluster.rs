//! Step 2.2, clustering: k-means of the attention-pooled embeddings of the training pictures.

use std::time::Instant;

use imagenet_s::Split;
use ndarray::Array2;
use pixel_attention::{
    attention_net::AttentionNet,
    centroids::write_centroids,
    cluster_report::RestartEntry,
    kmeans::{KMeans, KMeansConfig, Run, normalize_rows},
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    cluster_report::{StoredReport, describe},
    inference::{Shape, for_each_batch},
    step::attention::tuned_net,
};

/// What the step leaves in `done/cluster.json`: the winning run, and how it agrees with the folder
/// names, which it never saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterSummary {
    /// Sum of squared distances to the centroids.
    pub inertia: f64,
    /// Pictures in each cluster.
    pub sizes: Vec<usize>,
    /// `K Σ n_k² / N²`: 1 for clusters of equal size, K when one of K holds everything.
    pub imbalance: f64,
    /// Mean NMI of the other restarts with the winning one, when there are others.
    pub stability: Option<f64>,
    /// Normalised mutual information with the folders, when pictures lie in folders.
    pub nmi: Option<f64>,
    /// One-to-one matched accuracy against the folders.
    pub accuracy: Option<f64>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs step 2.2 on the weights of step 2.1 and leaves `cluster/centroids.npy`,
/// `cluster/assignments.json` and `cluster/report.json`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.1, [`Error::TooFewPictures`] for fewer pictures than
/// classes; else from data, k-means or the disk.
pub fn cluster(context: &Context) -> Result<ClusterSummary, Error> {
    let started = Instant::now();
    context.run.begin(Step::Cluster)?;
    let mut net = tuned_net(context, Step::Cluster)?;
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
    let points = embeddings(context, &mut net)?;
    let section = &context.file.cluster;
    let config = KMeansConfig {
        iterations: section.iterations,
        restarts: section.restarts,
        seed: context.file.seed,
        ..KMeansConfig::new(clusters)
    };
    let mut runs = Vec::new();
    let run = KMeans::new(&points.view(), &config)?.best(|run| runs.push(run.clone()))?;
    let compared = |other: &Run| RestartEntry::new(other, &run.assignments);
    let restarts = runs.iter().map(compared).collect();
    context.run.make_room_for(&context.run.centroids())?;
    write_centroids(&context.run.centroids(), run.centroids.view())?;
    write_assignments(context, &run.assignments)?;
    let report = describe(context, &points.view(), &run, restarts)?;
    context
        .run
        .write_json(&context.run.cluster_report(), &report)?;
    let summary = summarize(&report, started.elapsed().as_secs_f64());
    context.run.finish(Step::Cluster, &summary)?;
    Ok(summary)
}

/// The L2-normalised, attention-pooled embedding of every training picture.
fn embeddings(context: &Context, net: &mut AttentionNet) -> Result<Array2<f32>, Error> {
    let section = &context.file.cluster;
    let shape = Shape::Center(section.resize, section.crop);
    let mut values: Vec<f32> = Vec::new();
    let mut width = 0;
    for_each_batch(
        context,
        "embed",
        Split::Train,
        shape,
        section.batch,
        |_, pictures| {
            let pooled = net.cluster_embedding(pictures);
            width = pooled.dims()[1];
            values.extend(pooled.into_data().iter::<f32>());
            Ok(())
        },
    )?;
    let shape = (values.len() / width, width);
    let mut points = Array2::from_shape_vec(shape, values).expect("whole rows were pushed");
    normalize_rows(&mut points);
    Ok(points)
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

fn summarize(report: &StoredReport, seconds: f64) -> ClusterSummary {
    ClusterSummary {
        inertia: report.inertia,
        sizes: report.clusters.iter().map(|cluster| cluster.size).collect(),
        imbalance: report.imbalance,
        stability: report.stability,
        nmi: report.folders.map(|folders| folders.nmi),
        accuracy: report.folders.map(|folders| folders.accuracy),
        seconds,
    }
}
