//! Where masks come from: a folder, or a file with those of all pictures.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{FileError, MaskFiles, MaskReader, Tree, coco};
use crate::LabelMask;

/// The masks of many pictures, each by a path.
pub trait MaskSource: fmt::Debug + Send + Sync {
    /// The pictures: their keys and paths.
    fn tree(&self) -> &Tree;

    /// How the masks are encoded, where it is not for the reader to tell.
    fn format(&self) -> Option<&'static str>;

    /// The mask of a path of the tree.
    ///
    /// # Errors
    ///
    /// [`FileError`] with the cause and the remedy.
    ///
    /// # Panics
    ///
    /// Possibly, if the path is not of the tree.
    fn read(&self, path: &Path, reader: &mut MaskReader) -> Result<LabelMask, FileError>;

    /// The keys of pictures by their ids; numbers are without leading zeros.
    fn keys_of_ids(&self) -> HashMap<String, PathBuf>;
}

/// Whose masks they are.
#[derive(Debug, Clone, Copy)]
pub enum Side<'a> {
    /// True masks.
    Truth {
        /// The id of pixels that a file of annotations leaves without one, or gives to two
        /// categories.
        ignore: u16,
    },
    /// Predicted masks. Pixels without an annotation are "other"; of two, that of the higher score
    /// counts.
    Prediction {
        /// The true masks, whose pictures a list of results names by ids.
        truth: &'a dyn MaskSource,
    },
}

/// The masks of a folder (see [`Tree::of_masks`]), or of a COCO file `.json`: panoptic annotations, whose
/// PNGs lie in the folder of the same name; annotations with run lengths or polygons; or a list of
/// results.
///
/// `files` and `suffix` are those of [`Tree::of_mask_files`], and say nothing of a COCO file.
///
/// # Errors
///
/// [`FileError`] when the folder or the file cannot be read.
pub fn open_masks(
    path: &Path,
    files: MaskFiles,
    suffix: &str,
    side: Side,
) -> Result<Box<dyn MaskSource>, FileError> {
    let is_json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    if is_json && path.is_file() {
        return coco::open(path, side);
    }
    Ok(Box::new(Tree::of_mask_files(path, files, suffix)?))
}

impl MaskSource for Tree {
    fn tree(&self) -> &Tree {
        self
    }

    fn format(&self) -> Option<&'static str> {
        None
    }

    fn read(&self, path: &Path, reader: &mut MaskReader) -> Result<LabelMask, FileError> {
        reader.read(path).map(|(mask, _)| mask)
    }

    /// By the numbers that file names are, or end with behind a `_`, as COCO's do. A number of several
    /// names is no id.
    fn keys_of_ids(&self) -> HashMap<String, PathBuf> {
        let id = |key: &Path| {
            let name = key.file_name()?.to_str()?;
            let id = name.rsplit('_').next()?;
            id.parse::<u64>().ok().map(|id| id.to_string())
        };
        let mut keys: HashMap<String, Vec<&Path>> = HashMap::new();
        for (key, _) in self.iter() {
            if let Some(id) = id(key) {
                keys.entry(id).or_default().push(key);
            }
        }
        let keys = keys.into_iter();
        keys.filter_map(|(id, keys)| match keys[..] {
            [key] => Some((id, key.to_owned())),
            _ => None,
        })
        .collect()
    }
}
