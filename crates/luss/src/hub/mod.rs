//! `hf:OWNER/REPO[/FILE][@REVISION]`: a checkpoint of the Hugging Face Hub (<https://huggingface.co>).

#[cfg(feature = "hub")]
mod checkpoints;
#[cfg(feature = "hub")]
mod download;

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

/// What stands before the name of a repository.
const SCHEME: &str = "hf:";
/// The branch of a repository that is taken where none is named.
const MAIN: &str = "main";

/// A checkpoint in a repository of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `OWNER/REPO`.
    repository: String,
    /// The path of the file in the repository, where one was named.
    file: Option<String>,
    /// A branch, a tag or a commit.
    revision: String,
}

impl HubFile {
    /// Whether a text means the hub, well-formed or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The file in the hub's cache, downloaded and checked if it is not there.
    ///
    /// # Errors
    ///
    /// A repository, revision or file that does not exist, several checkpoints of which none was named, a
    /// hub out of reach, a damaged download. A program without the feature `hub`.
    #[cfg(feature = "hub")]
    pub fn fetch(&self) -> anyhow::Result<PathBuf> {
        download::fetch(self)
    }

    /// The same; this program cannot.
    #[cfg(not(feature = "hub"))]
    pub fn fetch(&self) -> anyhow::Result<PathBuf> {
        anyhow::bail!(
            "--backbone {self}: this program was built without the hub; build it with cargo build --release \
             --features luss/hub --bin luss, or download the file and name its path"
        )
    }
}

/// As it was written, the revision always.
impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        write!(f, "@{}", self.revision)
    }
}

impl FromStr for HubFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.strip_prefix(SCHEME).unwrap_or(text);
        let (path, revision) = whole.rsplit_once('@').unwrap_or((whole, MAIN));
        let parts: Vec<&str> = path.splitn(3, '/').collect();
        let sound = parts.len() > 1 && !revision.is_empty() && is_plain(path) && is_plain(revision);
        if !sound {
            return Err(format!(
                "{text}: a checkpoint of the hub is hf:OWNER/REPO, hf:OWNER/REPO/FILE or either with @REVISION"
            ));
        }
        Ok(Self {
            repository: parts[..2].join("/"),
            file: parts.get(2).map(ToString::to_string),
            revision: revision.to_owned(),
        })
    }
}

/// Whether a path stays below where it begins, spelled in the shortest way.
fn is_plain(path: &str) -> bool {
    let parts = Path::new(path).components();
    parts
        .clone()
        .all(|part| matches!(part, Component::Normal(_)))
        && parts.collect::<PathBuf>() == Path::new(path)
        && !path.split('/').any(str::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>, String) {
        let read = HubFile::from_str(text).unwrap();
        (read.repository, read.file, read.revision)
    }

    #[test]
    fn file_and_revision_may_be_left_out() {
        let owned = |text: &str| text.to_owned();
        let [repository, main] = ["timm/resnet50.a1_in1k", "main"].map(owned);
        let file = Some(owned("sub/w.pth"));
        assert_eq!(
            read("hf:timm/resnet50.a1_in1k"),
            (repository.clone(), None, main.clone())
        );
        assert_eq!(
            read("hf:timm/resnet50.a1_in1k/sub/w.pth"),
            (repository.clone(), file.clone(), main)
        );
        assert_eq!(
            read("hf:timm/resnet50.a1_in1k/sub/w.pth@v1.0"),
            (repository, file, owned("v1.0"))
        );
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused() {
        for text in [
            "hf:",
            "hf:timm",
            "hf:a/",
            "hf:a//w.pth",
            "hf:/a/b",
            "hf:a/../b",
            "hf:a/b@",
            "hf:a/b@../c",
        ] {
            let error = HubFile::from_str(text).unwrap_err();
            assert!(error.contains("hf:OWNER/REPO"), "{text}: {error}");
        }
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn a_program_without_the_hub_says_how_to_build_one() {
        let file = HubFile::from_str("hf:timm/resnet50.a1_in1k").unwrap();
        let error = file.fetch().unwrap_err().to_string();
        assert!(error.contains("--features luss/hub"), "{error}");
    }
}
