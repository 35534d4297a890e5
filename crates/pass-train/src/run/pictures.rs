//! The pictures that a run began with: `pictures.jsonl`, compared at each later start.
//!
//! Of each picture there are the key, the length of its file, and the CRC-32C of the first 4 KiB; of
//! splits with more than 10 000 pictures the latter is that of one in so many only. So another set of
//! pictures is seen, and a picture with other contents unless it has the same length to the byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
};

use imagenet_s::{Dataset, Sample, Split};
use rayon::prelude::*;

use crate::{Error, RunDir};

/// The list in the run directory.
const LIST: &str = "pictures.jsonl";

/// Bytes of a picture that are summed.
const BEGINNING: u64 = 4096;

/// Pictures of a split whose beginnings are summed, about.
const SUMMED: usize = 10_000;

/// Changes that the message spells out; the rest is counted.
const SHOWN: usize = 10;

/// Split and key.
type Name = (String, String);

/// What is known of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Facts {
    bytes: u64,
    sum: Option<u32>,
}

/// How the pictures differ from those that a run began with.
#[derive(Debug)]
pub struct ChangedPictures {
    /// The list of those that it began with.
    pub list: PathBuf,
    /// Pictures at the beginning and now.
    pub pictures: [usize; 2],
    /// Pictures that are gone, new or others.
    pub count: usize,
    /// The first of them, with what has become of them, at most 10.
    pub first: Vec<String>,
}

impl fmt::Display for ChangedPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, now] = self.pictures;
        write!(
            f,
            "these are not the pictures that the run began with ({before}, now {now}; {}):",
            self.list.display()
        )?;
        for change in &self.first {
            write!(f, "\n  {change}")?;
        }
        if self.count > self.first.len() {
            write!(f, "\n  and {} more", self.count - self.first.len())?;
        }
        write!(
            f,
            "\nput them back as they were, and the same command goes on; or begin a run on the present \
             ones: the same command with another folder behind --run"
        )
    }
}

/// Keeps the list of the pictures where there is none, else compares.
///
/// `extra` are those of step 1 alone. `is_new` says that the run begins now; an older one without a list is told to have one from now on.
///
/// # Errors
///
/// [`Error::ChangedPictures`]; a picture or the list that cannot be read.
pub(crate) fn keep_or_compare(
    run: &RunDir,
    data: &Dataset,
    extra: Option<&Dataset>,
    is_new: bool,
) -> Result<(), Error> {
    let now = facts_of_all(data, extra)?;
    let list = run.file(LIST);
    if is_new || !list.exists() {
        return write(&list, &now);
    }
    match changes(&read(&list)?, &now) {
        (_, 0, _) => Ok(()),
        (pictures, count, first) => Err(Error::ChangedPictures(ChangedPictures {
            list,
            pictures,
            count,
            first,
        })),
    }
}

fn facts_of_all(data: &Dataset, extra: Option<&Dataset>) -> Result<BTreeMap<Name, Facts>, Error> {
    let own = Split::ALL.map(|split| (split.name(), data.samples(split)));
    let extra = extra.map(|data| ("pretrain", data.samples(Split::Train)));
    let mut all = BTreeMap::new();
    for (split, samples) in own.into_iter().chain(extra) {
        let every = samples.len().div_ceil(SUMMED).max(1);
        let facts = samples.par_iter().enumerate().map(|(index, sample)| {
            let name = (split.to_owned(), sample.key.clone());
            Ok((name, facts_of(sample, index % every == 0)?))
        });
        all.par_extend(facts.collect::<Result<Vec<_>, Error>>()?);
    }
    Ok(all)
}

fn facts_of(sample: &Sample, summed: bool) -> Result<Facts, Error> {
    let (bytes, beginning) = sample.beginning(if summed { BEGINNING } else { 0 })?;
    let sum = summed.then(|| crc32c::crc32c(&beginning));
    Ok(Facts { bytes, sum })
}

