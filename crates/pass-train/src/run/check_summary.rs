//! What the check of the pictures leaves behind: what was read, left out, and is worth knowing.

use std::{collections::BTreeSet, path::PathBuf};

use imagenet_s::{Dataset, OtherFiles, TraitCounts};
use serde::{Deserialize, Serialize};

/// What the check leaves in `done/check_data.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckSummary {
    /// Pictures that were read.
    pub(super) pictures: usize,
    /// Masks that were read.
    pub(super) masks: usize,
    /// Training pictures that every step leaves out.
    #[serde(default)]
    pub(crate) skipped: Vec<Skipped>,
    /// Folders among the pictures that are not walked, with the reason: runs, and doubles by links.
    #[serde(default)]
    pub(crate) left_out_folders: Vec<String>,
    /// Lines about files that are left out, and about what the pictures have that a setting concerns.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// Wall time.
    pub(super) seconds: f64,
}

/// A training picture that is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(super) picture: PathBuf,
    pub(super) reason: String,
}

impl CheckSummary {
    /// The files that are left out.
    pub(crate) fn left_out(&self) -> BTreeSet<PathBuf> {
        self.skipped
            .iter()
            .map(|skipped| skipped.picture.clone())
            .collect()
    }
}

/// Folders among the pictures that are not walked, each once.
pub(super) fn left_out_folders(data: &Dataset, extra: Option<&Dataset>) -> Vec<String> {
    let sets = [data].into_iter().chain(extra);
    let folders = sets.flat_map(|data| data.left_out());
    // Step 1 may learn from the pictures of the other steps.
    let told: BTreeSet<String> = folders.map(ToString::to_string).collect();
    told.into_iter().collect()
}

/// What to know of the pictures before a run learns from them.
pub(super) fn notes(data: &Dataset, extra: Option<&Dataset>, counts: &TraitCounts) -> Vec<String> {
    let sets: Vec<&Dataset> = [data].into_iter().chain(extra).collect();
    let mut others = OtherFiles::default();
    sets.iter().for_each(|data| others += data.other_files());
    let others = (others.count() > 0)
        .then(|| format!("left out: {others}; read are: JPEG, PNG, WebP, TIFF and BMP"));
    let stems = sets.iter().flat_map(|data| data.same_stems());
    let stems: Vec<_> = stems.collect();
    let pairs = if stems.len() == 1 { "pair" } else { "pairs" };
    let same = stems.first().map(|[first, second]| {
        format!(
            "pictures differ in the extension alone, in {} {pairs}; the first are {} and {}: both are \
             pictures, and their masks are called by the whole name; if one of them is a mask, \
             --pattern '*.jpg' leaves it out",
            stems.len(),
            first.display(),
            second.display()
        )
    });
    let read = counts.lines(data.decoding());
    others.into_iter().chain(same).chain(read).collect()
}
