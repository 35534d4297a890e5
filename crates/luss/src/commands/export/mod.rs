//! Masks in the formats that other programs read.

mod one_file;
mod sheet;
mod source;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use imagenet_s::{Split, terminal::show};
use luss::{OrRefuse, names::read_names};
use mask_formats::{Per, coco::Segmentation, voc};
use pass_train::{Progress, Verbosity, run_file::Predictor};
use rayon::prelude::*;

use super::split_of;
use source::{Item, Source};

/// Writes masks in the formats of other programs: for looking at, correcting, training.
///
/// Example: luss export --run runs/mine --format coco --out mine.json
///
/// Takes the masks that a run predicted, or any folder of id masks with its pictures:
///
///   luss export --masks segmented --images ~/pictures --format cvat --out for_cvat.zip
///
/// id             OUT/KEY.png: grey, the value is the id (16 bits above 255)
/// palette        OUT/KEY.png: indexed, the index is the id; viewers show colours
/// overlay        OUT/KEY.jpg: the picture under the colours of its mask, with outlines
/// sheet          OUT.jpg: one picture with a row for each category, at most 40: those of which it covers most
/// coco           OUT.json: annotations with run lengths (or --segmentation polygons), boxes, areas
/// cvat           OUT.zip: "Segmentation mask 1.1", for Upload annotations
/// label-studio   OUT.json: tasks with brush strokes; OUT.xml: the labelling configuration
/// voc            OUT/: JPEGImages, SegmentationClass, SegmentationObject, ImageSets, labelmap.txt
/// yolo           OUT/: images, labels (polygons), data.yaml
///
/// Ids of categories are those of the masks, from 1 on; 0 belongs to none (yolo counts from 0). All masks are
/// read and checked before anything is written. docs/EXPORT.md tells more of each format.
///
/// Leaves --out, whole or not at all: a folder with contents.json, by which a second call replaces it, or a file.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Export {
    #[command(flatten)]
    place: Where,

    /// The format.
    #[arg(long, value_enum)]
    format: Format,

    /// The file or folder to write.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,

    /// Names of categories: one a line, or lines `ID NAME` [default: of matched classes, else `category N`].
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// What becomes one annotation [default: component for coco, else category; yolo always has components].
    #[arg(long, value_enum)]
    per: Option<PerArgument>,

    /// How coco holds the pixels.
    #[arg(long, value_enum, default_value = "rle")]
    segmentation: SegmentationArgument,

    /// label-studio: what precedes the path of a picture below its folder, which is percent-encoded behind a `?`.
    #[arg(long, value_name = "TEXT", default_value = "/data/local-files/?d=")]
    prefix: String,

    /// overlay: the kind of picture.
    #[arg(long, value_enum, default_value = "jpg")]
    overlay: tree::OverlayKind,

    /// voc, yolo: leave out the copies of the pictures.
    #[arg(long)]
    without_pictures: bool,

    /// Say only what starts, what ends and what fails.
    #[arg(long)]
    quiet: bool,
}

/// Where masks and pictures are.
#[derive(Args)]
struct Where {
    /// A run that has predicted.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["masks", "images"], required_unless_present = "masks")]
    run: Option<PathBuf>,

    /// A folder of id masks, as `luss segment` writes it: KEY.png, of any kind that luss-eval reads.
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,

    /// The pictures of --masks: KEY.jpg and the like [default: those that its segments.json names].
    #[arg(long, value_name = "DIR", requires = "masks")]
    images: Option<PathBuf>,

    /// Which pictures of the run [default: the first of validation, test and train with results; with
    /// --from pseudo_labels train].
    #[arg(long, value_parser = split_of(&Split::ALL), requires = "run")]
    split: Option<Split>,

    /// Which masks of the run [default: its result, by predict.predictor in run.toml].
    #[arg(long, value_enum, requires = "run")]
    from: Option<MasksOf>,
}

impl Where {
    /// The folders of masks and pictures that are `out`, or lie in it: an export there would replace what it reads.
    fn folders_in(&self, out: &Path) -> impl Iterator<Item = &Path> {
        let out = out.canonicalize().ok();
        let folders = [&self.masks, &self.images].into_iter().flatten();
        let is_inside = move |folder: &&PathBuf| {
            let real = folder.canonicalize().ok();
            real.zip(out.as_ref())
                .is_some_and(|(folder, out)| folder.starts_with(out))
        };
        folders.filter(is_inside).map(PathBuf::as_path)
    }
}

