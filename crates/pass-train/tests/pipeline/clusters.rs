//! What a run says about its clusters and its training, against the files it is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use luss_metrics::{cluster_accuracy, normalized_mutual_information};
use pass_train::{cluster_report::StoredReport, log::read_log};
use serde::de::DeserializeOwned;

use crate::tiny_run::reference;

fn read<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn report(root: &Path) -> StoredReport {
    read(&root.join("cluster/report.json"))
}

fn assignments(root: &Path) -> BTreeMap<String, u32> {
    read(&root.join("cluster/assignments.json"))
}

#[test]
fn the_cluster_report_agrees_with_the_assignments() {
    let root = reference();
    let (report, assignments) = (report(root), assignments(root));
    assert_eq!(
        (report.schema, report.pictures, report.clusters.len()),
        (1, 24, 3)
    );
    for (index, cluster) in report.clusters.iter().enumerate() {
        let members: BTreeSet<&String> = assignments
            .iter()
            .filter(|(_, cluster)| **cluster as usize == index + 1)
            .map(|(key, _)| key)
            .collect();
        assert_eq!(cluster.size, members.len());
        assert_eq!(
            (cluster.cluster, usize::from(cluster.id)),
            (index, index + 1)
        );
        assert_eq!(cluster.nearest.len(), members.len().min(6));
        assert!(
            cluster
                .nearest
                .iter()
                .all(|near| members.contains(&near.key))
        );
        let distances: Vec<f64> = cluster.nearest.iter().map(|n| n.squared_distance).collect();
        assert!(distances.is_sorted(), "{distances:?}");
        let largest = cluster.largest_folder.as_ref().unwrap();
        let prefix = format!("{}/", largest.name);
        let in_it = members.iter().filter(|key| key.starts_with(&prefix));
        assert_eq!(largest.pictures, in_it.count());
    }
    let squares: usize = report.clusters.iter().map(|c| c.size * c.size).sum();
    assert_eq!(report.imbalance, 3.0 * squares as f64 / (24.0 * 24.0));
    let inertia: f64 = report.clusters.iter().map(|c| c.inertia).sum();
    assert!(
        (inertia - report.inertia).abs() < 1e-5 * inertia,
        "{inertia}"
    );
}

#[test]
fn the_cluster_report_compares_restarts_and_folders() {
    let root = reference();
    let (report, assignments) = (report(root), assignments(root));
    let best = &report.restarts[report.best_restart];
    assert_eq!((report.restarts.len(), best.nmi_with_best), (2, 1.0));
    assert!(
        report
            .restarts
            .iter()
            .all(|entry| entry.inertia >= report.inertia)
    );
    let other = &report.restarts[1 - report.best_restart];
    assert_eq!(report.stability, Some(other.nmi_with_best));

    let clusters: Vec<u32> = assignments.values().copied().collect();
    let names: Vec<&str> = assignments
        .keys()
        .map(|key| key.split_once('/').unwrap().0)
        .collect();
    let known: Vec<&str> = names
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let folders: Vec<u32> = names
        .iter()
        .map(|name| known.binary_search(name).unwrap() as u32)
        .collect();
    let agreement = report.folders.unwrap();
    assert_eq!(agreement.folders, known.len());
    assert!((agreement.nmi - normalized_mutual_information(&clusters, &folders)).abs() < 1e-12);
    assert_eq!(agreement.accuracy, cluster_accuracy(&clusters, &folders));
}

#[test]
fn the_report_shows_every_cluster_with_its_nearest_pictures_and_every_number_of_the_log() {
    let root = reference();
    let page = fs::read_to_string(root.join("report.html")).unwrap();
    for cluster in report(root).clusters {
        let card = format!("id=\"cluster-{}\"", cluster.id);
        let start = page.find(&card).unwrap_or_else(|| panic!("no {card}"));
        let card = &page[start..][..page[start..].find("</article>").unwrap()];
        assert!(card.contains(&format!("{} images", cluster.size)));
        assert_eq!(card.matches("<img").count(), cluster.nearest.len());
        for near in cluster.nearest {
            assert!(
                card.contains(&format!("title=\"{},", near.key)),
                "{}",
                near.key
            );
        }
    }
    assert!(
        !root.join("atlas.html").exists(),
        "three clusters are in the report"
    );
    for record in read_log(&root.join("log.jsonl")).unwrap() {
        for name in record.values.keys() {
            let name = name.rsplit('/').next().unwrap();
            assert!(page.contains(name), "{}: no curve of {name}", record.step);
        }
    }
}

/// One event for each line of the log, after the one with the version; `read_events.py` reads what
/// is in them.
#[test]
fn the_event_files_hold_as_many_events_as_the_log_has_lines() {
    let root = reference();
    let log = read_log(&root.join("log.jsonl")).unwrap();
    for step in ["pretrain", "tune_attention", "finetune"] {
        let lines = log.iter().filter(|record| record.step == step).count();
        assert!(lines > 0, "{step}");
        assert_eq!(
            event_count(&only_file(&root.join("tensorboard").join(step))),
            1 + lines
        );
    }
}

pub(crate) fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Frames of length, checksum, data, checksum, up to the very end of the file.
pub(crate) fn event_count(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        at += 8 + 4 + length as usize + 4;
        count += 1;
    }
    assert_eq!(at, bytes.len(), "the last event is whole");
    count
}
