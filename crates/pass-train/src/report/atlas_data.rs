//! Gathers the atlas of a run: the numbers of `cluster/report.json`, the pictures it names, their
//! pseudo labels from the label store.

use std::{collections::HashMap, sync::Mutex};

use imagenet_s::{Sample, Split};
use luss_metrics::Matching;
use pixel_attention::label_store::LabelStore;
use rayon::prelude::*;

use crate::{
    Context, Error, Progress, Step,
    cluster_report::{NearPicture, StoredCluster, StoredReport},
    report::{Atlas, AtlasCluster, AtlasPicture, drawn_labels},
    step::{labels::ensure_store, threshold::chosen_threshold},
};

/// The atlas; `matching` names the clusters, unless nothing was matched.
pub(crate) fn atlas(context: &Context, matching: Option<&Matching>) -> Result<Atlas, Error> {
    let report: StoredReport = context.run.read_json(&context.run.cluster_report())?;
    let samples = context.data.samples(Split::Train).iter();
    let drawing = Drawing {
        context,
        samples: samples.map(|s| (s.key.as_str(), s)).collect(),
        store: ensure_store(context, Step::Evaluate, Split::Train)?,
        threshold: chosen_threshold(context)?,
        matching: matching.cloned(),
        identity: Matching::identity(context.data.classes()),
    };
    let total = report.clusters.len() as u64;
    let progress = Progress::new(context.verbosity, "atlas", total, "clusters");
    let progress = Mutex::new(progress);
    let drawn = |cluster: &StoredCluster| {
        let drawn = drawing.cluster(cluster);
        progress.lock().expect("no thread panicked").advance(1);
        drawn
    };
    let clusters = report.clusters.par_iter().map(drawn);
    let clusters = clusters.collect::<Result<Vec<_>, Error>>()?;
    progress.into_inner().expect("no thread panicked").finish();
    Ok(Atlas {
        facts: facts(&report),
        clusters,
    })
}

/// What a cluster is drawn with.
struct Drawing<'a> {
    context: &'a Context,
    samples: HashMap<&'a str, &'a Sample>,
    store: LabelStore,
    threshold: f32,
    matching: Option<Matching>,
    identity: Matching,
}

impl Drawing<'_> {
    fn cluster(&self, cluster: &StoredCluster) -> Result<AtlasCluster, Error> {
        let pictures = cluster.nearest.iter().map(|near| self.picture(near));
        let folder = cluster.largest_folder.as_ref();
        Ok(AtlasCluster {
            id: cluster.id,
            class: self.matching.as_ref().map(|m| m.class_of(cluster.id)),
            size: cluster.size,
            mean_squared_distance: cluster.mean_squared_distance,
            folder: folder.map(|folder| {
                let share = folder.pictures as f64 / cluster.size as f64;
                (folder.name.clone(), share)
            }),
            pictures: pictures.collect::<Result<_, _>>()?,
        })
    }

    fn picture(&self, near: &NearPicture) -> Result<AtlasPicture, Error> {
        let sample = self.samples.get(near.key.as_str());
        let sample = sample.ok_or_else(|| Error::Damaged {
            path: self.context.run.cluster_report(),
            cause: format!("{} is no training image of this run", near.key),
        })?;
        let picture = sample.read_picture(self.context.file.data.odd_pictures)?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let labels = self.store.get(&near.key)?;
        let labels = labels.to_mask(width, height, self.threshold);
        let matching = self.matching.as_ref().unwrap_or(&self.identity);
        let drawn = drawn_labels(&labels, matching);
        Ok(AtlasPicture::new(
            &near.key,
            &picture,
            &drawn,
            near.squared_distance,
        ))
    }
}

fn facts(report: &StoredReport) -> Vec<(String, String)> {
    let mut sizes: Vec<usize> = report.clusters.iter().map(|c| c.size).collect();
    sizes.sort_unstable();
    let (least, median, most) = (sizes[0], sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    let mut facts = vec![
        (
            "clusters",
            format!("{} of {} images", sizes.len(), report.pictures),
        ),
        (
            "smallest, median, largest",
            format!("{least}, {median}, {most} images"),
        ),
        ("inertia", format!("{:.4}", report.inertia)),
        (
            "imbalance K Σ n² / N² (1 = equal sizes)",
            format!("{:.3}", report.imbalance),
        ),
        (
            "normalised entropy of the sizes (1 = equal)",
            format!("{:.3}", report.normalized_entropy),
        ),
    ];
    if report.empty_clusters > 0 {
        facts.push(("empty clusters", report.empty_clusters.to_string()));
    }
    facts.extend(restart_fact(report));
    if let Some(folders) = report.folders {
        let (nmi, accuracy) = (folders.nmi, 100.0 * folders.accuracy);
        facts.push((
            "against the folders, never seen",
            format!("NMI {nmi:.3}, accuracy {accuracy:.1} %"),
        ));
    }
    let owned = facts.into_iter();
    owned.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// How far the other restarts agree with the best one.
fn restart_fact(report: &StoredReport) -> Option<(&'static str, String)> {
    let stability = report.stability?;
    let others = report.restarts.iter();
    let others = others.filter(|entry| entry.restart != report.best_restart);
    let agreements: Vec<f64> = others.map(|entry| entry.nmi_with_best).collect();
    let least = agreements.iter().copied().fold(1.0f64, f64::min);
    let value = match agreements.len() {
        1 => format!("{stability:.3} (one other)"),
        count => format!("{stability:.3} (least {least:.3} of {count})"),
    };
    Some(("stability: mean NMI of other restarts with the best", value))
}
