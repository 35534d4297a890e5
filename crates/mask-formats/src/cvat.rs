//! CVAT's format "Segmentation mask 1.1": a zip archive in the form of VOC.
//!
//! Source: <https://docs.cvat.ai/docs/manual/advanced/formats/format-smask/>. Every colour of the masks
//! is declared; categories may be many, regions of a picture 254.

use std::io::{self, Seek, Write};

use luss_metrics::{IGNORE, LabelMask, OTHER};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    Regions,
    png::color_png,
    voc::{VOID, label_map, voc_color},
};

/// The masks of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CvatMasks {
    class: Vec<u8>,
    object: Vec<u8>,
}

impl CvatMasks {
    /// The masks of a picture; `None` for more than 254 regions, as readers know so many colours. Pixels of
    /// [`IGNORE`] become background, as CVAT has no other.
    pub fn new(mask: &LabelMask, regions: &Regions) -> Option<Self> {
        if regions.categories().len() >= usize::from(VOID) {
            return None;
        }
        let class = |&label: &u16| match label {
            IGNORE => OTHER,
            label => label,
        };
        let classes = mask.labels().iter().map(|label| class(label).into());
        let objects = regions.of_pixel().iter().copied();
        Some(Self {
            class: color_png(mask.size(), classes.map(voc_color)),
            object: color_png(mask.size(), objects.map(voc_color)),
        })
    }
}

/// An archive under way.
#[derive(Debug)]
pub struct CvatWriter<W: Write + Seek> {
    archive: ZipWriter<W>,
    keys: Vec<String>,
}

impl<W: Write + Seek> CvatWriter<W> {
    /// Begins an archive; `names[0]` is that of category 1, `comment` goes to its end.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn begin(out: W, comment: &str, names: &[String]) -> io::Result<Self> {
        let mut archive = ZipWriter::new(out);
        archive.set_comment(comment)?;
        let keys = Vec::new();
        let mut writer = Self { archive, keys };
        writer.put("labelmap.txt", label_map(names).as_bytes())?;
        Ok(writer)
    }

    /// Adds the masks of a picture. `key` is its path in the task, with `/` and without extension.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn push(&mut self, key: &str, masks: &CvatMasks) -> io::Result<()> {
        self.put(&format!("SegmentationClass/{key}.png"), &masks.class)?;
        self.put(&format!("SegmentationObject/{key}.png"), &masks.object)?;
        self.keys.push(key.into());
        Ok(())
    }

    /// Writes the list of pictures and the end of the archive; how many pictures it has.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<u64> {
        let list: String = self.keys.iter().map(|key| format!("{key}\n")).collect();
        self.put("ImageSets/Segmentation/default.txt", list.as_bytes())?;
        self.archive.finish()?;
        Ok(self.keys.len() as u64)
    }

    /// Without a time, so that the same masks give the same archive. PNGs are compressed already.
    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::DEFAULT);
        self.archive.start_file(name, options)?;
        self.archive.write_all(bytes)
    }
}
