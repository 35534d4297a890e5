//! The masks of a subset as they were published: an archive whose file names say which pictures
//! belong to which split and class.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use super::PrepareError;
use crate::{
    checksums::md5_of_file,
    error::Error,
    layout::{MASK_EXTENSION, Split},
    manifest::Archive,
};

/// Bytes that a mask may have: the largest of ImageNet-S stays below one megabyte.
const LARGEST_MASK: u64 = 1 << 26;

/// An archive of masks whose checksum is right.
#[derive(Debug)]
pub(super) struct MaskArchive {
    path: PathBuf,
    kind: Kind,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zip,
    Tar,
    TarGz,
}

/// Which mask a file of the archive is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MaskName {
    pub(super) split: Split,
    /// The class folder.
    pub(super) class: String,
    /// The file name without its extension, the same as the picture's.
    pub(super) stem: String,
}

impl MaskName {
    /// From a path inside an archive. Only the last three parts count, so nothing can lead out of
    /// the tree; other files, and hidden ones, are no masks.
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.rsplit('/');
        let (name, class, folder) = (parts.next()?, parts.next()?, parts.next()?);
        let (stem, extension) = name.rsplit_once('.')?;
        let plain = !name.starts_with('.') && !class.starts_with('.') && !class.is_empty();
        (plain && extension == MASK_EXTENSION).then_some(Self {
            split: Split::of_mask_folder(folder)?,
            class: class.to_owned(),
            stem: stem.to_owned(),
        })
    }

    /// Below the root of the tree, with `/` between the parts.
    pub(super) fn target(&self) -> String {
        let folder = self.split.mask_folder().unwrap_or_default();
        format!("{folder}/{}/{}.{MASK_EXTENSION}", self.class, self.stem)
    }
}

impl MaskArchive {
    /// The archive in `folder` that the manifest describes, once its sum is found right.
    pub(super) fn open(folder: &Path, expected: &Archive) -> Result<Self, PrepareError> {
        let path = folder.join(&expected.file);
        if !path.is_file() {
            return Err(PrepareError::ArchiveMissing {
                path,
                from: expected.url.clone().unwrap_or_default(),
            });
        }
        let found = md5_of_file(&path)?;
        if found != expected.md5.as_str() {
            let expected = expected.md5.as_str().to_owned();
            return Err(PrepareError::ArchiveSum {
                path,
                expected,
                found,
            });
        }
        let kind = Kind::of(&path)?;
        Ok(Self { path, kind })
    }

    /// The masks in it, sorted.
    pub(super) fn names(&self) -> Result<Vec<MaskName>, PrepareError> {
        let mut names = Vec::new();
        self.visit(&mut |name, _| {
            names.push(name);
            Ok(())
        })?;
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.damaged(format!("{} occurs twice", pair[0].target()))),
            None if names.is_empty() => Err(self.damaged("there is no mask in it".to_owned())),
            None => Ok(names),
        }
    }

    /// Hands every mask's name and file to `take`, in the order of the archive.
    pub(super) fn read(&self, take: TakeBytes<'_>) -> Result<(), PrepareError> {
        let mut bytes = Vec::new();
        self.visit(&mut |name, file| {
            bytes.clear();
            let read = file.take(LARGEST_MASK + 1).read_to_end(&mut bytes);
            read.map_err(|reason| self.damaged(reason.to_string()))?;
            if bytes.len() as u64 > LARGEST_MASK {
                let name = name.target();
                return Err(self.damaged(format!("{name} has more than {LARGEST_MASK} bytes")));
            }
            take(name, &bytes)
        })
    }

    fn visit(&self, take: Take<'_>) -> Result<(), PrepareError> {
        let file = File::open(&self.path).map_err(Error::io(&self.path))?;
        let file = BufReader::new(file);
        match self.kind {
            Kind::Zip => self.visit_zip(file, take),
            Kind::Tar => self.visit_tar(file, take),
            Kind::TarGz => self.visit_tar(GzDecoder::new(file), take),
        }
    }

    fn visit_zip(&self, file: impl Read + Seek, take: Take<'_>) -> Result<(), PrepareError> {
        let mut zip = zip::ZipArchive::new(file).map_err(|e| self.damaged(e.to_string()))?;
        for index in 0..zip.len() {
            let mut file = zip
                .by_index(index)
                .map_err(|e| self.damaged(e.to_string()))?;
            let path = file.name().map_err(|e| self.damaged(e.to_string()))?;
            if let Some(name) = MaskName::of(&path) {
                take(name, &mut file)?;
            }
        }
        Ok(())
    }

    fn visit_tar(&self, file: impl Read, take: Take<'_>) -> Result<(), PrepareError> {
        let mut tar = tar::Archive::new(file);
        let entries = tar.entries().map_err(|e| self.damaged(e.to_string()))?;
        for entry in entries {
            let mut entry = entry.map_err(|e| self.damaged(e.to_string()))?;
            let path = entry.path().map_err(|e| self.damaged(e.to_string()))?;
            if let Some(name) = path.to_str().and_then(MaskName::of) {
                take(name, &mut entry)?;
            }
        }
        Ok(())
    }

    fn damaged(&self, reason: String) -> PrepareError {
        PrepareError::ArchiveDamaged {
            path: self.path.clone(),
            reason,
        }
    }
}

