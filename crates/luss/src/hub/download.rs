//! The way from the hub into its cache, which other programs share.
//!
//! Files of the cache are named by their checksums: `blobs/SUM`, with a link to each from its name
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>).

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{ApiBuilder, ApiError, ApiRepo},
};
use imagenet_s::terminal::tell;
use pass_train::sum_of;

use super::{
    HubFile,
    checkpoints::{USUAL, shown, the_only},
    is_plain,
};

/// As [`HubFile::fetch`].
pub(super) fn fetch(wanted: &HubFile) -> anyhow::Result<PathBuf> {
    Remote::new(wanted)?
        .fetch()
        .with_context(|| format!("--backbone {wanted}"))
}

/// One revision of a repository, on the hub and in the cache.
struct Remote<'a> {
    wanted: &'a HubFile,
    api: ApiRepo,
    cache: Cache,
    repo: Repo,
}

impl<'a> Remote<'a> {
    fn new(wanted: &'a HubFile) -> anyhow::Result<Self> {
        let (repository, revision) = (wanted.repository.clone(), wanted.revision.clone());
        let repo = Repo::with_revision(repository, RepoType::Model, revision);
        let cache = Cache::from_env();
        let given = env::var("HF_TOKEN").ok();
        let given = given.filter(|token| !token.trim().is_empty());
        let token = given.or_else(|| cache.token());
        let api = ApiBuilder::from_env().with_token(token).build();
        let api = api.context("the client of the hub cannot start")?;
        Ok(Self {
            wanted,
            api: api.repo(repo.clone()),
            cache,
            repo,
        })
    }

    fn fetch(&self) -> anyhow::Result<PathBuf> {
        let file = match &self.wanted.file {
            Some(file) => file.clone(),
            None => self.found()?,
        };
        ensure!(is_plain(&file), "{file}: a path that leaves the repository");
        let path = match self.cached(&file) {
            Some(path) => path,
            None => self.download(&file)?,
        };
        check_sum(&path)?;
        Ok(path)
    }

    fn cached(&self, file: &str) -> Option<PathBuf> {
        self.cache.repo(self.repo.clone()).get(file)
    }

    /// Where none was named. Out of reach of the hub only [`USUAL`] is the one that the hub would give:
    /// what else is in the cache was perhaps named.
    fn found(&self) -> anyhow::Result<String> {
        match self.files() {
            Ok(files) => the_only(&files),
            Err(error) if !is_refusal(&error) && self.cached(USUAL).is_some() => {
                tell(format_args!(
                    "warning: {error}; {USUAL} of the hub's cache is taken"
                ));
                Ok(USUAL.to_owned())
            }
            Err(error) => Err(self.explained(error)),
        }
    }

    /// All names in the repository.
    fn files(&self) -> Result<Vec<String>, ApiError> {
        let files = self.api.info()?.siblings.into_iter();
        Ok(files.map(|file| file.rfilename).collect())
    }

    fn download(&self, file: &str) -> anyhow::Result<PathBuf> {
        tell(format_args!(
            "downloading {file} of {}",
            self.wanted.repository
        ));
        self.api.download(file).map_err(|error| match &error {
            ApiError::RequestError(cause) if matches!(**cause, ureq::Error::StatusCode(404)) => self.no_file(file),
            ApiError::IoError(_) | ApiError::InvalidResume | ApiError::RequestError(_) if !is_refusal(&error) => {
                let cache = self.cache.path().join(self.repo.folder_name());
                anyhow!(
                    "{file}: the download broke off ({error}); start again to go on with it. If that fails \
                     too, remove {}",
                    cache.display()
                )
            }
            _ => self.explained(error),
        })
    }

    /// Why there is no such file: the repository may be missing as well.
    fn no_file(&self, file: &str) -> anyhow::Error {
        match self.files() {
            Ok(files) => anyhow!(
                "there is no file {file}; the repository has {}",
                shown(&files)
            ),
            Err(error) => self.explained(error),
        }
    }

    /// What a refusal of the hub means, and what helps against other errors.
    fn explained(&self, error: ApiError) -> anyhow::Error {
        let HubFile {
            repository,
            revision,
            ..
        } = self.wanted;
        if is_refusal(&error) {
            return anyhow!(
                "the hub has no repository {repository} with a revision {revision}, or does not show it to \
                 everyone ({error}); look at https://huggingface.co/{repository}, and for a private or gated \
                 repository set HF_TOKEN to a token that may read it"
            );
        }
        if let ApiError::LockAcquisition(lock) = &error {
            return anyhow!(
                "another process downloads it ({} is held); start again once it is done",
                lock.display()
            );
        }
        anyhow!(
            "the hub cannot be reached ({error}); check the connection, or name a file that is in the cache, or \
             download the file elsewhere and name its path. What was downloaded before is in {}",
            self.cache.path().display()
        )
    }
}

/// Whether the hub answered that there is nothing, or nothing for this user.
fn is_refusal(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(cause) => {
            matches!(**cause, ureq::Error::StatusCode(401 | 403 | 404))
        }
        _ => false,
    }
}

/// Compares a file of the cache with the SHA-256 that is its name there, and removes what differs.
fn check_sum(path: &Path) -> anyhow::Result<()> {
    const HEX: usize = 64;
    let shown = path.display();
    let blob = path.canonicalize().with_context(|| format!("{shown}"))?;
    let expected = blob
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if expected.len() != HEX {
        tell(format_args!(
            "warning: {shown}: the hub gives no SHA-256 of this file; it is taken unchecked"
        ));
        return Ok(());
    }
    let found = sum_of(&blob).with_context(|| format!("{shown}"))?;
    if found != expected {
        fs::remove_file(path)
            .and_then(|()| fs::remove_file(&blob))
            .with_context(|| format!("{shown}"))?;
        bail!(
            "{shown}: its SHA-256 is {found}, that of the hub {expected}: the copy was damaged and is removed; \
             start again to download it anew"
        );
    }
    Ok(())
}
