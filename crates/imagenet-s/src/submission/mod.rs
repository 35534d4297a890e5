//! Submissions: the archive of predictions that the ImageNet-S test server takes.
//!
//! ```text
//! CLASS/NAME.png     a predicted mask for each picture of the split
//! match.json         generated id -> class id, if the ids are not classes already
//! method.txt         six lines about the method
//! ```

mod error;
mod method;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use luss_metrics::Matching;
use rayon::prelude::*;
use whole_file::WholeFile;
use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use crate::{
    Dataset, Sample, Split,
    checksums::md5_of,
    dataset::{samples::is_mask, scan::scan},
    error::Error,
    layout::MASK_EXTENSION,
    pictures::mask_png::decode_mask,
    progress::{Counter, Watcher},
};

pub use error::{Faults, SubmissionError};
pub use method::Method;

/// The matching in an archive.
pub const MATCH_FILE: &str = "match.json";

/// The description of the method in an archive.
pub const METHOD_FILE: &str = "method.txt";

/// What is to be handed in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The split that was predicted.
    pub split: Split,
    /// The folder of predictions: `CLASS/NAME.png`, for each picture of the split.
    pub predictions: PathBuf,
    /// A `match.json` to put in.
    pub matching: Option<PathBuf>,
    /// What `method.txt` says.
    pub method: Method,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Predictions in the archive.
    pub predictions: u64,
    /// Size of the archive.
    pub bytes: u64,
}

/// Checks all predictions, and writes them into a zip archive.
///
/// There must be a mask for each picture of the split and no other, of the picture's size, with the
/// ids of clusters or classes, or 0. Masks go in as they are, the order is that of the names, and no
/// time is stored: the same predictions give the same archive. It is read again before it gets its
/// name, and compared with what was checked.
///
/// # Errors
///
/// [`SubmissionError`]; a file that was at `output` before is then still there.
pub fn write_submission(
    data: &Dataset,
    submission: &Submission,
    output: &Path,
    watcher: Watcher<'_>,
) -> Result<Summary, SubmissionError> {
    let samples = data.samples(submission.split);
    if samples.is_empty() {
        let (root, split) = (data.root().to_owned(), submission.split);
        return Err(SubmissionError::EmptySplit { root, split });
    }
    let method = submission.method.text()?;
    let matching = submission.matching.as_deref();
    let matching = matching
        .map(|path| read_matching(path, data.classes()))
        .transpose()?;
    let largest_id = match &matching {
        Some((_, clusters)) => *clusters,
        None => data.classes(),
    };
    let sums = check_predictions(samples, &submission.predictions, largest_id, watcher)?;
    let mut texts = vec![(METHOD_FILE, method)];
    texts.extend(matching.map(|(text, _)| (MATCH_FILE, text)));

    let mut file = WholeFile::create(output).map_err(Error::io(output))?;
    write_archive(&mut file, &submission.predictions, &sums, &texts)?;
    check_archive(file.temporary(), &sums, &texts, watcher)?;
    file.commit().map_err(Error::io(output))?;
    Ok(Summary {
        predictions: sums.len() as u64,
        bytes: fs::metadata(output).map_err(Error::io(output))?.len(),
    })
}

/// The text of a matching and its number of clusters.
fn read_matching(path: &Path, classes: u16) -> Result<(String, u16), SubmissionError> {
    let refused = |reason: String| SubmissionError::Matching {
        path: path.to_owned(),
        reason,
    };
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let matching = Matching::from_json(&text).map_err(|error| refused(error.to_string()))?;
    let mut ids = (1..=matching.clusters()).map(|cluster| matching.class_of(cluster));
    match ids.find(|&class| class > classes) {
        Some(class) => Err(refused(format!("class {class}, of 1 to {classes}"))),
        None => Ok((text, matching.clusters())),
    }
}