/// What is done with the name and bytes of a mask.
type TakeBytes<'a> = &'a mut dyn FnMut(MaskName, &[u8]) -> Result<(), PrepareError>;

/// What is done with a file of an archive.
type Take<'a> = &'a mut dyn FnMut(MaskName, &mut dyn Read) -> Result<(), PrepareError>;

impl Kind {
    /// By the first bytes: a tar file carries its mark behind the first name.
    fn of(path: &Path) -> Result<Self, PrepareError> {
        let mut head = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        let read = file.take(262).read_to_end(&mut head);
        read.map_err(Error::io(path))?;
        match head.as_slice() {
            [b'P', b'K', ..] => Ok(Kind::Zip),
            [0x1f, 0x8b, ..] => Ok(Kind::TarGz),
            _ if head.get(257..262) == Some(b"ustar") => Ok(Kind::Tar),
            _ => Err(PrepareError::ArchiveDamaged {
                path: path.to_owned(),
                reason: "it is neither zip nor tar nor tar.gz".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;
    use crate::{Manifest, checksums::md5_of};

    const FILES: [(&str, &[u8]); 4] = [
        ("ImageNetS50/validation-segmentation/n02/b.png", b"bb"),
        ("ImageNetS50/train-semi-segmentation/n01/a_1.png", b"a"),
        ("ImageNetS50/validation-segmentation/n02/.hidden.png", b"h"),
        ("ImageNetS50/README.txt", b"read me"),
    ];

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, bytes) in files {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn open(bytes: &[u8], sum: &str) -> Result<(tempfile::TempDir, MaskArchive), PrepareError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("masks"), bytes).unwrap();
        let mut expected = Manifest::embedded().sources["imagenet-s"].archives[0].clone();
        expected.file = "masks".to_owned();
        expected.md5 = sum.to_owned().try_into().unwrap();
        let archive = MaskArchive::open(folder.path(), &expected)?;
        Ok((folder, archive))
    }

    #[test]
    fn zip_tar_and_compressed_tar_hold_the_same_masks() {
        for bytes in [zip(&FILES), tar(&FILES), gz(&tar(&FILES))] {
            let (_folder, archive) = open(&bytes, &md5_of(&bytes)).unwrap();
            let names = archive.names().unwrap();
            let targets: Vec<String> = names.iter().map(MaskName::target).collect();
            assert_eq!(
                targets,
                [
                    "train-semi-segmentation/n01/a_1.png",
                    "validation-segmentation/n02/b.png"
                ]
            );
            let mut sizes = Vec::new();
            let mut take = |_, bytes: &[u8]| {
                sizes.push(bytes.len());
                Ok(())
            };
            archive.read(&mut take).unwrap();
            assert_eq!(sizes, [2, 1]);
        }
    }

    #[test]
    fn a_wrong_sum_is_refused_with_both() {
        let error = open(&zip(&FILES), &md5_of(b"")).unwrap_err().to_string();
        assert!(
            error.contains("d41d8cd98f00b204e9800998ecf8427e"),
            "{error}"
        );
        assert!(error.contains("fetch it again"), "{error}");
    }

    #[test]
    fn a_path_that_leads_out_of_the_tree_is_cut_to_its_last_parts() {
        let name = MaskName::of("../../etc/validation-segmentation/n01/x.png").unwrap();
        assert_eq!(name.target(), "validation-segmentation/n01/x.png");
        assert_eq!(MaskName::of("validation-segmentation/../x.png"), None);
        assert_eq!(MaskName::of("/x.png"), None);
    }

    #[test]
    fn a_mask_that_occurs_twice_is_refused() {
        let twice = [FILES[0], ("other/validation-segmentation/n02/b.png", b"c")];
        let bytes = zip(&twice);
        let (_folder, archive) = open(&bytes, &md5_of(&bytes)).unwrap();
        let error = archive.names().unwrap_err().to_string();
        assert!(error.contains("occurs twice"), "{error}");
    }

    #[test]
    fn a_page_in_place_of_an_archive_is_refused() {
        let page = b"<html>404</html>";
        let error = open(page, &md5_of(page)).unwrap_err().to_string();
        assert!(error.contains("neither zip nor tar"), "{error}");
    }
}
