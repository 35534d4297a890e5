//! What all masks together give away: that they are no ids, or that boundaries say nothing of them.

use std::{
    path::Path,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use anyhow::{Result, bail};
use luss_metrics::{ImageCounts, LabelMask, OTHER, OutOfRange, folder::MaskFormat};

use crate::{arguments::FormatArgument, pairs::Pairs, settings::Settings};

/// The second value of masks of two values.
const WHITE: u16 = 255;

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
    /// Pictures with an object that has no pixel inside of its boundary.
    thin: AtomicU64,
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
        self.white.look(ids.clone(), |id| id == WHITE);
        self.colors.look(ids, |id| {
            let is_color = |value| COLOR_VALUES.contains(&value);
            id.to_le_bytes().into_iter().all(is_color)
        });
    }
}

impl Findings {
    pub(crate) fn look_at(&self, counts: &ImageCounts) {
        if counts.has_thin_object() {
            self.thin.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn thin_note(&self) -> Option<String> {
        let thin = self.thin.load(Ordering::Relaxed);
        (thin > 0).then(|| {
            format!(
                "pictures with an object thinner than twice the boundary band, whose boundary is all of it: {thin} \
                 (a smaller --boundary-ratio makes the band thinner)"
            )
        })
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
                largest: settings.arguments.classes,
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
            if side.is_white() && side.largest < WHITE && side.is_strict {
                bail!(
                    "{path}: 0/255 masks: no mask holds another id than 0 and 255; read them with --binary (class 1), or write 0/1"
                );
            }
            if side.is_colored() && !side.is_stated {
                bail!(
                    "{path}: these look like colours: all R and G are 0, 64, 128, 192 or 255; name them with --colors voc, \
                     cityscapes or a label map, or, if they are ids (R + 256 G), say so with --mask-format rg (--truth-format rg)"
                );
            }
        }
        Ok(())
    }

    /// What only the sum of all masks shows.
    pub(crate) fn evidence_notes(&self, settings: &Settings) -> Vec<String> {
        let white = self.sides(settings).into_iter().filter(Side::is_white);
        let white = white.map(|side| {
            let path = side.path.display();
            format!(
                "{path}: no mask holds another id than 0 and 255; if that is class 1, add --binary"
            )
        });
        white.chain(self.findings.thin_note()).collect()
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