/// Which masks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum MasksOf {
    /// What the run predicts.
    FineTuned,
    /// What its network learned from.
    PseudoLabels,
}

impl MasksOf {
    /// The result of a run.
    fn result(predictor: Predictor) -> Self {
        match predictor {
            Predictor::FineTuned => Self::FineTuned,
            Predictor::Labels => Self::PseudoLabels,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Id,
    Palette,
    Overlay,
    Sheet,
    Coco,
    Cvat,
    LabelStudio,
    Voc,
    Yolo,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PerArgument {
    Category,
    Component,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SegmentationArgument {
    Rle,
    Polygons,
}

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.check_options().or_refuse()?;
        let given = self
            .names
            .as_deref()
            .map(read_names)
            .transpose()
            .or_refuse()?;
        let source = Source::open(&self.place, given.as_ref()).or_refuse()?;
        self.check(&source).or_refuse()?;
        match self.format {
            Format::Sheet => self.write_sheet(&source)?,
            Format::Coco | Format::Cvat | Format::LabelStudio => self.write_file(&source)?,
            _ => self.write_tree(&source)?,
        }
        let (count, categories) = (source.items.len(), source.names.len());
        let out = self.out.display();
        show(format_args!(
            "{out}: {count} masks, {categories} categories"
        ))?;
        Ok(())
    }

    /// Refuses what the format cannot do, whatever the masks.
    fn check_options(&self) -> anyhow::Result<()> {
        ensure!(
            self.format != Format::LabelStudio || self.configuration() != self.out,
            "--out {}: the file of tasks is JSON, and the labelling configuration beside it takes the name .xml; \
             name a file NAME.json",
            self.out.display()
        );
        ensure!(
            self.format != Format::Yolo || !matches!(self.per, Some(PerArgument::Category)),
            "--format yolo --per category: a polygon of YOLO is one component; leave out --per, or use --format coco"
        );
        Ok(())
    }

    /// Refuses what the format has no room for.
    fn check(&self, source: &Source) -> anyhow::Result<()> {
        let largest = source.largest_id();
        ensure!(
            self.format != Format::Palette || largest <= 255,
            "--format palette: ids go to {largest}, an indexed PNG has 0 to 255; use --format id, which then has \
             16 bits"
        );
        ensure!(
            self.format != Format::Voc || source.names.len() < usize::from(voc::VOID),
            "--format voc: {} categories, VOC has room for 254; use --format coco",
            source.names.len()
        );
        let mut names: Vec<&String> = source.names.iter().collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        ensure!(
            twice.is_none(),
            "two categories are called {:?}; give each a name of its own with --names",
            twice.map_or("", |pair| pair[0])
        );
        let mapped = matches!(self.format, Format::Voc | Format::Cvat);
        let problem = voc::label_map_problem(&source.names).filter(|_| mapped);
        ensure!(
            problem.is_none(),
            "{}; give other names with --names",
            problem.unwrap_or_default()
        );
        Ok(())
    }

    fn per(&self) -> Per {
        match self.per {
            Some(PerArgument::Component) => Per::Component,
            None if self.format == Format::Coco => Per::Component,
            _ => Per::Category,
        }
    }

    fn segmentation(&self) -> Segmentation {
        match self.segmentation {
            SegmentationArgument::Rle => Segmentation::Rle,
            SegmentationArgument::Polygons => Segmentation::Polygons,
        }
    }

    /// Does `work` on the pictures on all cores, and hands the results on in the order of the pictures. Few
    /// are in memory at a time.
    fn in_order<T: Send>(
        &self,
        items: &[Item],
        work: impl Fn(&Item) -> anyhow::Result<T> + Sync,
        mut take: impl FnMut(&Item, T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let verbosity = if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Auto
        };
        let mut progress = Progress::new(verbosity, "export", items.len() as u64, "masks");
        for some in items.chunks(2 * rayon::current_num_threads()) {
            let done: Vec<T> = some.par_iter().map(&work).collect::<anyhow::Result<_>>()?;
            for (item, done) in some.iter().zip(done) {
                take(item, done)?;
                progress.advance(1);
            }
        }
        progress.finish();
        Ok(())
    }
}
