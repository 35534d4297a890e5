//! What a folder of masks is made of: `.segment/plan.json`. What was begun goes on with the same pictures and
//! the same model only.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use imagenet_s::{Decoding, Loader, OddPictures, Sample, layout::EXPORTED};
use pass_train::{Progress, Verbosity, apply::Sizing};
use serde::{Deserialize, Serialize};

use super::inputs::listed;

/// Bytes of a picture that are summed.
const BEGINNING: u64 = 4096;

/// What helps against masks that were made otherwise.
const ADVICE: &str = "name another folder with --out, or remove this one";

/// All that decides the masks, beside the pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The sum of all that the model's labels depend on.
    pub model_sha256: String,
    /// Sizes of pictures.
    pub sizing: Sizing,
    /// How files become pixels.
    pub decoding: Decoding,
    /// How pictures with an unusual encoding are read.
    pub odd_pictures: OddPictures,
    /// What the categories are called, from 1 on.
    pub names: Vec<String>,
    /// Whether pictures that cannot be read are left out.
    pub skip_broken: bool,
}

/// A picture that can be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The mask is `KEY.png`.
    pub key: String,
    /// The picture.
    pub path: PathBuf,
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// Of the file, and the CRC-32C of its first 4 KiB.
    bytes: u64,
    crc32c: u32,
}

/// A picture that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The picture.
    pub path: PathBuf,
    /// Why.
    pub cause: String,
    /// Of the file: see [`facts`].
    file: Option<(u64, u32)>,
}

/// The pictures of a folder of masks, and how these are made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// How masks are made.
    pub recipe: Recipe,
    /// Pictures in the order in which they were named.
    pub pictures: Vec<Planned>,
    /// Pictures that are left out.
    pub skipped: Vec<Skipped>,
}

/// The folder in `out` of what is not for others.
fn hidden(out: &Path) -> PathBuf {
    out.join(".segment")
}

/// The file of what is done.
pub(super) fn journal_path(out: &Path) -> PathBuf {
    hidden(out).join("done.jsonl")
}

fn plan_path(out: &Path) -> PathBuf {
    hidden(out).join("plan.json")
}

impl Plan {
    /// The plan of the folder `out`: that of an earlier process, or a new one, for which every picture is read
    /// once. [`Journal::open`](super::Journal::open) keeps it there.
    ///
    /// # Errors
    ///
    /// A folder with files of others; pictures that cannot be read, all named, unless they are to be left
    /// out; what an earlier process began otherwise.
    pub fn open(
        out: &Path,
        recipe: Recipe,
        samples: &[Sample],
        workers: usize,
        verbosity: Verbosity,
    ) -> anyhow::Result<Self> {
        if let Some(stored) = Self::stored(out)? {
            stored.check_recipe(&recipe, out)?;
            stored.check_pictures(samples, out)?;
            return Ok(stored);
        }
        refuse_files_of_others(out)?;
        Self::new(recipe, samples, workers, verbosity)
    }

    /// Writes the plan into a folder that is locked, unless it is there.
    ///
    /// # Errors
    ///
    /// Another plan that is there by now; a file that cannot be read or written.
    pub(super) fn keep(&self, out: &Path) -> anyhow::Result<()> {
        if let Some(stored) = Self::stored(out)? {
            ensure!(
                stored == *self,
                "{}: another process has begun other masks there in the meantime; {ADVICE}",
                out.display()
            );
            return Ok(());
        }
        let write = |path: &Path, text: &[u8]| {
            whole_file::write_bytes(path, text).with_context(|| format!("{}", path.display()))
        };
        // Where the folder lies among pictures, its masks are none.
        write(
            &out.join(EXPORTED),
            b"Masks that `luss segment` wrote: no pictures.\n",
        )?;
        write(&plan_path(out), &serde_json::to_vec(self)?)
    }

    fn stored(out: &Path) -> anyhow::Result<Option<Self>> {
        let path = plan_path(out);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let stored = serde_json::from_str(&text);
        stored.with_context(|| format!("{} is damaged; {ADVICE}", path.display()))
    }

    fn new(
        recipe: Recipe,
        samples: &[Sample],
        workers: usize,
        verbosity: Verbosity,
    ) -> anyhow::Result<Self> {
        let (mut pictures, mut skipped) = (Vec::new(), Vec::new());
        let mut progress = Progress::new(verbosity, "read", samples.len() as u64, "pictures");
        let (odd, decoding) = (recipe.odd_pictures, Arc::new(recipe.decoding.clone()));
        let decoded = |sample: &Sample| sample.clone().with_decoding(decoding.clone());
        let decoded = samples.iter().map(decoded).collect();
        let read = move |sample: &Sample| Ok(planned(sample, odd));
        for read in Loader::new(decoded, workers, 2 * workers, read) {
            match read? {
                Ok(picture) => pictures.push(picture),
                Err(picture) => skipped.push(picture),
            }
            progress.advance(1);
        }
        progress.finish();
        let causes: Vec<String> = skipped
            .iter()
            .map(|picture| picture.cause.clone())
            .collect();
        ensure!(
            skipped.is_empty() || recipe.skip_broken,
            "{} of {} pictures cannot be read:\n  {}\nmend or leave out these, or add --skip-broken",
            skipped.len(),
            samples.len(),
            causes.join("\n  ")
        );
        ensure!(
            !pictures.is_empty(),
            "none of the {} pictures can be read:\n  {}",
            samples.len(),
            listed(&causes)
        );
        Ok(Self {
            recipe,
            pictures,
            skipped,
        })
    }

