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
    /// The map of the colours, as the settings of a score name it.
    pub(crate) colors: Option<String>,
}

/// What becomes of the ids of true masks.
#[derive(Debug, Clone, Default)]
pub(crate) struct TruthIds {
    /// As the files have them.
    pub(crate) ignored: Vec<u16>,
    /// What they become.
    ignore: u16,
    /// The classes of the files.
    classes: u16,
    /// Whether 0 is ignored and every other id goes down by one.
    pub(crate) reduces_zero: bool,
}

impl Conventions {
    pub(crate) fn new(arguments: &Arguments, protocol: &Protocol) -> Result<Self> {
        let ids = TruthIds {
            ignored: arguments.ignore.clone(),
            ignore: protocol.ignore,
            classes: arguments.classes.unwrap_or_default(),
            reduces_zero: arguments.reduce_zero_label,
        };
        check(arguments)?;
        let (map, colors) = colors_of(arguments, protocol.ignore)?.unzip();
        let reader = |kept: &[u16]| match &map {
            Some(map) => MaskReader::of_colors(map.clone()),
            None if arguments.binary => MaskReader::of_two(kept),
            None => MaskReader::default(),
        };
        Ok(Self {
            truth: reader(&ids.ignored),
            prediction: reader(&[]),
            ids,
            colors,
        })
    }

    /// Of masks that were counted before.
    pub(crate) fn of_counts(reduces_zero: bool) -> Self {
        let ids = TruthIds {
            reduces_zero,
            ..TruthIds::default()
        };
        Self {
            ids,
            ..Self::default()
        }
    }
}

impl TruthIds {
    /// Turns the ids of a true mask into those that are scored. Refuses ids that would be taken for
    /// others, or be called otherwise, behind that. Files `of_ids`, and not of colours or annotations, hold
    /// no id that stands for the ignored ones.
    pub(crate) fn apply(&self, truth: &mut LabelMask, of_ids: bool) -> Result<(), String> {
        if self.reduces_zero || of_ids && !self.ignored.contains(&self.ignore) {
            self.check(truth, of_ids)?;
        }
        if self.ignored != [self.ignore] {
            truth.ignore_ids(&self.ignored, self.ignore);
        }
        if self.reduces_zero {
            truth.reduce_zero_label(self.ignore);
        }
        Ok(())
    }

    fn check(&self, truth: &LabelMask, of_ids: bool) -> Result<(), String> {
        let is_ignored = |id: &u16| self.ignored.contains(id) || !of_ids && *id == self.ignore;
        let is_stray = |id: &u16| *id > self.classes && !is_ignored(id);
        let Some(at) = truth.labels().iter().position(is_stray) else {
            return Ok(());
        };
        let (x, y) = (at % truth.width(), at / truth.width());
        let ignored: Vec<String> = self.ignored.iter().map(u16::to_string).collect();
        Err(format!(
            "the truth has id {} at x={x}, y={y}, but ids run from 0 to {}, and {} (ignore); is this mask from a larger subset, or is another id ignored?",
            truth.labels()[at],
            self.classes,
            ignored.join(", ")
        ))
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

/// The map of the colours and what it is called: of a file, by the checksum of its text.
fn colors_of(arguments: &Arguments, ignore: u16) -> Result<Option<(ColorMap, String)>> {
    let Some(name) = arguments.colors.as_deref() else {
        return Ok(None);
    };
    let map = match name {
        "voc" => ColorMap::voc(ignore),
        "cityscapes" => ColorMap::cityscapes(ignore),
        file => {
            let text = fs::read_to_string(file).with_context(|| {
                format!("--colors {file}: neither voc nor cityscapes, and no readable label map")
            })?;
            let map = ColorMap::from_label_map(&text, ignore);
            let map = map.with_context(|| format!("--colors {file}"))?;
            let name = format!("label map {:08x}", crc32fast::hash(text.as_bytes()));
            return Ok(Some((map, name)));
        }
    };
    Ok(Some((map, name.to_owned())))
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
