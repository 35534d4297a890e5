//! The command line.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use luss_metrics::{MatchingRule, ThresholdRule, folder::MaskFormat};

/// Scores a folder of predicted masks against a folder of true ones.
///
/// Masks are PNG: id = R + 256 G (8-bit RGB, as in ImageNet-S), 8- or 16-bit grey, or a palette
/// whose index is the id. TIFF and .npy masks and COCO annotations are read too, and colours and
/// 0/255 on request (docs/EVALUATE.md, "Masks as other tools write them"). Id 0 is "other" and scored like a class, 1 to C are the classes, and
/// pixels whose true id is the ignore id count nowhere.
///
/// A prediction belongs to the true mask of the same path below its folder; where no path is in
/// both folders, to the one of the same file name. Missing, extra, undecodable or wrongly sized
/// files and unknown ids are listed, and nothing is scored, unless --allow-missing is given.
///
/// Exit code: 0 when scored, 1 when something failed, 2 when refused.
#[derive(Debug, Parser)]
#[command(
    name = "luss-eval",
    version,
    after_help = "Examples:
  Predictions that hold class ids:
    luss-eval --pred out --truth validation-segmentation --classes 50 --json scores.json
  Predictions that hold generated clusters, matched as in the paper:
    luss-eval --pred out --truth validation-segmentation --classes 50 --match image --save-match match.json
  The same matching on other pictures:
    luss-eval --pred out2 --truth truth2 --classes 50 --match match.json
  Attention maps beside the clusters, all thresholds, scored at the best:
    luss-eval --pred ids --truth truth --classes 50 --match image --scores maps --threshold best --threshold-curve curve.csv
  Is A better than B? 95 % intervals from 1000 resamples of the pictures:
    luss-eval --pred A --truth truth --classes 50 --match image --compare B --bootstrap 1000
  Pictures spread over two machines, one report:
    luss-eval --pred out --truth truth1 --classes 50 --match image --save-counts 1.counts
    luss-eval merge 1.counts 2.counts --match image --json scores.json
  A page to look at, with the photographs under the worst and the best masks:
    luss-eval --pred out --truth truth --classes 50 --html page.html --images photographs
  Pascal-like grey masks, ignore id 255, classes that do not occur left out:
    luss-eval --pred out --truth gt --classes 20 --ignore 255 --absent skip

