//! Every picture and every mask is read once before a run starts.
//!
//! A bad file among a million would otherwise stop the training after hours. A folder with more
//! than one bad file is told about all of them at once.

use std::{error::Error as _, fmt, path::Path, time::Instant};

use imagenet_s::{Dataset, OddPictures, Sample, Split, TraitCounts};
use rayon::prelude::*;

use super::{
    check_summary::{CheckSummary, Skipped, left_out_folders, notes},
    enough::check_counts,
};
use crate::{Error, Progress, RunFile, Step, Verbosity, run_file::BadPictures};

/// Faults that the message spells out; the rest is counted.
const SHOWN: usize = 20;

/// Files between two updates of the progress.
const CHUNK: usize = 256;

/// The bad files of a dataset.
#[derive(Debug)]
pub struct Faults {
    /// Pictures that were checked.
    pub pictures: usize,
    /// Bad pictures and masks.
    pub count: usize,
    /// The first of them in the order of the splits, at most 20.
    pub first: Vec<imagenet_s::Error>,
    /// Whether all of them are training pictures, which a run can leave out.
    pub may_be_skipped: bool,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.count == 1 { "file" } else { "files" };
        write!(
            f,
            "{} bad {files} among {} pictures and their masks; repair, replace or remove each:",
            self.count, self.pictures
        )?;
        for fault in &self.first {
            write!(f, "\n  {fault}")?;
            if let Some(cause) = fault.source() {
                write!(f, ": {cause}")?;
            }
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Reads every picture and mask that the run in the folder `run` will need, those of `data.pretrain_pictures` included,
/// and checks that there are enough of them for the run file.
///
/// # Errors
///
/// [`Error::TooFewPictures`], also when too few are left; [`Error::Faults`] with all bad files
/// that must not be skipped; [`Error::Data`] if `data.pretrain_pictures` cannot be opened.
pub(crate) fn check_data(
    run: &Path,
    file: &RunFile,
    data: &Dataset,
    verbosity: Verbosity,
) -> Result<CheckSummary, Error> {
    let started = Instant::now();
    let extra = file.data.open_pretrain_pictures(run, data.classes())?;
    check_counts(file, data, extra.as_ref())?;
    let samples = samples_of(data, extra.as_ref());
    let (found, counts) = read_all(data, &samples, file.data.odd_pictures, verbosity);
    let skipped = skipped_or_refused(found, file.data.bad_pictures, samples.len())?;
    let summary = CheckSummary {
        pictures: samples.len(),
        masks: samples
            .iter()
            .filter(|(_, sample)| sample.mask.is_some())
            .count(),
        skipped,
        left_out_folders: left_out_folders(data, extra.as_ref()),
        notes: notes(data, extra.as_ref(), &counts),
        seconds: started.elapsed().as_secs_f64(),
    };
    let left_out = summary.left_out();
    let left = |data: &Dataset| data.clone().without(Split::Train, &left_out);
    check_counts(file, &left(data), extra.as_ref().map(left).as_ref())?;
    Ok(summary)
}

/// Every sample of a run with its split.
fn samples_of<'a>(data: &'a Dataset, extra: Option<&'a Dataset>) -> Vec<(Split, &'a Sample)> {
    let of = |data: &'a Dataset, split| {
        data.samples(split)
            .iter()
            .map(move |sample| (split, sample))
    };
    let all = Split::ALL.into_iter().flat_map(|split| of(data, split));
    all.chain(extra.into_iter().flat_map(|data| of(data, Split::Train)))
        .collect()
}

/// What can be done without, or an error that names the rest.
fn skipped_or_refused(
    found: Vec<Found<'_>>,
    bad_pictures: BadPictures,
    pictures: usize,
) -> Result<Vec<Skipped>, Error> {
    let may_skip = |found: &Found| bad_pictures == BadPictures::Skip && found.split == Split::Train;
    let (skipped, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(may_skip);
    if refused.is_empty() {
        return Ok(skipped.into_iter().map(Skipped::from).collect());
    }
    Err(Error::Faults(Faults {
        may_be_skipped: refused.iter().all(|found| found.split == Split::Train),
        pictures,
        count: refused.len(),
        first: refused
            .into_iter()
            .take(SHOWN)
            .map(|found| found.error)
            .collect(),
    }))
}

/// Something that is wrong with a sample.
struct Found<'a> {
    split: Split,
    sample: &'a Sample,
    error: imagenet_s::Error,
}

impl From<Found<'_>> for Skipped {
    fn from(found: Found<'_>) -> Self {
        let cause = found.error.source().map(|cause| format!(": {cause}"));
        Self {
            picture: found.sample.picture.clone(),
            reason: format!("{}{}", found.error, cause.unwrap_or_default()),
        }
    }
}

