//! What the values in the files mean, where they are not the ids that are scored.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use luss_metrics::{
    IGNORE, LabelMask, OTHER, Protocol,
    folder::{ColorMap, MaskFormat, MaskReader},
};

use crate::arguments::{Arguments, FormatArgument};

/// The readers of both sides, and what becomes of true ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conventions {
    pub(crate) truth: MaskReader,
    pub(crate) prediction: MaskReader,
    pub(crate) ids: TruthIds,
}

/// What becomes of the ids of true masks.
#[derive(Debug, Clone, Default)]
pub(crate) struct TruthIds {
    /// As the files have them.
    pub(crate) ignored: Vec<u16>,
    /// What they become.
    ignore: u16,
    /// Whether 0 is ignored and every other id goes down by one.
    pub(crate) reduces_zero: bool,
}

impl Conventions {
    pub(crate) fn new(arguments: &Arguments, protocol: &Protocol) -> Result<Self> {
        let ids = TruthIds {
            ignored: arguments.ignore.clone(),
            ignore: protocol.ignore,
            reduces_zero: arguments.reduce_zero_label,
        };
        check(arguments)?;
        Ok(Self {
            truth: reader(arguments, protocol.ignore, &ids.ignored)?,
            prediction: reader(arguments, protocol.ignore, &[])?,
            ids,
        })
    }
}

impl TruthIds {
    pub(crate) fn apply(&self, truth: &mut LabelMask) {
        if self.ignored != [self.ignore] {
            truth.ignore_ids(&self.ignored, self.ignore);
        }
        if self.reduces_zero {
            truth.reduce_zero_label(self.ignore);
        }
    }
}

fn check(arguments: &Arguments) -> Result<()> {
    let Arguments {
        mask_format,
        truth_format,
        colors,
        binary,
        ..
    } = arguments;
    let formats = [Some(*mask_format), *truth_format];
    let names_colors = formats.contains(&Some(FormatArgument::Stated(MaskFormat::Colors)));
    ensure!(
        colors.is_some() || !names_colors,
        "colours need a map: --colors voc, cityscapes, or a label map"
    );
    ensure!(
        !binary || arguments.classes == Some(1),
        "--binary reads masks of one class: add --classes 1"
    );
    let mut ignored = arguments.ignore.iter();
    let both = ignored.find(|id| [0, 1, 255].contains(*id));
    if let (true, Some(id)) = (binary, both) {
        bail!("--binary reads 0, 1 and 255 as ids 0 and 1, so {id} cannot be ignored");
    }
    Ok(())
}

/// Who reads the masks of a side, of which the ids `ignored` count nowhere.
fn reader(arguments: &Arguments, ignore: u16, ignored: &[u16]) -> Result<MaskReader> {
    let map = match arguments.colors.as_deref() {
        None if arguments.binary => return Ok(MaskReader::of_two(ignored)),
        None => return Ok(MaskReader::default()),
        Some("voc") => ColorMap::voc(ignore),
        Some("cityscapes") => ColorMap::cityscapes(ignore),
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| {
                format!("--colors {file}: neither voc nor cityscapes, and no readable label map")
            })?;
            let map = ColorMap::from_label_map(&text, ignore);
            map.with_context(|| format!("--colors {file}"))?
        }
    };
    Ok(MaskReader::of_colors(map))
}

/// The classes of the scores, of those of the files: one fewer where they then count from 0.
pub(crate) fn scored_classes(arguments: &Arguments) -> Result<u16> {
    let classes = arguments.classes.unwrap_or_default(); // clap asks for it
    ensure!(
        !arguments.reduce_zero_label || classes > 1,
        "--reduce-zero-label makes class 1 id 0; it needs two classes at least"
    );
    Ok(classes - u16::from(arguments.reduce_zero_label))
}

/// The id that stands for all that are ignored.
pub(crate) fn ignored_id(arguments: &Arguments, classes: u16) -> Result<u16> {
    let ignored = &arguments.ignore;
    let of_files = arguments.classes.unwrap_or_default();
    if let Some(id) = ignored.iter().find(|id| (1..=of_files).contains(*id)) {
        bail!("--ignore {id}: it is one of the {of_files} classes; ignore 0, or an id above them");
    }
    let largest = ignored.iter().copied().max().filter(|id| *id != OTHER);
    Ok(largest.unwrap_or(if classes < IGNORE { IGNORE } else { u16::MAX }))
}