All numbers in files are ratios from 0 to 1; tables are in percent. The JSON is described in docs/EVALUATE.md."
)]
pub(crate) struct Arguments {
    /// `merge FILES…`: merges what --save-counts wrote on several machines into one report, the same
    /// as that of one run over all pictures. Takes --match and the options for the output.
    #[arg(
        value_name = "merge FILES",
        conflicts_with_all = [
            "pred", "truth", "pairs", "pred_suffix", "truth_suffix", "classes", "clusters",
            "scores", "threshold", "threshold_curve", "compare", "compare_scores",
            "allow_missing", "problems", "mask_format", "truth_format", "binary", "colors",
            "ignore", "reduce_zero_label", "absent", "boundary_ignore", "boundary_ratio",
            "out_of_range", "images",
        ]
    )]
    pub(crate) merge: Vec<PathBuf>,

    /// Folder of predicted masks, at any depth, or a COCO file (.json).
    #[arg(long, value_name = "DIR|JSON", required_unless_present_any = ["compare", "pairs", "merge"])]
    pub(crate) pred: Option<PathBuf>,

    /// Folder of true masks, at any depth, or a COCO file (.json).
    #[arg(long, value_name = "DIR|JSON", required_unless_present_any = ["pairs", "merge"])]
    pub(crate) truth: Option<PathBuf>,

    /// List of pairs instead of the two folders (.csv, .txt): a prediction and its true mask a line,
    /// relative to the list; a first line `truth,prediction` turns the order.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pred", "truth", "compare", "pred_suffix", "truth_suffix"])]
    pub(crate) pairs: Option<PathBuf>,

    /// How the names of predictions end, where that differs from the true masks: `_leftImg8bit.png`
    /// pairs with `--truth-suffix _gtFine_labelTrainIds.png`. Other files are not looked at.
    #[arg(long, value_name = "SUFFIX", value_parser = suffix)]
    pub(crate) pred_suffix: Option<String>,

    /// How the names of true masks end.
    #[arg(long, value_name = "SUFFIX", value_parser = suffix)]
    pub(crate) truth_suffix: Option<String>,

    /// Number C of classes, without "other".
    #[arg(
        long,
        value_name = "C",
        value_parser = clap::value_parser!(u16).range(1..65535),
        required_unless_present = "merge"
    )]
    pub(crate) classes: Option<u16>,

    /// What predicted ids mean: `none` (they are classes), `image` (one to one by pictures, the
    /// paper's), `pixel`, `iou` (one to one by pixels or by IoU), `many-to-one`, or a match.json.
    #[arg(long = "match", value_name = "RULE|FILE", default_value = "none")]
    pub(crate) matching: MatchArgument,

    /// Number of predicted ids, if it is not the number of classes [default: C, or those of a match
    /// file].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) clusters: Option<u16>,

    /// Writes the matching in the published form of match.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) save_match: Option<PathBuf>,

    /// Folder of attention maps (.npy, height x width, float16, float32 or float64), one for each
    /// prediction. Pixels with an attention below the threshold become "other".
    #[arg(long, value_name = "DIR", requires = "threshold")]
    pub(crate) scores: Option<PathBuf>,

    /// The attention threshold: a number, `best` (highest matched mIoU of 0, 0.01, … 0.8; uses the
    /// true masks), or, without masks, `otsu` or `share:X` (at most a share X of all pixels stays).
    #[arg(
        long,
        value_name = "T|best|otsu|share:X",
        requires = "scores",
        allow_negative_numbers = true
    )]
    pub(crate) threshold: Option<ThresholdRule>,

    /// Writes matched mIoU at all 81 thresholds (CSV).
    #[arg(long, value_name = "FILE", requires = "scores")]
    pub(crate) threshold_curve: Option<PathBuf>,

    /// Compares with a second folder of predictions, picture by picture: `--pred A --compare B`, or
    /// `--compare A B`.
    #[arg(long, value_name = "DIR", num_args = 1..=2)]
    pub(crate) compare: Vec<PathBuf>,

    /// Attention maps of the second folder; needed with both --compare and --scores.
    #[arg(long, value_name = "DIR", requires_all = ["compare", "scores"])]
    pub(crate) compare_scores: Option<PathBuf>,

    /// 95 % intervals from N resamples of the pictures, the matching fitted anew in each. A
    /// comparison takes 1000 unless told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) bootstrap: Option<u32>,

    /// Start of the bootstrap's random draws.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Scores the complete pictures and leaves out those with a problem, instead of refusing. How
    /// many is printed and written.
    #[arg(long)]
    pub(crate) allow_missing: bool,

    /// Writes all problems (tab-separated: kind, path, message); the terminal shows the first 20.
    #[arg(long, value_name = "FILE")]
    pub(crate) problems: Option<PathBuf>,

    /// How all masks encode ids: `auto` (told from the first file of each folder; another one in
    /// the same folder is a problem), `rg` (R + 256 G), `gray8`, `gray16`, `palette`,
    /// `tiff`, `npy`, `colors`, or `mixed` (each file by itself, PNG and TIFF). The masks of a folder
    /// are the files with the extension of the format.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) mask_format: FormatArgument,

    /// The same for the true masks, if they differ.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) truth_format: Option<FormatArgument>,

    /// Reads masks of two values, 0 and 1 or 255 (all bits, or one bit), as ids 0 and 1.
    #[arg(long, conflicts_with = "colors")]
    pub(crate) binary: bool,

    /// Reads RGB masks as colours: `voc`, `cityscapes` (train ids), or a label map of CVAT or
    /// Datumaro (lines `name:r,g,b`). State a side that holds ids: `--mask-format`, `--truth-format`.
    #[arg(long, value_name = "voc|cityscapes|FILE")]
    pub(crate) colors: Option<String>,

    /// Ids of the true pixels that count nowhere: 0, or above C. Where nothing is ignored, any id
    /// that does not occur.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', num_args = 1, default_values_t = [luss_metrics::IGNORE])]
    pub(crate) ignore: Vec<u16>,

    /// Ignores true 0 and takes 1 from every other true id, as ADE20K is scored; predictions count
    /// from 0 already. C counts the classes of the files.
    #[arg(long)]
    pub(crate) reduce_zero_label: bool,

    /// What a class that occurs in no mask does to the means: counts as 0, as in the published
    /// evaluation, or is left out.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) absent: Absent,

    /// Whether the seam with an ignored region is a boundary, as in the published evaluation, or
    /// ignored pixels are looked through.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) boundary_ignore: Boundary,

    /// Thickness of boundaries as a fraction of the picture's diagonal; above 0, at most 1.
    #[arg(long, value_name = "RATIO", default_value_t = 0.03)]
    pub(crate) boundary_ratio: f64,

    /// What predicted ids above the classes are: an error, or, as in the published evaluation,
    /// nobody's false positives.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) out_of_range: OutOfRangeArgument,

    /// Class names: lines `ID NAME`, or one name a line for the classes 1 to C (or 0 to C).
    #[arg(long, value_name = "FILE")]
    pub(crate) names: Option<PathBuf>,

    /// Adds the scores of each class to the table, the CSV and the Markdown (the JSON always has
    /// them).
    #[arg(long)]
    pub(crate) per_class: bool,

    /// Writes everything as JSON; `-` is the standard output, in place of the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the scores as CSV (metric, id, name, value, low, high).
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Writes the scores as Markdown, in percent.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Writes a page to look at: scores, classes, confusion matrix, the worst and the best pictures. One
    /// file that needs no network.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Folder of the photographs, which the page shows under the masks; paired by path or name as
    /// predictions are.
    #[arg(long, value_name = "DIR", requires = "html")]
    pub(crate) images: Option<PathBuf>,

    /// Writes the confusion matrix as CSV: a row for each true label, a column for each predicted
    /// one, in pixels.
    #[arg(long, value_name = "FILE")]
    pub(crate) confusion: Option<PathBuf>,

    /// Writes the counts of all pictures, for `luss-eval merge`.
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    pub(crate) save_counts: Option<PathBuf>,

    /// Threads; 0 takes all cores. The result is the same for any number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,

    /// No table, no progress, no notes; problems and errors are still printed.
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Arguments {
    /// The files that are written.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &Path> {
        let Self {
            json,
            csv,
            markdown,
            html,
            problems,
            save_match,
            threshold_curve,
            confusion,
            save_counts,
            ..
        } = self;
        let scores = [json, csv, markdown, html, confusion];
        let others = [problems, save_match, threshold_curve, save_counts];
        let all = scores.into_iter().chain(others);
        all.flatten().map(PathBuf::as_path)
    }

    /// The files to merge, if that is asked for.
    pub(crate) fn shards(&self) -> Result<Option<&[PathBuf]>> {
        match self.merge.as_slice() {
            [] => Ok(None),
            [word, files @ ..] if word == Path::new("merge") && !files.is_empty() => {
                Ok(Some(files))
            }
            [word, ..] => bail!(
                "{}: folders are given as --pred and --truth, counts to merge as `merge FILES…`",
                word.display()
            ),
        }
    }
}

