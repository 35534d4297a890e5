//! `cluster/report.json`: what the clusters of step 2.2 are like.

use std::collections::BTreeMap;

use imagenet_s::{Sample, Split};
use luss_metrics::{cluster_accuracy, normalized_mutual_information};
use pixel_attention::{
    cluster_report::{ClusterEntry, ClusterReport, NearPoint, RestartEntry, stability},
    kmeans::Run,
    rows::Rows,
};
use serde::{Deserialize, Serialize};

use crate::{Context, Error};

/// Version of the file; another number means that fields have changed their meaning.
const SCHEMA: u32 = 1;

/// Nearest pictures that are kept of each cluster.
const NEAREST: usize = 6;

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReport {
    /// Version of the file: 1.
    pub schema: u32,
    /// Training pictures N.
    pub pictures: usize,
    /// Sum of the squared distances to the centroids.
    pub inertia: f64,
    /// `K Σ n_k² / N²`: 1 for K clusters of equal size, K when one holds everything.
    pub imbalance: f64,
    /// `−Σ p_k ln p_k / ln K`, `p_k = n_k / N`: 1 for equal sizes, 0 when one holds everything.
    pub normalized_entropy: f64,
    /// Clusters without pictures.
    pub empty_clusters: usize,
    /// The restart that won, from 0.
    pub best_restart: usize,
    /// Mean NMI of the other restarts with the best one; `null` for a single restart.
    pub stability: Option<f64>,
    /// Every restart.
    pub restarts: Vec<RestartEntry>,
    /// Agreement with the folders, which the clustering never saw; `null` for loose pictures.
    pub folders: Option<FolderAgreement>,
    /// Every cluster, by its index.
    pub clusters: Vec<StoredCluster>,
}

/// How clusters and folders agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FolderAgreement {
    /// Folders that hold training pictures.
    pub folders: usize,
    /// Normalised mutual information, `0..=1`.
    pub nmi: f64,
    /// Share of pictures under the best one-to-one pairing of clusters and folders.
    pub accuracy: f64,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCluster {
    /// Its row in `centroids.npy`, from 0.
    pub cluster: usize,
    /// Its id in label masks and in `assignments.json`: the row plus 1.
    pub id: u16,
    /// Pictures in it.
    pub size: usize,
    /// Sum of their squared distances to the centroid.
    pub inertia: f64,
    /// Their mean; `null` for an empty cluster.
    pub mean_squared_distance: Option<f64>,
    /// The folder that most of them lie in, the first of equals.
    pub largest_folder: Option<FolderShare>,
    /// Those nearest to the centroid, the nearest first.
    pub nearest: Vec<NearPicture>,
}

/// The pictures of a cluster that lie in one folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FolderShare {
    /// The folder.
    pub name: String,
    /// How many.
    pub pictures: usize,
}

/// A picture near a centroid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearPicture {
    /// Its key.
    pub key: String,
    /// Squared distance to the centroid.
    pub squared_distance: f64,
}

/// Describes the winning `run` on the embeddings `rows` of the training pictures.
///
/// # Errors
///
/// Rows that cannot be read.
pub(crate) fn describe(
    context: &Context,
    rows: &dyn Rows,
    run: &Run,
    restarts: Vec<RestartEntry>,
) -> Result<StoredReport, Error> {
    let samples = context.data.samples(Split::Train);
    let report = ClusterReport::new(rows, run.centroids.view(), &run.assignments, NEAREST)?;
    let mut folders = folders_of_clusters(samples, run).into_iter();
    let clusters = report.clusters.iter().enumerate();
    Ok(StoredReport {
        schema: SCHEMA,
        pictures: report.points,
        inertia: run.inertia,
        imbalance: report.imbalance,
        normalized_entropy: report.normalized_entropy,
        empty_clusters: report.empty,
        best_restart: run.restart,
        stability: stability(&restarts, run.restart),
        restarts,
        folders: agreement(samples, run),
        clusters: clusters
            .map(|(index, entry)| {
                let largest_folder = folders.next().and_then(|folders| largest(&folders));
                stored(index, entry, largest_folder, samples)
            })
            .collect(),
    })
}

fn stored(
    index: usize,
    entry: &ClusterEntry,
    largest_folder: Option<FolderShare>,
    samples: &[Sample],
) -> StoredCluster {
    let near = |point: &NearPoint| NearPicture {
        key: samples[point.row].key.clone(),
        squared_distance: point.squared_distance,
    };
    StoredCluster {
        cluster: index,
        id: u16::try_from(index + 1).expect("at most 999 clusters"),
        size: entry.size,
        inertia: entry.inertia,
        mean_squared_distance: entry.mean_squared_distance(),
        largest_folder,
        nearest: entry.nearest.iter().map(near).collect(),
    }
}

/// None where a picture lies in no folder.
fn agreement(samples: &[Sample], run: &Run) -> Option<FolderAgreement> {
    let folders: Option<Vec<u32>> = samples.iter().map(|sample| sample.folder).collect();
    let folders = folders?;
    Some(FolderAgreement {
        folders: folders
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        nmi: normalized_mutual_information(&run.assignments, &folders),
        accuracy: cluster_accuracy(&run.assignments, &folders),
    })
}

/// For each cluster how many of its pictures lie in which folder.
fn folders_of_clusters<'a>(samples: &'a [Sample], run: &Run) -> Vec<BTreeMap<&'a str, usize>> {
    let mut folders = vec![BTreeMap::new(); run.centroids.nrows()];
    for (sample, &cluster) in samples.iter().zip(&run.assignments) {
        // A loose picture has no slash in its key.
        if let Some((folder, _)) = sample.key.split_once('/') {
            *folders[cluster as usize].entry(folder).or_default() += 1;
        }
    }
    folders
}

fn largest(folders: &BTreeMap<&str, usize>) -> Option<FolderShare> {
    let most = folders.values().copied().max()?;
    let (name, &pictures) = folders.iter().find(|&(_, &count)| count == most)?;
    Some(FolderShare {
        name: (*name).to_owned(),
        pictures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equally_frequent_folders_the_first_is_named() {
        let folders = BTreeMap::from([("b", 3), ("a", 3), ("c", 1)]);
        let share = largest(&folders).unwrap();
        assert_eq!((share.name.as_str(), share.pictures), ("a", 3));
        assert_eq!(largest(&BTreeMap::new()), None);
    }

    #[test]
    fn loose_pictures_lie_in_no_folder_and_agree_with_none() {
        let sample = |key: &str, folder| Sample::of_file(key, "x.jpg", folder);
        let run = Run {
            centroids: ndarray::Array2::zeros((2, 1)),
            assignments: vec![1, 1, 0],
            inertia: 1.0,
            iterations: 1,
            restart: 0,
            history: vec![1.0],
        };
        let mut samples = vec![
            sample("cat/1", Some(0)),
            sample("cat/old/2", Some(0)),
            sample("dog/1", Some(1)),
        ];
        let agreement_of = |samples: &[Sample]| agreement(samples, &run);
        let found = agreement_of(&samples).unwrap();
        assert_eq!((found.folders, found.nmi, found.accuracy), (2, 1.0, 1.0));
        samples[2] = sample("loose", None);
        assert_eq!(agreement_of(&samples), None);
        let folders = folders_of_clusters(&samples, &run);
        assert_eq!(folders, [BTreeMap::new(), BTreeMap::from([("cat", 2)])]);
    }
}
