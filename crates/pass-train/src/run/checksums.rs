//! The checksums of a folder's files, in the form that `sha256sum -c SHA256SUMS` reads.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::Error;

/// The file that lists the others.
pub(crate) const LIST: &str = "SHA256SUMS";

/// What is wrong with a folder.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The file, or the folder where no single file is to blame.
    pub(crate) path: PathBuf,
    /// What is wrong with it.
    pub(crate) cause: String,
}

/// Lists the sums of all files of `folder`, and brings files and list onto the disk: what this
/// returns from survives a power cut.
pub(crate) fn seal(folder: &Path) -> Result<(), Error> {
    let mut list = String::new();
    for name in names(folder).map_err(Error::io(folder, "list the folder"))? {
        let path = folder.join(&name);
        let sum = sum_of(&path).map_err(Error::io(&path, "read"))?;
        sync(&path).map_err(Error::io(&path, "bring to the disk"))?;
        list += &format!("{sum}  {name}\n");
    }
    let path = folder.join(LIST);
    fs::write(&path, list).map_err(Error::io(&path, "write"))?;
    sync(&path).map_err(Error::io(&path, "bring to the disk"))?;
    sync(folder).map_err(Error::io(folder, "bring to the disk"))
}

/// Brings a file, or the names in a folder, onto the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    // A folder cannot be opened everywhere; where it cannot, names are durable by themselves.
    if path.is_dir() && !cfg!(unix) {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

/// Compares all files of `folder` with the list of [`seal`].
pub(crate) fn verify(folder: &Path) -> Result<(), Damage> {
    let path = folder.join(LIST);
    let list = fs::read_to_string(&path).map_err(|cause| damage(&path, cause))?;
    let mut listed = BTreeSet::new();
    for line in list.lines() {
        let (sum, name) = line
            .split_once("  ")
            .ok_or_else(|| damage(&path, format!("`{line}` is no sum and name")))?;
        let file = folder.join(name);
        let found = sum_of(&file).map_err(|cause| damage(&file, cause))?;
        if found != sum {
            let cause = format!("its SHA-256 is {found}, not {sum} as listed in {LIST}");
            return Err(damage(&file, cause));
        }
        listed.insert(name.to_owned());
    }
    match listed.is_empty() {
        true => Err(damage(&path, "it lists no file")),
        false => Ok(()),
    }
}

fn damage(path: &Path, cause: impl ToString) -> Damage {
    Damage {
        path: path.into(),
        cause: cause.to_string(),
    }
}

/// The names of the files to list, in order.
fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.insert(name.expect("a checkpoint's files have plain names"));
    }
    Ok(names)
}

/// The SHA-256 of a file, as `sha256sum` prints it.
///
/// # Errors
///
/// A failed read.
pub fn sum_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    let digits = hasher.finalize();
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("abc"), "abc").unwrap();
        fs::write(folder.path().join("zeros"), [0; 3000]).unwrap();
        seal(folder.path()).unwrap();
        folder
    }

    #[track_caller]
    fn assert_damaged(folder: &Path, file: &str, cause: &str) {
        let damage = verify(folder).unwrap_err();
        assert_eq!(damage.path, folder.join(file));
        assert!(damage.cause.contains(cause), "{}", damage.cause);
    }

    /// Oracle: `printf abc | sha256sum`.
    #[test]
    fn the_list_is_that_of_sha256sum() {
        let folder = sealed();
        let list = fs::read_to_string(folder.path().join(LIST)).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc";
        assert_eq!(list.lines().next(), Some(abc));
        verify(folder.path()).unwrap();
    }

    #[test]
    fn a_changed_a_shortened_and_a_missing_file_are_named() {
        let folder = sealed();
        let zeros = folder.path().join("zeros");
        let mut bytes = vec![0; 3000];
        bytes[1234] = 1;
        fs::write(&zeros, &bytes).unwrap();
        assert_damaged(folder.path(), "zeros", "as listed");
        fs::write(&zeros, [0; 2999]).unwrap();
        assert_damaged(folder.path(), "zeros", "as listed");
        fs::remove_file(&zeros).unwrap();
        assert_damaged(folder.path(), "zeros", "o such file");
    }

    #[test]
    fn a_folder_without_a_whole_list_is_damaged() {
        let folder = sealed();
        let list = folder.path().join(LIST);
        fs::write(&list, "").unwrap();
        assert_damaged(folder.path(), LIST, "lists no file");
        fs::write(&list, "ba7816bf8f01").unwrap();
        assert_damaged(folder.path(), LIST, "is no sum and name");
        fs::remove_file(&list).unwrap();
        assert_damaged(folder.path(), LIST, "o such file");
    }
}
