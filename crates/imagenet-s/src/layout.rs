//! The names of the ImageNet-S tree: the only file that spells a directory name.
//!
//! ```text
//! ImageNetS50/
//!   categories.txt            class names, one a line, sorted; may be absent
//!   train/CLASS/*.JPEG        no masks
//!   train-semi/CLASS/*.JPEG   train-semi-segmentation/CLASS/*.png
//!   validation/CLASS/*.JPEG   validation-segmentation/CLASS/*.png
//!   test/CLASS/*.JPEG         test-segmentation/CLASS/*.png   (masks of ImageNet-S are not public)
//!   train-full/CLASS/*.JPEG   919 only: all of ImageNet-1k, for pre-training
//!   checksums.md5             sums of the masks, as md5sum writes them
//!   prepared.toml             how the tree was prepared; written last
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::subset::Subset;

/// The class list of a tree: folder names in ascending byte order, one a line. A tree without it
/// has the classes of its folders.
pub const CLASS_LIST: &str = "categories.txt";

/// The folder of a 919 tree that holds all 1000 classes. Pre-training for 919 reads it, through
/// [`Dataset::open_pictures`](crate::Dataset::open_pictures).
pub const TRAIN_FULL: &str = "train-full";

/// The sums of a tree's files, in the form of `md5sum`; a tree without it is not compared.
pub const CHECKSUMS: &str = "checksums.md5";

/// How a tree was prepared. Written last, so that it marks a complete tree.
pub const PREPARED: &str = "prepared.toml";

/// Where files lie that are not whole yet: hidden from readers, removed at the end.
pub const STAGING: &str = ".prepare";

/// The file beside the trees whose lock says that somebody is preparing; it stays, empty.
pub const LOCK_FILE: &str = ".prepare.lock";

/// The folder of the training pictures in an ImageNet-1k tree.
pub const IMAGENET_TRAIN: &str = "train";

/// The names that the folder of validation pictures has in copies of ImageNet-1k.
pub const IMAGENET_VALIDATION: [&str; 2] = ["val", "validation"];

/// The file that makes a folder that of a run. Nothing below such a folder is a picture.
pub const RUN_FILE: &str = "run.toml";

/// The file that marks a folder by `luss labels export`, `luss segment` or `luss export`; nothing below it
/// is a picture.
pub const EXPORTED: &str = ".exported";

/// Files that `luss features` leaves; nothing below a folder with all of them is a picture.
pub const CLUSTERED: [&str; 2] = ["centroids.npy", "assignments.json"];

/// The extension of a mask, without the dot.
pub const MASK_EXTENSION: &str = "png";

/// A part of the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Pictures to learn from, without masks.
    Train,
    /// The few labelled training pictures, ten a class in ImageNet-S.
    TrainSemi,
    /// Pictures with masks, to choose settings by.
    Validation,
    /// Pictures for the final number; the masks of ImageNet-S itself are not public.
    Test,
}

impl Split {
    /// All splits, in the order of the paper's table.
    pub const ALL: [Split; 4] = [
        Split::Train,
        Split::TrainSemi,
        Split::Validation,
        Split::Test,
    ];

    /// The folder of the pictures, which is also the split's name in run files and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::TrainSemi => "train-semi",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The folder of the masks; the training split never has masks.
    pub fn mask_folder(self) -> Option<&'static str> {
        match self {
            Split::Train => None,
            Split::TrainSemi => Some("train-semi-segmentation"),
            Split::Validation => Some("validation-segmentation"),
            Split::Test => Some("test-segmentation"),
        }
    }

    /// The split whose masks lie in a folder of this name.
    pub fn of_mask_folder(name: &str) -> Option<Split> {
        let named = |split: &Split| split.mask_folder() == Some(name);
        Split::ALL.into_iter().find(named)
    }

    /// Where the pictures of a tree lie.
    pub fn pictures(self, root: &Path) -> PathBuf {
        root.join(self.name())
    }

    /// Where the masks of a tree lie, or would lie.
    pub fn masks(self, root: &Path) -> Option<PathBuf> {
        self.mask_folder().map(|folder| root.join(folder))
    }
}

/// The official file that says where the pictures of a subset's test split come from: lines of
/// `CLASS/NAME.JPEG CLASS/NAME.JPEG`, the first in ImageNet's validation, the second in the tree.
pub fn test_mapping_file(subset: Subset) -> String {
    format!("ImageNetS_im{subset}_mapping_test.txt")
}

/// The root folder of a subset's tree, as its archive names it.
pub fn subset_folder(subset: Subset) -> &'static str {
    match subset {
        Subset::S50 => "ImageNetS50",
        Subset::S300 => "ImageNetS300",
        Subset::S919 => "ImageNetS919",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_names_a_split_by_its_folder() {
        for split in Split::ALL {
            assert_eq!(serde_json::to_value(split).unwrap(), split.name());
        }
    }

    #[test]
    fn masks_lie_beside_their_pictures() {
        let root = Path::new("ImageNetS50");
        assert_eq!(Split::Train.masks(root), None);
        let masks = Split::TrainSemi.masks(root).unwrap();
        assert_eq!(masks, root.join("train-semi-segmentation"));
    }
}
