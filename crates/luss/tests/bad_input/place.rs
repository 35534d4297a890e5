//! A folder with a tiny dataset, in which the program is started.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use imagenet_s::{
    Dataset, Split,
    synthetic::{SyntheticConfig, write_synthetic},
};
use tempfile::TempDir;

/// Settings that a dozen pictures suffice for.
const TINY: [&str; 4] = [
    "pretrain.batch=4",
    "attention.batch=4",
    "finetune.batch=4",
    "network.backbone.width=4",
];

/// A tree of a dozen pictures, and a run directory that nobody has used.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let config = SyntheticConfig {
            classes: 3,
            train: 12,
            train_semi_per_class: 1,
            validation: 3,
            test: 1,
            side_px: 32,
            ..SyntheticConfig::default()
        };
        write_synthetic(&place.tree(), &config).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.path("run")
    }

    pub(crate) fn picture(&self) -> PathBuf {
        Dataset::open(&self.tree()).unwrap().samples(Split::Train)[5]
            .picture
            .clone()
    }

    pub(crate) fn mask(&self, split: Split) -> PathBuf {
        Dataset::open(&self.tree()).unwrap().samples(split)[1]
            .mask
            .clone()
            .unwrap()
    }

    /// Starts a command of `luss` with the arguments, in a folder where nothing else lies.
    pub(crate) fn start(&self, words: &str, arguments: &[&OsStr]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
        command.args(words.split(' '));
        for setting in TINY {
            command.args(["--set", setting]);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap()
    }

    /// A whole run on the tree refuses to start, says why, and leaves no file behind.
    #[track_caller]
    pub(crate) fn check_tree_is_refused(&self, fragments: &[&str]) {
        let (tree, run) = (self.tree(), self.run_dir());
        self.check_is_refused(
            &[
                "--data".as_ref(),
                tree.as_os_str(),
                "--run".as_ref(),
                run.as_os_str(),
            ],
            fragments,
        );
    }

    /// A whole run refuses the arguments, says why, and leaves no file behind.
    #[track_caller]
    pub(crate) fn check_is_refused(&self, arguments: &[&OsStr], fragments: &[&str]) {
        let before = files(self.folder.path());
        check_refused(&self.start("run", arguments), fragments);
        assert_eq!(files(self.folder.path()), before, "files were written");
    }
}

/// All files below a folder, sorted, with their sizes.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::metadata(&path).unwrap().len())),
        }
    }
    found.sort();
    found
}

#[track_caller]
pub(crate) fn check_refused(output: &Output, fragments: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for fragment in fragments {
        assert!(said.contains(fragment), "no {fragment:?} in: {said}");
    }
}

#[track_caller]
pub(crate) fn check_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}
