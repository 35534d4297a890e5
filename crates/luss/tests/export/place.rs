//! A folder with pictures and masks, in which the program is started.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use image::RgbImage;
use imagenet_s::{LabelMask, read_mask, write_mask};
use tempfile::TempDir;

/// The pictures.
pub(crate) const KEYS: [&str; 4] = ["a/1", "a/2", "b/3", "b/4"];

pub(crate) struct Place(TempDir);

impl Place {
    /// Four pictures of 4 x 3 pixels with masks of three categories; the third has none.
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let labels: [[u16; 12]; 4] = [
            [1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 2],
            [0, 2, 0, 0, 0, 0, 2, 0, 3, 0, 0, 2],
            [0; 12],
            [3; 12],
        ];
        for (key, labels) in KEYS.into_iter().zip(labels) {
            place.put(key, &LabelMask::new(4, 3, labels.to_vec()).unwrap());
        }
        place
    }

    /// Writes a mask and a picture of its size.
    pub(crate) fn put(&self, key: &str, mask: &LabelMask) {
        self.draw(key, mask.width() as u32, mask.height() as u32);
        write_mask(&self.mask_path(key), mask).unwrap();
    }

    /// Writes a picture.
    pub(crate) fn draw(&self, key: &str, width: u32, height: u32) {
        let path = self.path(&format!("pictures/{key}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let color = |x: u32, y: u32| [(40 * x) as u8, (60 * y) as u8, 200].into();
        RgbImage::from_fn(width, height, color).save(path).unwrap();
    }

    /// Changes the labels of a mask.
    pub(crate) fn put_mask(&self, key: &str, change: impl FnOnce(&mut [u16])) {
        let mut mask = self.mask(key);
        change(mask.labels_mut());
        write_mask(&self.mask_path(key), &mask).unwrap();
    }

    /// Changes the label of each pixel, one after the other.
    pub(crate) fn put_all(&self, mut label: impl FnMut(u16) -> u16) {
        for key in KEYS {
            self.put_mask(key, |labels| {
                labels.iter_mut().for_each(|id| *id = label(*id))
            });
        }
    }

    pub(crate) fn mask(&self, key: &str) -> LabelMask {
        read_mask(&self.mask_path(key)).unwrap()
    }

    fn mask_path(&self, key: &str) -> PathBuf {
        self.path(&format!("masks/{key}.png"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts the program in this folder.
    pub(crate) fn luss(&self, threads: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
        command.args(arguments).current_dir(self.0.path());
        command
            .env("RAYON_NUM_THREADS", threads)
            .env_remove("RUST_BACKTRACE");
        command.output().unwrap()
    }

    fn export(&self, threads: &str, arguments: &[&str]) -> Output {
        let folders = ["export", "--masks", "masks", "--images", "pictures"];
        self.luss(threads, &[&folders, arguments].concat())
    }

    #[track_caller]
    pub(crate) fn check_exports(&self, arguments: &[&str]) {
        self.check_exports_with_threads("2", arguments);
    }

    #[track_caller]
    pub(crate) fn check_exports_with_threads(&self, threads: &str, arguments: &[&str]) {
        check_passed(&self.export(threads, arguments));
    }

    #[track_caller]
    pub(crate) fn check_refused(&self, arguments: &[&str], fragments: &[&str]) {
        let output = self.export("2", arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for fragment in fragments {
            assert!(said.contains(fragment), "no {fragment:?} in: {said}");
        }
    }
}

#[track_caller]
pub(crate) fn check_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}