/// The sum of each prediction by its name in the archive.
fn check_predictions(
    samples: &[Sample],
    folder: &Path,
    largest_id: u16,
    watcher: Watcher<'_>,
) -> Result<BTreeMap<String, String>, SubmissionError> {
    let found: BTreeSet<String> = scan(folder, is_mask)?
        .files
        .into_iter()
        .map(|file| file.key)
        .collect();
    let counter = Counter::new("checking predictions", samples.len(), watcher);
    let checked = samples.par_iter().map(|sample| {
        counter.step();
        match found.contains(&sample.key) {
            true => check_prediction(sample, folder, largest_id).map_err(told),
            false => Err(format!("{}: there is no prediction", sample.key)),
        }
    });
    let checked: Vec<Result<String, String>> = checked.collect();
    let keys: BTreeSet<&str> = samples.iter().map(|sample| sample.key.as_str()).collect();
    let extra = found.iter().filter(|key| !keys.contains(key.as_str()));
    let extra = extra.map(|key| format!("{key}: there is no such picture in this split"));
    let faults = checked.iter().filter_map(|result| result.as_ref().err());
    let faults: Vec<String> = faults.cloned().chain(extra).collect();
    if !faults.is_empty() {
        return Err(SubmissionError::Predictions {
            predictions: folder.to_owned(),
            faults: Faults(faults),
        });
    }
    let names = samples.iter().map(|sample| archive_name(&sample.key));
    Ok(names.zip(checked.into_iter().flatten()).collect())
}

fn told(error: Error) -> String {
    if let Error::IdOutOfRange { path, id, classes } = &error {
        let path = path.display();
        return format!("{path}: id {id}; predictions have 0 (other) and 1 to {classes}");
    }
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn archive_name(key: &str) -> String {
    format!("{key}.{MASK_EXTENSION}")
}

/// The sum of a prediction that is right.
fn check_prediction(sample: &Sample, folder: &Path, largest_id: u16) -> Result<String, Error> {
    let path = folder.join(archive_name(&sample.key));
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let mask = decode_mask(&bytes, &path)?;
    let picture_px = sample.picture_size()?;
    if mask.size() != picture_px {
        let mask_px = mask.size();
        return Err(Error::MaskSize {
            path,
            mask_px,
            picture_px,
        });
    }
    match mask.labels().iter().find(|&&id| id > largest_id) {
        Some(&id) => Err(Error::IdOutOfRange {
            path,
            id,
            classes: largest_id,
        }),
        None => Ok(md5_of(&bytes)),
    }
}

/// Masks are compressed already, so they are stored.
fn write_archive(
    file: &mut WholeFile,
    predictions: &Path,
    sums: &BTreeMap<String, String>,
    texts: &[(&str, String)],
) -> Result<(), SubmissionError> {
    let path = file.temporary().to_owned();
    let failed = |reason: ZipError| archive_error(&path, reason);
    let mut archive = ZipWriter::new(&mut **file);
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::DEFAULT);
    let mut put = |name: &str, bytes: &[u8]| -> Result<(), SubmissionError> {
        archive.start_file(name, options).map_err(failed)?;
        Ok(archive.write_all(bytes).map_err(Error::io(&path))?)
    };
    for name in sums.keys() {
        let prediction = predictions.join(name);
        put(
            name,
            &fs::read(&prediction).map_err(Error::io(&prediction))?,
        )?;
    }
    for (name, text) in texts {
        put(name, text.as_bytes())?;
    }
    let file = archive.finish().map_err(failed)?;
    Ok(file.flush().map_err(Error::io(&path))?)
}

fn archive_error(path: &Path, reason: impl fmt::Display) -> SubmissionError {
    SubmissionError::Archive {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Reads the archive as the server will.
fn check_archive(
    path: &Path,
    sums: &BTreeMap<String, String>,
    texts: &[(&str, String)],
    watcher: Watcher<'_>,
) -> Result<(), SubmissionError> {
    let mut expected: BTreeMap<String, String> = sums.clone();
    expected.extend(
        texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), md5_of(text.as_bytes()))),
    );
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut archive = ZipArchive::new(file).map_err(|error| archive_error(path, error))?;
    let counter = Counter::new("reading the archive again", archive.len(), watcher);
    for at in 0..archive.len() {
        let mut entry = archive
            .by_index(at)
            .map_err(|error| archive_error(path, error))?;
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| archive_error(path, error))?;
        let name = entry.name().map_err(|error| archive_error(path, error))?;
        if expected.remove(name.as_ref()) != Some(md5_of(&bytes)) {
            let reason = format!("{name} changed while it was packed; start again");
            return Err(archive_error(path, reason));
        }
        counter.step();
    }
    match expected.keys().next() {
        Some(name) => Err(archive_error(path, format!("{name} is not in it"))),
        None => Ok(()),
    }
}
