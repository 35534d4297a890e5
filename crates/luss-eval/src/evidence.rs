//! What all masks together give away: that they are no ids, or that a score says less than it seems.

use std::{
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::{Result, bail};
use luss_metrics::{LabelMask, OTHER, OutOfRange, folder::MaskFormat};
use same_file::is_same_file;
use serde::{Deserialize, Serialize};

use crate::{
    arguments::FormatArgument,
    pairs::{Pairs, Picture},
    scoring::Counted,
    settings::Settings,
};

/// The second value of masks of two values, of 8 and of 16 bits.
const WHITES: [u16; 2] = [255, 65_535];

/// The values of red and green in masks that are drawn in usual colours, VOC's first ones among them.
const COLOR_VALUES: [u8; 5] = [0, 64, 128, 192, 255];

/// Which ids the masks of a side hold besides "other" and those that are ignored.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    white: Suspicion,
    colors: Suspicion,
}

/// What both sides together show.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) truth: Evidence,
    pub(crate) prediction: Evidence,
}

/// Whether something holds for each id that was met.
#[derive(Debug, Default)]
struct Suspicion(AtomicU8);

impl Suspicion {
    const HOLDS: u8 = 1;
    const REFUTED: u8 = 2;

    fn look(&self, mut ids: impl Iterator<Item = u16>, is_suspicious: impl Fn(u16) -> bool) {
        if self.0.load(Ordering::Relaxed) == Self::REFUTED {
            return;
        }
        let Some(first) = ids.next() else { return };
        let holds = is_suspicious(first) && ids.all(is_suspicious);
        let found = if holds { Self::HOLDS } else { Self::REFUTED };
        self.0.fetch_max(found, Ordering::Relaxed);
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::HOLDS
    }
}

impl Evidence {
    /// Looks at a mask as it was read.
    pub(crate) fn look(&self, mask: &LabelMask, ignored: &[u16]) {
        let ids = mask.labels().iter().copied();
        let ids = ids.filter(|id| *id != OTHER && !ignored.contains(id));
        self.white.look(ids.clone(), |id| WHITES.contains(&id));
        self.colors.look(ids, |id| {
            let is_color = |value| COLOR_VALUES.contains(&value);
            id.to_le_bytes().into_iter().all(is_color)
        });
    }
}

/// One side, as its messages name it.
struct Side<'a> {
    evidence: &'a Evidence,
    path: &'a Path,
    format: Option<MaskFormat>,
    is_stated: bool,
    /// The largest id that may occur.
    largest: u16,
    is_strict: bool,
}

impl Pairs {
    fn sides<'a>(&'a self, settings: &'a Settings) -> [Side<'a>; 2] {
        let format = settings.arguments.mask_format;
        let is_stated = |format| format != FormatArgument::Auto;
        [
            Side {
                evidence: &self.findings.truth,
                path: settings.truth,
                format: self.truth.format,
                is_stated: is_stated(settings.arguments.truth_format.unwrap_or(format)),
                largest: settings.arguments.classes.unwrap_or_default(),
                is_strict: true,
            },
            Side {
                evidence: &self.findings.prediction,
                path: self.prediction.masks.tree().root(),
                format: self.prediction.format,
                is_stated: is_stated(format),
                largest: settings.clusters,
                is_strict: settings.protocol.out_of_range == OutOfRange::Error,
            },
        ]
    }

    /// Refuses masks whose values are no ids, all of them seen.
    pub(crate) fn check_evidence(&self, settings: &Settings) -> Result<()> {
        for side in self.sides(settings) {
            let path = side.path.display();
            if side.is_colored() && !side.is_stated {
                bail!(
                    "{path}: these look like colours: all R and G are 0, 64, 128, 192 or 255; name them with --colors voc, \
                     cityscapes or a label map, or, if they are ids (R + 256 G), say so with --mask-format rg (--truth-format rg)"
                );
            }
            if side.is_white() && side.largest < WHITES[0] && side.is_strict {
                bail!(
                    "{path}: 0/255 masks: no mask holds another id than 0 and 255 (65535 of 16 bits); read them with --binary (class 1), or write 0/1"
                );
            }
        }
        Ok(())
    }
}

impl Side<'_> {
    fn is_white(&self) -> bool {
        self.format != Some(MaskFormat::Colors) && self.evidence.white.holds()
    }

    fn is_colored(&self) -> bool {
        self.format == Some(MaskFormat::Rg) && self.evidence.colors.holds()
    }
}

/// What someone who reads the scores has to know of the files.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Predictions that are the file of their true mask.
    same: u64,
    /// Pairs whose names are spelled in different forms of Unicode.
    respelled: u64,
    /// Files of another kind beside the masks.
    #[serde(default)]
    others: u64,
}

impl Facts {
    pub(crate) fn new(pairs: &Pairs, pictures: &[Counted]) -> Self {
        let roots = [&pairs.truth, &pairs.prediction].map(|side| side.masks.tree().root());
        let same_root = is_same_file(roots[0], roots[1]).unwrap_or(false);
        let is_same =
            |picture: &Picture| same_root && is_below(picture, roots) || is_same_mask(picture);
        let same = pictures.iter().filter(|counted| is_same(&counted.picture));
        Self {
            same: same.count() as u64,
            respelled: pairs.respelled,
            others: pairs.others,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.same += other.same;
        self.respelled += other.respelled;
        self.others += other.others;
    }

    /// A sentence each.
    pub(crate) fn notes(&self, pictures: &[Counted]) -> Vec<String> {
        let Self {
            same,
            respelled,
            others,
        } = *self;
        let all = pictures.len() as u64;
        let mut notes = Vec::new();
        if same == all {
            notes
                .push("both folders are the same: every prediction is the true mask itself".into());
        } else if same > 0 {
            notes.push(format!(
                "predictions that are the true mask itself: {same} of {all}"
            ));
        }
        if respelled > 0 {
            notes.push(format!(
                "pairs whose names differ only in the Unicode form of their letters: {respelled}"
            ));
        }
        if others > 0 {
            notes.push(format!(
                "files of another kind beside the masks, which are not read: {others} \
                 (of .png, .tif and .npy the first one that there is; --mask-format states one, mixed takes .png and .tif)"
            ));
        }
        let thin = pictures
            .iter()
            .filter(|picture| picture.counts.has_thin_object());
        match thin.count() {
            0 => {}
            thin => notes.push(format!(
                "pictures with an object thinner than twice the boundary band, all of whose true pixels are boundary: {thin} of {all} \
                 (a smaller --boundary-ratio makes the band thinner)"
            )),
        }
        notes
    }
}

/// Whether both masks have the same path below these, as those of one file of annotations have.
fn is_below(picture: &Picture, [truth, prediction]: [&Path; 2]) -> bool {
    let truth = picture.truth.strip_prefix(truth);
    truth.is_ok_and(|path| picture.prediction.strip_prefix(prediction) == Ok(path))
}

/// Also by a link.
fn is_same_mask(picture: &Picture) -> bool {
    let (truth, prediction) = (&picture.truth, &picture.prediction);
    truth == prediction || is_same_file(truth, prediction).unwrap_or(false)
}