/// The numbers of pictures, how many are gone, new or others, and the first of these in words. A split
/// that was empty at the beginning may have come since: nothing was made of it.
fn changes(
    before: &BTreeMap<Name, Facts>,
    now: &BTreeMap<Name, Facts>,
) -> ([usize; 2], usize, Vec<String>) {
    let known: BTreeSet<&str> = before.keys().map(|(split, _)| split.as_str()).collect();
    let names: BTreeSet<&Name> = before.keys().chain(now.keys()).collect();
    let names = names
        .into_iter()
        .filter(|name| known.contains(name.0.as_str()));
    let change = |name: &Name| {
        let words = match (before.get(name)?, now.get(name)) {
            (_, None) => "is gone".to_owned(),
            (a, Some(b)) if a.bytes != b.bytes => {
                format!("is another picture: {} bytes, now {}", a.bytes, b.bytes)
            }
            (a, Some(b)) if a.sum.is_some() && b.sum.is_some() && a.sum != b.sum => {
                "is another picture of as many bytes".to_owned()
            }
            _ => return None,
        };
        Some(format!("{}: {} {words}", name.0, name.1))
    };
    let told = |name: &Name| match before.contains_key(name) {
        true => change(name),
        false => Some(format!("{}: {} is new", name.0, name.1)),
    };
    let mut told: Vec<String> = names.filter_map(told).collect();
    let count = told.len();
    told.truncate(SHOWN);
    ([before.len(), now.len()], count, told)
}

/// A line a picture: `["train", "dog/n1", 1234, 567]`.
fn write(list: &Path, pictures: &BTreeMap<Name, Facts>) -> Result<(), Error> {
    let written = whole_file::write(list, |file| {
        for ((split, key), facts) in pictures {
            serde_json::to_writer(&mut *file, &(split, key, facts.bytes, facts.sum))?;
            file.write_all(b"\n")?;
        }
        Ok(())
    });
    written.map_err(Error::io(list, "write"))
}

fn read(list: &Path) -> Result<BTreeMap<Name, Facts>, Error> {
    let text = fs::read_to_string(list).map_err(Error::io(list, "read"))?;
    let picture = |line: &str| {
        let (split, key, bytes, sum) = serde_json::from_str(line)?;
        Ok(((split, key), Facts { bytes, sum }))
    };
    let pictures: Result<_, serde_json::Error> = text.lines().map(picture).collect();
    pictures.map_err(|cause| Error::Damaged {
        path: list.into(),
        cause: cause.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(all: &[(&str, &str, u64, Option<u32>)]) -> BTreeMap<Name, Facts> {
        let picture = |&(split, key, bytes, sum): &(&str, &str, u64, Option<u32>)| {
            ((split.to_owned(), key.to_owned()), Facts { bytes, sum })
        };
        all.iter().map(picture).collect()
    }

    #[test]
    fn each_kind_of_change_is_named() {
        let before = pictures(&[
            ("train", "a", 10, Some(1)),
            ("train", "b", 11, Some(2)),
            ("train", "c\n", 12, Some(3)),
            ("train", "d", 13, None),
        ]);
        let now = pictures(&[
            ("test", "a", 10, None),
            ("train", "a", 10, Some(7)),
            ("train", "b", 99, Some(2)),
            ("train", "d", 13, Some(5)),
            ("train", "e", 9, None),
        ]);
        let (counts, count, told) = changes(&before, &now);
        assert_eq!((counts, count), ([4, 5], 4));
        assert_eq!(
            told,
            [
                "train: a is another picture of as many bytes",
                "train: b is another picture: 11 bytes, now 99",
                "train: c\n is gone",
                "train: e is new",
            ]
        );
        assert_eq!(changes(&before, &before).1, 0);
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join(LIST);
        write(&list, &before).unwrap();
        assert_eq!(read(&list).unwrap(), before);
    }

    #[test]
    fn ten_are_spelled_out_and_the_rest_is_counted() {
        let keys: Vec<String> = (0..23).map(|n| format!("{n:02}")).collect();
        let all: Vec<_> = keys
            .iter()
            .map(|key| ("train", key.as_str(), 1, None))
            .collect();
        let (pictures, count, first) = changes(&pictures(&all), &BTreeMap::new());
        let list = LIST.into();
        let said = Error::ChangedPictures(ChangedPictures {
            list,
            pictures,
            count,
            first,
        })
        .to_string();
        assert!(
            said.contains("(23, now 0;") && said.contains("and 13 more"),
            "{said}"
        );
        assert!(said.contains("same command with another folder"), "{said}");
    }
}
