//! Opens every picture and mask: does it decode, does the mask fit, has the file its sum.

use std::fs;

use luss_metrics::LabelMask;

use super::{
    Fault, FaultKind,
    walk::{Entry, Pair},
};
use crate::{
    checksums::{Checksums, md5_of},
    error::Error,
    pictures::{
        decoding::Decoding,
        mask_png::decode_mask,
        picture::OddPictures,
        sound::{guarded, mask_errors, size_px},
        traits::Traits,
    },
};

/// What a pair is held against.
pub(super) struct Expectations<'a> {
    pub(super) odd: OddPictures,
    pub(super) classes: u16,
    pub(super) sums: &'a Checksums,
}

/// What was found in one pair.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    /// Path below the root and sum of each file that could be read.
    pub(super) sums: Vec<(String, String)>,
}

impl Findings {
    /// Reads a picture and its mask. `own` is the id of the class folder.
    pub(super) fn of(pair: &Pair, own: Option<u16>, expected: &Expectations<'_>) -> Self {
        let mut findings = Self::default();
        let picture = pair.picture.as_ref().and_then(|entry| {
            findings.decoded(entry, expected, |bytes| {
                let stored = Decoding::default();
                let (picture, traits) = stored.examine(bytes, &entry.path, expected.odd)?;
                Ok((size_px(&picture), traits))
            })
        });
        if let (Some(entry), Some((_, traits))) = (&pair.picture, &picture) {
            findings.note(entry, traits);
        }
        let picture_px = picture.map(|(size, _)| size);
        if let Some(entry) = &pair.mask {
            let decode = |bytes: &[u8]| decode_mask(bytes, &entry.path);
            if let Some(mask) = findings.decoded(entry, expected, decode) {
                findings.check_mask(&mask, entry, picture_px, own, expected.classes);
            }
        }
        findings
    }

    /// What `decode` makes of the file, with its faults noted.
    fn decoded<T>(
        &mut self,
        entry: &Entry,
        expected: &Expectations<'_>,
        decode: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> Option<T> {
        let bytes = match fs::read(&entry.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = Error::io(&entry.path)(error);
                self.faults.push(Fault::of(&error, &entry.path));
                return None;
            }
        };
        if bytes.is_empty() {
            let path = entry.path.clone();
            self.faults
                .push(Fault::of(&Error::EmptyFile { path }, &entry.path));
            return None;
        }
        self.check_sum(&bytes, entry, expected.sums);
        match guarded(&entry.path, || decode(&bytes)) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                self.faults.push(Fault::of(&error, &entry.path));
                None
            }
        }
    }

    fn check_sum(&mut self, bytes: &[u8], entry: &Entry, sums: &Checksums) {
        let found = md5_of(bytes);
        if let Some(expected) = sums.get(&entry.key).filter(|sum| *sum != found) {
            let text = format!(
                "md5 is {found}, the list of sums has {expected}; prepare it again, or record the \
                 sums again if the change is meant"
            );
            self.faults
                .push(Fault::new(FaultKind::WrongChecksum, &entry.path, text));
        }
        self.sums.push((entry.key.clone(), found));
    }

    fn check_mask(
        &mut self,
        mask: &LabelMask,
        entry: &Entry,
        picture_px: Option<(usize, usize)>,
        own: Option<u16>,
        classes: u16,
    ) {
        let path = &entry.path;
        let errors = mask_errors(mask, path, picture_px, classes);
        self.faults
            .extend(errors.map(|error| Fault::of(&error, path)));
        if let Some(own) = own.filter(|own| !mask.labels().contains(own)) {
            let text = format!("has no pixel of class {own}, its folder; look at it");
            self.faults
                .push(Fault::new(FaultKind::ClassNotInMask, path, text));
        }
    }

    /// What is worth knowing of a picture that is read.
    fn note(&mut self, entry: &Entry, traits: &Traits) {
        let mut note = |kind, text: &str| {
            self.faults.push(Fault::new(kind, &entry.path, text));
        };
        if traits.lacks_end {
            let text = "has no end-of-image marker, but all pixels; it is read, and whoever wants it \
                        as it was published fetches it again";
            note(FaultKind::MissingEnd, text);
        }
        if traits.is_to_be_turned() {
            let text = "has an EXIF orientation, by which viewers turn it, and is read as it is \
                        stored; data.orientation = \"apply\" turns such pictures in a run, and wants \
                        masks of the turned size";
            note(FaultKind::Orientation, text);
        }
        if let Some([least, most]) = traits.narrow {
            let text = format!(
                "has 16 bits and values of {least} to {most}, so it is dark or flat; \
                 data.stretch.range = [{least}, {most}] shows that part"
            );
            note(FaultKind::NarrowRange, &text);
        }
    }
}