    /// The pictures, in their order, as they are read.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        let decoding = Arc::new(self.recipe.decoding.clone());
        self.pictures.iter().map(move |picture| {
            let sample = Sample::of_file(&picture.key, &picture.path, None);
            sample.with_decoding(decoding.clone())
        })
    }

    fn check_recipe(&self, asked: &Recipe, out: &Path) -> anyhow::Result<()> {
        let [there, here] = [&self.recipe, asked].map(serde_json::to_value);
        let (there, here) = (there?, here?);
        let fields = here.as_object().expect("a struct").keys();
        let differing = fields.filter(|field| there[*field] != here[*field]);
        let words = |field: &String| match field.as_str() {
            "model_sha256" => "another model".to_owned(),
            field => format!("{field} {} instead of {}", there[field], here[field]),
        };
        let differing: Vec<String> = differing.map(words).collect();
        ensure!(
            differing.is_empty(),
            "{}: its masks were made with {}; {ADVICE}",
            out.display(),
            differing.join(", ")
        );
        Ok(())
    }

    /// Those of the pictures whose files are others now, also of those that could not be read.
    fn changed(&self, asked: &BTreeSet<&PathBuf>) -> anyhow::Result<Vec<&PathBuf>> {
        let mut changed = Vec::new();
        for picture in &self.pictures {
            let path = &picture.path;
            if asked.contains(path) && facts_of(path)? != (picture.bytes, picture.crc32c) {
                changed.push(path);
            }
        }
        let skipped = self.skipped.iter().filter(|of| asked.contains(&of.path));
        let mended = skipped.filter(|of| facts_of(&of.path).ok() != of.file);
        changed.extend(mended.map(|of| &of.path));
        Ok(changed)
    }

    fn check_pictures(&self, samples: &[Sample], out: &Path) -> anyhow::Result<()> {
        let (planned, skipped) = (self.pictures.iter(), self.skipped.iter());
        let known = planned
            .map(|picture| &picture.path)
            .chain(skipped.map(|of| &of.path));
        let known: BTreeSet<&PathBuf> = known.collect();
        let asked: BTreeSet<&PathBuf> = samples.iter().map(|sample| &sample.picture).collect();
        let missing = known
            .difference(&asked)
            .map(|path| format!("{} is gone", path.display()));
        let new = asked
            .difference(&known)
            .map(|path| format!("{} is new", path.display()));
        let changed = self.changed(&asked)?;
        let changed = changed
            .into_iter()
            .map(|path| format!("{} is another picture", path.display()));
        let changes: Vec<String> = missing.chain(new).chain(changed).collect();
        if changes.is_empty() {
            return Ok(());
        }
        bail!(
            "{}: its masks are of other pictures:\n  {}\nname those as they were, and the same command goes \
             on; or {ADVICE}",
            out.display(),
            listed(&changes)
        );
    }
}

/// A folder that is not there, or holds nothing yet.
fn refuse_files_of_others(out: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(out) else {
        return Ok(());
    };
    let ours = |name: &OsStr| {
        let path = out.join(name);
        name == EXPORTED || path == hidden(out) || whole_file::is_temporary(&path)
    };
    for entry in entries {
        let name = entry
            .with_context(|| format!("{}", out.display()))?
            .file_name();
        ensure!(
            ours(&name),
            "{}: there are files of others in it, such as {}; name an empty or a new folder with --out",
            out.display(),
            name.display()
        );
    }
    Ok(())
}

fn planned(sample: &Sample, odd: OddPictures) -> Result<Planned, Skipped> {
    let file = facts(sample);
    let refused = |error: imagenet_s::Error| Skipped {
        path: sample.picture.clone(),
        cause: error.to_string(),
        file: file.as_ref().ok().copied(),
    };
    let picture = sample.read_picture(odd).map_err(refused)?;
    let size = [picture.width(), picture.height()].map(|side| side as usize);
    match file {
        Ok((bytes, crc32c)) => Ok(Planned {
            key: sample.key.clone(),
            path: sample.picture.clone(),
            size,
            bytes,
            crc32c,
        }),
        Err(error) => Err(Skipped {
            path: sample.picture.clone(),
            cause: error.to_string(),
            file: None,
        }),
    }
}

/// Bytes of the file of a picture, and the CRC-32C of its first 4 KiB.
fn facts(sample: &Sample) -> Result<(u64, u32), imagenet_s::Error> {
    let (bytes, beginning) = sample.beginning(BEGINNING)?;
    Ok((bytes, crc32c::crc32c(&beginning)))
}

fn facts_of(path: &Path) -> Result<(u64, u32), imagenet_s::Error> {
    facts(&Sample::of_file("", path, None))
}
