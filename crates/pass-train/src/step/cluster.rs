//! Step 2.2, clustering: k-means of the attention-pooled embeddings of the training pictures.

use std::time::Instant;

use imagenet_s::Split;
use luss_metrics::{cluster_accuracy, normalized_mutual_information};
use ndarray::Array2;
use pixel_attention::{
    attention_net::AttentionNet,
    centroids::write_centroids,
    kmeans::{KMeansConfig, Run, device::Plan, normalize_rows},
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
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

/// Runs step 2.2 on the weights of step 2.1 and leaves `cluster/centroids.npy` and
/// `cluster/assignments.json`.
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
    let points = points.view();
    let kmeans = context.kmeans(&points, &config)?;
    let run = kmeans.best(|_| ())?;
    context.run.make_room_for(&context.run.centroids())?;
    write_centroids(&context.run.centroids(), run.centroids.view())?;
    write_assignments(context, &run.assignments)?;
    let device = kmeans.device_plan();
    let summary = summarize(context, &run, device, started.elapsed().as_secs_f64());
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

fn summarize(context: &Context, run: &Run, device: Option<Plan>, seconds: f64) -> ClusterSummary {
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
        device,
        seconds,
    }
}
