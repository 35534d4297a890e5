//! The masks of a run have paths that can be written: looked at before the first step, since the
//! last one writes them.

use std::collections::HashMap;

use imagenet_s::{Dataset, Sample, Split};

use crate::{Error, RunDir, run::context::shown_splits};

/// Bytes of a path that the system takes.
const LONGEST: usize = 4095;

/// Bytes that the run adds for a control, for a result and for a file that is not yet whole.
const ADDED: usize = 120;

/// The extension of masks, with the dot.
const EXTENSION: &str = ".png";

/// Refuses pictures whose masks no step could write.
///
/// # Errors
///
/// [`Error::Data`] naming the picture.
pub(crate) fn check_mask_paths(run: &RunDir, data: &Dataset) -> Result<(), Error> {
    for split in shown_splits(data) {
        let samples = data.samples(split);
        check_lengths(run, split, samples)?;
        check_folders(samples)?;
    }
    Ok(())
}

fn check_lengths(run: &RunDir, split: Split, samples: &[Sample]) -> Result<(), Error> {
    let bytes = |sample: &Sample| {
        let mask = run.mask("", split.name(), &sample.key);
        mask.as_os_str().len() + ADDED
    };
    match samples.iter().find(|sample| bytes(sample) > LONGEST) {
        None => Ok(()),
        Some(sample) => refuse(
            sample,
            format!(
                "the path of its mask in the run would have {} bytes, {LONGEST} are possible",
                bytes(sample)
            ),
            "give the run a folder with a shorter path (--run), or shorten the names",
        ),
    }
}

/// The mask of `a.jpg` is `a.png`, which must not be a folder of other masks.
fn check_folders(samples: &[Sample]) -> Result<(), Error> {
    let mut pictures = None;
    for sample in samples {
        for (at, _) in sample.key.match_indices(".png/") {
            let pictures = pictures.get_or_insert_with(|| by_key(samples));
            if let Some(other) = pictures.get(&sample.key[..at]) {
                let folder = &sample.key[..at + EXTENSION.len()];
                return refuse(
                    other,
                    format!("its mask would have the name of the folder {folder}"),
                    "rename the picture or that folder",
                );
            }
        }
    }
    Ok(())
}

fn by_key(samples: &[Sample]) -> HashMap<&str, &Sample> {
    let keyed = samples.iter().map(|sample| (sample.key.as_str(), sample));
    keyed.collect()
}

fn refuse(sample: &Sample, cause: String, remedy: &'static str) -> Result<(), Error> {
    Err(imagenet_s::Error::UnwritableMask {
        path: sample.picture.clone(),
        cause,
        remedy,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::RunFile;

    #[track_caller]
    fn checked(run: &Path, pictures: &[&str]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        for picture in pictures {
            let path = folder.path().join(picture);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let data = Dataset::open_pictures(folder.path(), 2).unwrap();
        let file = RunFile::parse("", "test", &[]).unwrap();
        let run = RunDir::find(&folder.path().join(run), &file).unwrap();
        check_mask_paths(&run, &data).map_err(|error| error.to_string())
    }

    #[test]
    fn a_picture_named_like_a_folder_is_refused_before_the_first_step() {
        let message = checked(Path::new("r"), &["x/a.png/1.jpg", "x/a.jpg"]).unwrap_err();
        assert!(message.contains("x/a.jpg: its mask"), "{message}");
        checked(
            Path::new("r"),
            &["a/1.jpg", "a.jpg", "b.png/1.jpg", "c.png"],
        )
        .unwrap();
    }

    #[test]
    fn a_mask_path_that_the_system_refuses_is_refused_before_the_first_step() {
        let (long, run) = ("n".repeat(250), ["r"; 1000].join("/"));
        let picture = format!("{}/1.jpg", [long.as_str(); 8].join("/"));
        let message = checked(Path::new(&run), &[&picture]).unwrap_err();
        assert!(message.contains("bytes, 4095 are possible"), "{message}");
        checked(Path::new("r"), &[&picture]).unwrap();
    }
}
