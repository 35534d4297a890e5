//! Every picture and every mask is read once before a run starts.
//!
//! A bad file among a million would otherwise stop the training after hours. A folder with more
//! than one bad file is told about all of them at once.

use std::{error::Error as _, fmt, time::Instant};

use imagenet_s::{Dataset, OddPictures, Sample, Split, read_mask, read_picture};
use rayon::prelude::*;
use serde::Serialize;

use crate::{Error, Progress, RunFile, Step, Verbosity};

/// Faults that the message spells out; the rest is counted.
const SHOWN: usize = 20;

/// Files between two updates of the progress.
const CHUNK: usize = 256;

/// What the check leaves in `done/check_data.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CheckSummary {
    /// Pictures that were read.
    pictures: usize,
    /// Masks that were read.
    masks: usize,
    /// Wall time.
    seconds: f64,
}

/// The bad files of a dataset.
#[derive(Debug)]
pub struct Faults {
    /// Pictures that were checked.
    pub pictures: usize,
    /// Bad pictures and masks.
    pub count: usize,
    /// The first of them in the order of the splits, at most 20.
    pub first: Vec<imagenet_s::Error>,
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

/// Reads every picture and mask that a run will need, those of `data.pretrain_pictures` included,
/// and checks that there are enough of them for the run file.
///
/// # Errors
///
/// [`Error::TooFewPictures`], [`Error::Faults`] with all bad files, or [`Error::Data`] if
/// `data.pretrain_pictures` cannot be opened.
pub(crate) fn check_data(
    file: &RunFile,
    data: &Dataset,
    verbosity: Verbosity,
) -> Result<CheckSummary, Error> {
    let started = Instant::now();
    let extra = match &file.data.pretrain_pictures {
        Some(folder) => Some(Dataset::open_pictures(folder, data.classes())?),
        None => None,
    };
    check_counts(file, data, extra.as_ref())?;
    let samples: Vec<&Sample> = Split::ALL
        .into_iter()
        .flat_map(|split| data.samples(split))
        .chain(extra.iter().flat_map(|data| data.samples(Split::Train)))
        .collect();
    read_all(data, &samples, file.data.odd_pictures, verbosity)?;
    Ok(CheckSummary {
        pictures: samples.len(),
        masks: samples
            .iter()
            .filter(|sample| sample.mask.is_some())
            .count(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Refuses data with fewer training pictures than a batch of a training step or than clusters.
fn check_counts(file: &RunFile, data: &Dataset, extra: Option<&Dataset>) -> Result<(), Error> {
    let train = data.samples(Split::Train).len();
    let for_step_1 = extra.map_or(train, |extra| extra.samples(Split::Train).len());
    let batches = [
        (
            Step::Pretrain,
            for_step_1,
            file.pretrain.batch,
            file.pretrain.epochs,
        ),
        (
            Step::TuneAttention,
            train,
            file.attention.batch,
            file.attention.epochs,
        ),
        (
            Step::Finetune,
            train,
            file.finetune.batch,
            file.finetune.epochs,
        ),
    ];
    for (step, pictures, batch, epochs) in batches {
        if pictures < batch && epochs > 0 {
            return Err(Error::TooFewPictures {
                step: step.name(),
                pictures,
                what: "a batch of",
                needed: batch,
                remedy: "add pictures or lower this step's `batch` in the run file",
            });
        }
    }
    let clusters = usize::from(data.classes());
    if train < clusters {
        return Err(Error::TooFewPictures {
            step: Step::Cluster.name(),
            pictures: train,
            what: "clusters:",
            needed: clusters,
            remedy: "add pictures or ask for fewer classes",
        });
    }
    Ok(())
}

/// Reads all samples on all threads and collects what is wrong with them, in their order.
fn read_all(
    data: &Dataset,
    samples: &[&Sample],
    odd: OddPictures,
    verbosity: Verbosity,
) -> Result<(), Error> {
    let total = samples.len();
    let mut progress = Progress::new(verbosity, Step::CheckData.name(), total as u64, "pictures");
    let (mut count, mut first) = (0, Vec::new());
    for chunk in samples.chunks(CHUNK) {
        let faults: Vec<imagenet_s::Error> = chunk
            .par_iter()
            .flat_map_iter(|sample| faults_of(data, sample, odd))
            .collect();
        count += faults.len();
        let room = SHOWN - first.len();
        first.extend(faults.into_iter().take(room));
        progress.advance(chunk.len() as u64);
    }
    if count > 0 {
        return Err(Error::Faults(Faults {
            pictures: total,
            count,
            first,
        }));
    }
    progress.finish();
    Ok(())
}

/// What is wrong with a picture and with its mask.
fn faults_of(data: &Dataset, sample: &Sample, odd: OddPictures) -> Vec<imagenet_s::Error> {
    let picture = read_picture(&sample.picture, odd);
    let mask = sample.mask.as_deref().map(|path| {
        let mask = read_mask(path)?;
        match &picture {
            Ok(picture) => {
                let size_px = (picture.width() as usize, picture.height() as usize);
                data.check_mask(&mask, path, size_px)
            }
            Err(_) => Ok(()),
        }
    });
    picture
        .err()
        .into_iter()
        .chain(mask.and_then(Result::err))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

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
        check_data(file, data, Verbosity::Quiet)
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
