//! Panoptic annotations: PNGs whose pixels are segments, `R + 256·G + 65536·B`, and a JSON that says the
//! category of each.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{Document, Keys, label_of, name_of};
use crate::{
    LabelMask, OTHER,
    folder::{
        FileError, MaskReader, MaskSource, Side, Tree,
        png::{for_each_color, header::Header},
        reader::read_file,
    },
};

/// The segment of pixels without one.
const VOID: u32 = 0;

/// The PNGs of a folder, and what their segments are.
#[derive(Debug)]
pub(super) struct Panoptic {
    tree: Tree,
    /// By PNG.
    labels: HashMap<PathBuf, HashMap<u32, u16>>,
    keys: Keys,
    /// The label of [`VOID`]: ignored in a truth, "other" in a prediction.
    void: u16,
}

impl Panoptic {
    /// The PNGs lie in the folder that is called as the JSON is.
    pub(super) fn new(path: &Path, document: Document, side: Side) -> Result<Self, FileError> {
        let refused = |reason: String| FileError::Coco {
            path: path.to_owned(),
            reason,
        };
        let folder = path.with_extension("");
        if !folder.is_dir() {
            let folder = folder.display();
            let reason =
                format!("its PNG files belong into the folder {folder}, which is not there");
            return Err(refused(reason));
        }
        let mut panoptic = Self {
            tree: Tree::empty(&folder),
            labels: HashMap::new(),
            keys: Keys::new(),
            void: match side {
                Side::Truth { ignore } => ignore,
                Side::Prediction { .. } => OTHER,
            },
        };
        for annotation in document.annotations {
            let Some(name) = &annotation.file_name else {
                return Err(refused("an annotation has no file_name".into()));
            };
            let file = folder.join(name_of(name));
            let segments = annotation.segments_info.unwrap_or_default();
            let labels = segments
                .iter()
                .map(|s| Ok((s.id, label_of(s.category_id)?)));
            let labels: Result<_, String> = labels.collect();
            let key = panoptic.tree.add(file.clone());
            if let Some(id) = annotation.image_id {
                panoptic.keys.insert(id.text(), key);
            }
            panoptic.labels.insert(file, labels.map_err(refused)?);
        }
        Ok(panoptic)
    }
}

impl MaskSource for Panoptic {
    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn format(&self) -> Option<&'static str> {
        Some("panoptic")
    }

    fn read(&self, path: &Path, _: &mut MaskReader) -> Result<LabelMask, FileError> {
        let mut file = Vec::new();
        read_file(path, &mut file)?;
        decode(&file, &self.labels[path], self.void)
    }

    fn keys_of_ids(&self) -> Keys {
        self.keys.clone()
    }
}

/// The labels of a PNG's segments.
fn decode(file: &[u8], labels: &HashMap<u32, u16>, void: u16) -> Result<LabelMask, FileError> {
    let header = Header::read(file)?;
    if header.pixel_bits() != 24 {
        let found = header.kind();
        return Err(FileError::NoSegments { found });
    }
    let mut pixels = Vec::with_capacity(header.width * header.height);
    for_each_color(file, &header, |[red, green, blue], x, y| {
        let id = u32::from_le_bytes([red, green, blue, 0]);
        pixels.push(match labels.get(&id) {
            Some(label) => *label,
            None if id == VOID => void,
            None => return Err(FileError::Segment { x, y, id }),
        });
        Ok(())
    })?;
    let mask = LabelMask::new(header.width, header.height, pixels);
    Ok(mask.expect("a label for each pixel of the header"))
}
