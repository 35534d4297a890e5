//! Step 2.2, clustering: k-means of the attention-pooled embeddings of the training pictures.

use std::time::Instant;

use imagenet_s::Split;
use pixel_attention::{
    centroids::write_centroids,
    kmeans::{self, KMeansConfig, Run, device::Plan},
    rows::Rows,
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    cluster_report::{StoredReport, describe},
    ranks::{done_by_first, first_then_others},
    run_file::LabelWay,
    step::{
        embeddings::{FirstRows, PictureMeans, embeddings, own_part, rows_each, with_rows},
        objects::clustered::first_rows,
        restarts::{best_restart, compared_with, run_restarts},
    },
    watch::findings,
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
    /// How the device computed; nothing when k-means ran on the host.
    #[serde(default)]
    pub device: Option<Plan>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs step 2.2 on the weights of step 2.1 and leaves `cluster/embeddings.npy`,
/// `cluster/centroids.npy`, `cluster/assignments.json` and `cluster/report.json`.
///
/// A killed process is followed by one that goes on with the next batch of pictures, or with the
/// next restart, and ends with the same bits. Several ranks compute the embeddings, in turn, and
/// cluster; the first writes.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.1, [`Error::TooFewPictures`] for fewer pictures than
/// classes; else from data, k-means or the disk.
pub fn cluster(context: &Context) -> Result<ClusterSummary, Error> {
    let started = Instant::now();
    let ranks = &context.ranks;
    done_by_first(ranks, || begin(context))?;
    let points = embeddings(context)?;
    let section = &context.file.cluster;
    let config = KMeansConfig {
        iterations: section.iterations,
        restarts: section.restarts,
        seed: context.file.seed,
        metric: section.metric,
        ..KMeansConfig::new(usize::from(context.data.classes()))
    };
    let own = own_part(&points, ranks);
    with_rows(&own, section.memory_mib, |own| {
        let device = run_restarts(context, own, &config)?;
        first_then_others(ranks, || match (ranks.rank(), ranks.size()) {
            (0, 1) => leave(context, own, device, started),
            (0, _) => leave(context, &points, device, started),
            _ => context.run.summary(Step::Cluster),
        })
    })
}

fn begin(context: &Context) -> Result<(), Error> {
    context.run.begin(Step::Cluster)?;
    let clusters = usize::from(context.data.classes());
    let pictures = context.data.samples(Split::Train).len();
    if pictures < clusters {
        return Err(Error::TooFewPictures {
            step: Step::Cluster.name(),
            pictures,
            what: "clusters:",
            needed: clusters,
            remedy: "add pictures or ask for fewer classes".into(),
        });
    }
    Ok(())
}

/// Writes what the best of the restarts found among `rows`, which are all.
fn leave(
    context: &Context,
    rows: &dyn Rows,
    device: Option<Plan>,
    started: Instant,
) -> Result<ClusterSummary, Error> {
    let restarts = context.file.cluster.restarts;
    let run = best_restart(context, restarts)?;
    let pictures = context.data.samples(Split::Train).len();
    let (run, report) = match (context.file.cluster.way, rows_each(context)) {
        _ if rows.count() == pictures => described(context, rows, run, restarts),
        (LabelWay::Objects, _) => {
            let firsts = first_rows(context)?;
            described_by_pictures(context, &FirstRows { rows, firsts }, run)
        }
        (_, each) => described_by_pictures(context, &PictureMeans { rows, each }, run),
    }?;
    context.run.make_room_for(&context.run.centroids())?;
    write_centroids(&context.run.centroids(), run.centroids.view())?;
    write_assignments(context, &run.assignments)?;
    context
        .run
        .write_json(&context.run.cluster_report(), &report)?;
    let summary = summarize(&report, device, started.elapsed().as_secs_f64());
    findings::tell(
        context,
        &findings::of_clusters(&summary.sizes, summary.stability),
    );
    context.run.finish(Step::Cluster, &summary)?;
    Ok(summary)
}

/// The run, and what its clusters and restarts are like.
fn described(
    context: &Context,
    rows: &dyn Rows,
    run: Run,
    restarts: usize,
) -> Result<(Run, StoredReport), Error> {
    let restarts = compared_with(context, &run, restarts)?;
    let report = describe(context, rows, &run, restarts)?;
    Ok((run, report))
}

/// The same where a picture has several rows: it belongs to the cluster of the one that stands for it.
/// Restarts assign rows, so they are not compared.
fn described_by_pictures(
    context: &Context,
    pictures: &dyn Rows,
    run: Run,
) -> Result<(Run, StoredReport), Error> {
    let assignments = kmeans::assign(pictures, run.centroids.view())?;
    let run = Run { assignments, ..run };
    let report = describe(context, pictures, &run, Vec::new())?;
    Ok((run, report))
}

/// The id of each picture's cluster as in label masks, from 1.
fn write_assignments(context: &Context, assignments: &[u32]) -> Result<(), Error> {
    let samples = context.data.samples(Split::Train);
    let table: std::collections::BTreeMap<&str, u32> = samples
        .iter()
        .map(|sample| sample.key.as_str())
        .zip(assignments.iter().map(|cluster| cluster + 1))
        .collect();
    let path = context.run.step_dir(Step::Cluster).join("assignments.json");
    context.run.write_json(&path, &table)
}

fn summarize(report: &StoredReport, device: Option<Plan>, seconds: f64) -> ClusterSummary {
    ClusterSummary {
        inertia: report.inertia,
        sizes: report.clusters.iter().map(|cluster| cluster.size).collect(),
        imbalance: report.imbalance,
        stability: report.stability,
        nmi: report.folders.map(|folders| folders.nmi),
        accuracy: report.folders.map(|folders| folders.accuracy),
        device,
        seconds,
    }
}