/// The value of `--match`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MatchArgument {
    None,
    Fit(MatchingRule),
    File(PathBuf),
}

impl FromStr for MatchArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = MatchingRule::ALL
            .into_iter()
            .find(|rule| rule.name() == text);
        match (text, rule) {
            ("none", _) => Ok(MatchArgument::None),
            (_, Some(rule)) => Ok(MatchArgument::Fit(rule)),
            ("", None) => Err("a rule or a file is needed".into()),
            (file, None) => Ok(MatchArgument::File(file.into())),
        }
    }
}

/// The value of `--mask-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormatArgument {
    Auto,
    Mixed,
    Stated(MaskFormat),
}

impl FromStr for FormatArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(FormatArgument::Auto),
            "mixed" => Ok(FormatArgument::Mixed),
            _ => match text.parse() {
                Ok(format) if format != MaskFormat::Binary => Ok(FormatArgument::Stated(format)),
                _ => Err(
                    "known are auto, rg, gray8, gray16, palette, colors, tiff, npy, mixed".into(),
                ),
            },
        }
    }
}

fn suffix(text: &str) -> Result<String, String> {
    match text {
        "" => Err("an empty suffix is that of every name; leave the option out".into()),
        text if text.contains(['/', '\\']) => Err("a suffix is the end of a file name".into()),
        text => Ok(text.into()),
    }
}

/// The values of `--absent`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Absent {
    #[default]
    Zero,
    Skip,
}

/// The values of `--boundary-ignore`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Boundary {
    #[default]
    Edge,
    Transparent,
}

/// The values of `--out-of-range`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum OutOfRangeArgument {
    #[default]
    Error,
    Reference,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What `merge` takes; everything else was settled when the counts were made.
    const OF_MERGE: [&str; 15] = [
        "merge",
        "matching",
        "save_match",
        "bootstrap",
        "seed",
        "names",
        "per_class",
        "json",
        "csv",
        "markdown",
        "html",
        "confusion",
        "save_counts",
        "threads",
        "quiet",
    ];

    #[test]
    fn merge_takes_an_option_or_refuses_it() {
        let command = Arguments::command();
        let all = || command.get_arguments();
        let merge = all().find(|argument| argument.get_id() == "merge").unwrap();
        let refused = command.get_arg_conflicts_with(merge);
        for argument in all() {
            let id = argument.get_id().as_str();
            let is_refused = refused.iter().any(|other| other.get_id() == id);
            assert_ne!(is_refused, OF_MERGE.contains(&id), "{id}");
        }
    }
}
