//! The masks of a run on the disk: written in the form that its run file says, read in either.

use std::path::Path;

use html_report::palette::{MOST_INDEXED, palette};
use imagenet_s::{Dataset, LabelMask, Split, read_written_mask, write_indexed_mask, write_mask};

use crate::{
    Context, Error, RunFile,
    run_file::{MaskForm, Source},
};

impl Context {
    /// The mask of a picture in a result of this run.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] naming the mask.
    pub fn read_mask(&self, result: &str, split: Split, key: &str) -> Result<LabelMask, Error> {
        Ok(read_written_mask(&self.run.mask(
            result,
            split.name(),
            key,
        ))?)
    }

    /// Writes the mask of a picture in a result of this run.
    pub(crate) fn write_mask(
        &self,
        result: &str,
        split: Split,
        key: &str,
        mask: &LabelMask,
    ) -> Result<(), Error> {
        let path = self.run.mask(result, split.name(), key);
        Ok(write_as(
            self.mask_form(),
            &path,
            mask,
            self.data.classes(),
        )?)
    }

    /// The form in which this run writes masks.
    pub(crate) fn mask_form(&self) -> MaskForm {
        let form = self.file.predict.masks;
        form.expect("settled when the run was opened")
    }
}

/// Writes a mask with ids up to `categories`.
pub(crate) fn write_as(
    form: MaskForm,
    path: &Path,
    mask: &LabelMask,
    categories: u16,
) -> Result<(), imagenet_s::Error> {
    match form {
        MaskForm::Indexed => write_indexed_mask(path, mask, &palette(categories)),
        MaskForm::ImagenetS => write_mask(path, mask),
    }
}

/// The form that was asked for, or that which suits the pictures.
///
/// # Errors
///
/// [`Error::Value`] for more categories than a palette holds.
pub(crate) fn settled_form(file: &RunFile, data: &Dataset) -> Result<MaskForm, Error> {
    let categories = data.classes();
    match (file.predict.masks, &file.data.source) {
        (None, Source::Pictures { .. }) => Ok(MaskForm::of(categories)),
        (None, _) => Ok(MaskForm::ImagenetS),
        (Some(MaskForm::Indexed), _) if categories > MOST_INDEXED => Err(Error::Value {
            place: "this run".into(),
            key: "predict.masks".into(),
            value: "indexed".into(),
            rule: format!(
                "holds ids up to {MOST_INDEXED}, and there are {categories} categories: use imagenet_s"
            ),
        }),
        (Some(form), _) => Ok(form),
    }
}
