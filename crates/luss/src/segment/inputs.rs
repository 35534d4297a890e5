//! Which pictures are meant: files, folders, and lists of both.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use imagenet_s::{Dataset, Sample, Split, terminal::tell};

/// The word for a list on standard input.
const STANDARD_INPUT: &str = "-";

/// Names that a message spells out.
const SHOWN: usize = 10;

/// The pictures that some words mean, in their order, each once: files, folders, lists (`.txt`, a path a
/// line) and `-` for a list on standard input.
///
/// The key of a picture is its path, without extension, below the folder that all words have in common: of
/// one folder the path in it. Pictures whose keys are equal are told apart by their extensions.
///
/// # Errors
///
/// Paths that lead nowhere, folders without pictures, names that are no UTF-8, no picture at all.
pub fn pictures_of(words: &[PathBuf]) -> anyhow::Result<Vec<Sample>> {
    let entries = entries(words)?;
    refuse_missing(&entries)?;
    let (mut places, mut pictures) = (Vec::new(), Vec::new());
    for entry in &entries {
        if entry.is_dir() {
            let folder = real(entry)?;
            pictures.extend(pictures_in(&folder)?);
            places.push(folder);
        } else {
            let picture = real_file(entry)?;
            places.push(
                picture
                    .parent()
                    .expect("a file lies in a folder")
                    .to_owned(),
            );
            pictures.push(picture);
        }
    }
    let mut seen = HashSet::new();
    pictures.retain(|picture| seen.insert(picture.clone()));
    let Some(root) = common(&places) else {
        bail!("the list names no picture");
    };
    with_keys(pictures, &root)
}

/// Files and folders, lists spelled out.
fn entries(words: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for word in words {
        let list = match word.extension() {
            _ if word.as_os_str() == STANDARD_INPUT => {
                io::read_to_string(io::stdin()).context("the list on standard input")?
            }
            Some(extension) if extension == "txt" => fs::read_to_string(word)
                .with_context(|| format!("{}: the list cannot be read", word.display()))?,
            _ => {
                entries.push(word.clone());
                continue;
            }
        };
        let lines = list
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty());
        entries.extend(lines.map(PathBuf::from));
    }
    Ok(entries)
}

fn refuse_missing(entries: &[PathBuf]) -> anyhow::Result<()> {
    let missing = entries.iter().filter(|entry| !entry.exists());
    let missing: Vec<String> = missing.map(|entry| entry.display().to_string()).collect();
    ensure!(
        missing.is_empty(),
        "{}: no such file or folder; paths in a list begin where the command is started",
        listed(&missing)
    );
    Ok(())
}

/// The first of some names, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(SHOWN)].join("\n  ");
    match names.len() - names.len().min(SHOWN) {
        0 => first,
        more => format!("{first}\n  and {more} more"),
    }
}

fn real(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{}", path.display()))
}

/// A file that is a link keeps its name.
fn real_file(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path
        .file_name()
        .with_context(|| format!("{}: no file", path.display()))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(real(folder)?.join(name))
}

fn pictures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let data = Dataset::open_pictures(folder, 1)?;
    let others = data.other_files();
    if others.count() > 0 {
        tell(format_args!("{}: left out: {others}", folder.display()));
    }
    data.left_out()
        .iter()
        .for_each(|left_out| tell(format_args!("{left_out}")));
    let samples = data.samples(Split::Train).iter();
    Ok(samples.map(|sample| sample.picture.clone()).collect())
}

/// The folder that holds all of these.
fn common(places: &[PathBuf]) -> Option<PathBuf> {
    let (first, others) = places.split_first()?;
    let shared = |a: PathBuf, b: &PathBuf| {
        let both = a.components().zip(b.components());
        both.take_while(|(a, b)| a == b)
            .map(|(a, _): (Component, _)| a)
            .collect()
    };
    Some(others.iter().fold(first.clone(), shared))
}

fn with_keys(pictures: Vec<PathBuf>, root: &Path) -> anyhow::Result<Vec<Sample>> {
    let below = |picture: &PathBuf| {
        let path = picture.strip_prefix(root).expect("the root holds all");
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let parts = parts.with_context(|| {
            format!(
                "{}: the name is no UTF-8; rename the picture",
                picture.display()
            )
        })?;
        Ok(parts.join("/"))
    };
    let paths: Vec<String> = pictures.iter().map(below).collect::<anyhow::Result<_>>()?;
    let mut stems: BTreeMap<&str, usize> = BTreeMap::new();
    paths
        .iter()
        .for_each(|path| *stems.entry(stem(path)).or_default() += 1);
    let key = |path: &String| match stems[stem(path)] {
        1 => stem(path).to_owned(),
        _ => path.clone(),
    };
    let keys: Vec<String> = paths.iter().map(key).collect();
    let mut seen = HashSet::new();
    for (key, picture) in keys.iter().zip(&pictures) {
        ensure!(
            seen.insert(key),
            "{}: its mask would have the name of another one, {key}.png; rename the picture",
            picture.display()
        );
    }
    let samples = keys.into_iter().zip(pictures);
    Ok(samples
        .map(|(key, picture)| Sample::of_file(key, picture, None))
        .collect())
}

/// A path without the extension of its file.
fn stem(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => &path[..name + dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[&str], words: &[&str], keys: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let words: Vec<PathBuf> = words.iter().map(|word| folder.path().join(word)).collect();
        let samples = pictures_of(&words).unwrap();
        let found: Vec<&str> = samples.iter().map(|sample| sample.key.as_str()).collect();
        assert_eq!(found, keys);
    }

    #[test]
    fn keys_are_paths_below_what_all_words_have_in_common() {
        let files = [
            "p/a/1.jpg",
            "p/b/1.jpg",
            "p/b/2.png",
            "q/1.webp",
            "q/notes.md",
        ];
        check(&files, &["p"], &["a/1", "b/1", "b/2"]);
        check(&files, &["p/b/2.png"], &["2"]);
        check(&files, &["q", "p/b"], &["q/1", "p/b/1", "p/b/2"]);
        check(&files, &["p/b/1.jpg", "p/b", "p/b/1.jpg"], &["1", "2"]);
    }

    #[test]
    fn equal_stems_are_told_apart_by_their_extensions() {
        let files = ["a.b/1.jpg", "a.b/1.png", "a.b/2.jpg"];
        let words = ["a.b/1.jpg", "a.b/1.png", "a.b/2.jpg"];
        check(&files, &words, &["1.jpg", "1.png", "2"]);
    }

    #[test]
    fn all_paths_that_lead_nowhere_are_named() {
        let words = ["nowhere/1.jpg", "nowhere/2"].map(PathBuf::from);
        let said = pictures_of(&words).unwrap_err().to_string();
        assert!(
            said.contains("nowhere/1.jpg\n  nowhere/2: no such file"),
            "{said}"
        );
    }
}