/// Reads all samples on all threads; collects what is wrong with them, in their order, and what is
/// worth knowing of the sound ones.
fn read_all<'a>(
    data: &Dataset,
    samples: &[(Split, &'a Sample)],
    odd: OddPictures,
    verbosity: Verbosity,
) -> (Vec<Found<'a>>, TraitCounts) {
    let total = samples.len() as u64;
    let mut progress = Progress::new(verbosity, Step::CheckData.name(), total, "images");
    let (mut found, mut counts) = (Vec::new(), TraitCounts::default());
    for chunk in samples.chunks(CHUNK) {
        let read = chunk.par_iter().map(|&(split, sample)| {
            let (errors, counts) = data.examine(sample, odd);
            let found = move |error| Found {
                split,
                sample,
                error,
            };
            (errors.into_iter().map(found).collect::<Vec<_>>(), counts)
        });
        for (errors, of_sample) in read.collect::<Vec<_>>() {
            found.extend(errors);
            counts += &of_sample;
        }
        progress.advance(chunk.len() as u64);
    }
    progress.finish();
    (found, counts)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use imagenet_s::{
        synthetic::{SyntheticConfig, write_synthetic},
        write_mask,
    };
    use luss_metrics::LabelMask;

    use super::*;

    fn tiny_tree(root: &Path) -> Dataset {
        let config = SyntheticConfig {
            classes: 3,
            train: 30,
            train_semi_per_class: 1,
            validation: 5,
            test: 1,
            side_px: 32,
            ..SyntheticConfig::default()
        };
        write_synthetic(root, &config).unwrap();
        Dataset::open(root).unwrap_or_else(|error| panic!("{error}"))
    }

    fn run_file(text: &str) -> RunFile {
        let small = "[pretrain]\nbatch = 8\n[attention]\nbatch = 8\n[finetune]\nbatch = 8\n";
        RunFile::parse(&format!("{text}\n{small}"), "test", &[]).unwrap()
    }

    fn check(file: &RunFile, data: &Dataset) -> Result<CheckSummary, Error> {
        check_data(Path::new("run"), file, data, Verbosity::Quiet)
    }

    fn truncate(path: &Path) {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }

    #[test]
    fn a_sound_tree_passes_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let summary = check(&run_file(""), &data).unwrap();
        assert_eq!([summary.pictures, summary.masks], [39, 8]);
    }

    #[test]
    fn all_bad_files_are_told_at_once_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let picture = &data.samples(Split::Train)[4].picture;
        truncate(picture);
        let mask = data.samples(Split::Validation)[1].mask.clone().unwrap();
        write_mask(&mask, &LabelMask::new(3, 2, vec![0; 6]).unwrap()).unwrap();
        let Err(Error::Faults(faults)) = check(&run_file(""), &data) else {
            panic!("two bad files pass");
        };
        assert_eq!([faults.count, faults.first.len()], [2, 2]);
        let message = faults.to_string();
        let (first, second) = (
            message.find(picture.to_str().unwrap()),
            message.find("3 x 2"),
        );
        assert!(first.is_some() && first < second, "{message}");
    }

    #[test]
    fn a_bad_picture_does_not_hide_a_bad_mask() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let sample = &data.samples(Split::Validation)[2];
        truncate(&sample.picture);
        truncate(sample.mask.as_deref().unwrap());
        let Err(Error::Faults(faults)) = check(&run_file(""), &data) else {
            panic!("two bad files pass");
        };
        assert_eq!(faults.count, 2);
    }

    #[test]
    fn bad_training_pictures_are_skipped_on_demand_and_others_never() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let picture = &data.samples(Split::Train)[4].picture;
        truncate(picture);
        let file = run_file("[data]\nbad_pictures = \"skip\"");
        let summary = check(&file, &data).unwrap();
        assert_eq!(summary.left_out(), BTreeSet::from([picture.clone()]));
        assert!(summary.skipped[0].reason.contains("is truncated"));

        truncate(&data.samples(Split::Validation)[0].picture);
        let Err(Error::Faults(faults)) = check(&file, &data) else {
            panic!("a bad picture of the validation passes");
        };
        assert_eq!(faults.count, 1);
    }

    #[test]
    fn skipping_must_leave_enough_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        data.samples(Split::Train)
            .iter()
            .take(23)
            .for_each(|sample| truncate(&sample.picture));
        let error = check(&run_file("[data]\nbad_pictures = \"skip\""), &data).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooFewPictures {
                    pictures: 7,
                    needed: 8,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn the_message_lists_twenty_and_counts_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        data.samples(Split::Train)
            .iter()
            .take(23)
            .for_each(|sample| truncate(&sample.picture));
        let message = check(&run_file(""), &data).unwrap_err().to_string();
        assert!(
            message.starts_with("23 bad files among 39 pictures"),
            "{message}"
        );
        assert_eq!(message.matches("is truncated").count(), SHOWN);
        assert!(message.ends_with("and 3 more"), "{message}");
    }

    #[test]
    fn the_pictures_of_step_1_are_checked_too() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let other = tiny_tree(&dir.path().join("other"));
        let picture = &other.samples(Split::Train)[0].picture;
        truncate(picture);
        let folder = Split::Train.pictures(other.root());
        let file = run_file(&format!("[data]\npretrain_pictures = {folder:?}"));
        let message = check(&file, &data).unwrap_err().to_string();
        assert!(message.contains(picture.to_str().unwrap()), "{message}");
    }

    #[test]
    fn a_batch_that_no_step_can_fill_is_refused_before_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_tree(&dir.path().join("tree"));
        let mut file = run_file("");
        file.finetune.batch = 31;
        let message = check(&file, &data).unwrap_err().to_string();
        assert!(
            message.contains("finetune: 30 pictures are too few"),
            "{message}"
        );
    }
}
