//! Pseudo labels as full-size PNGs, of any split, for people and programs that want files.
//!
//! No step needs them: fine-tuning evaluates the label store at the pixels of its crops.

use std::{fs, path::Path, time::UNIX_EPOCH};

use imagenet_s::{Split, layout::EXPORTED};
use luss_metrics::LabelMask;
use pixel_attention::label_store::LabelStore;

use crate::{
    Context, Error, Step,
    run::cursor::Cursor,
    step::{
        labels::{ensure_store, write_masks},
        threshold::chosen_threshold,
    },
};

/// The pseudo labels of a split, of which masks of any size are made.
#[derive(Debug)]
pub struct PseudoLabels {
    store: LabelStore,
    threshold: f32,
}

impl PseudoLabels {
    /// Opens the label store of a split, which is made first where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`] before step 2.3; else from data or disk.
    pub fn open(context: &Context, split: Split) -> Result<Self, Error> {
        let needed = Step::SweepThreshold;
        context.run.require(Step::GenerateLabels, needed)?;
        Ok(Self {
            threshold: chosen_threshold(context)?,
            store: ensure_store(context, Step::GenerateLabels, split)?,
        })
    }

    /// The mask of a picture by its key, of its width and height.
    ///
    /// # Errors
    ///
    /// A key without labels, or a damaged store.
    pub fn mask(&self, key: &str, (width, height): (usize, usize)) -> Result<LabelMask, Error> {
        Ok(self.store.get(key)?.to_mask(width, height, self.threshold))
    }
}

/// What [`export_labels`] wrote, and what it was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExportSummary {
    /// Masks in the folder.
    pub masks: u64,
    /// Attention below this is OTHER.
    pub threshold: f32,
    /// Bytes of the PNG files.
    pub png_bytes: u64,
    /// Bytes of the label store.
    pub store_bytes: u64,
}

/// Writes `FOLDER/KEY.png`, the pseudo label mask of every picture of a split at its size, from
/// the label store, which is made first where it is missing.
///
/// `threshold` is that of step 2.3 unless it is given. A killed export goes on when it is started
/// again with the same folder, split and threshold.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.2, or before step 2.3 without a threshold; else from data
/// or disk.
pub fn export_labels(
    context: &Context,
    split: Split,
    folder: &Path,
    threshold: Option<f32>,
) -> Result<ExportSummary, Error> {
    let threshold = match threshold {
        Some(given) => given,
        None => {
            let needed = Step::SweepThreshold;
            context.run.require(Step::GenerateLabels, needed)?;
            chosen_threshold(context)?
        }
    };
    let store = ensure_store(context, Step::GenerateLabels, split)?;
    let path = context.run.labels(split.name());
    let data = fs::metadata(&path).map_err(Error::io(&path, "read"))?;
    let written = data.modified().ok();
    let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    // Labels that were made again, or another threshold, are another export.
    let of = format!(
        "{} at {threshold}, {} bytes of {written:?}",
        path.display(),
        data.len()
    );
    // Where the folder lies among pictures, its masks are none.
    let mark = folder.join(EXPORTED);
    let text = "Masks that `luss labels export` wrote: no pictures.\n";
    context.run.write_text(&mark, text)?;
    let mut cursor = Cursor::open(context, folder.join(".export.json"), of)?;
    write_masks(context, &store, split, threshold, folder, &mut cursor)?;
    cursor.remove()?;
    let mut png_bytes = 0;
    for key in store.keys() {
        let path = folder.join(format!("{key}.png"));
        let data = fs::metadata(&path).map_err(Error::io(&path, "read"))?;
        png_bytes += data.len();
    }
    Ok(ExportSummary {
        masks: store.len() as u64,
        threshold,
        png_bytes,
        store_bytes: data.len(),
    })
}
