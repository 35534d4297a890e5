//! Which folders a walk enters: every real one once, and none of a run.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use crate::{error::Error, layout};

/// A folder among the pictures in which none is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// A run, or what `luss features` or `luss labels export` left: masks are no pictures.
    Results {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is walked under another path: a loop of links, or a second link.
    Again {
        /// The folder as it was met.
        path: PathBuf,
        /// The real one.
        real: PathBuf,
    },
}

impl LeftOut {
    /// The folder as it was met.
    pub fn path(&self) -> &Path {
        match self {
            Self::Results { path } | Self::Again { path, .. } => path,
        }
    }

    /// Why it is left out, in a clause that follows the path.
    pub fn reason(&self) -> String {
        match self {
            Self::Results { .. } => {
                "holds results, so nothing in it is taken for a picture".to_owned()
            }
            Self::Again { real, .. } => format!(
                "leads to {}, which is walked under its own name, so its pictures count once",
                real.display()
            ),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path().display(), self.reason())
    }
}

/// The folders of one walk.
#[derive(Debug)]
pub(crate) struct Tour {
    root: PathBuf,
    /// Masks may lie in a folder of results, pictures not.
    avoids_results: bool,
    run: Option<PathBuf>,
    entered: HashSet<PathBuf>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Tour {
    /// A walk of masks or other files.
    pub(crate) fn of_files(root: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: real(root)?,
            avoids_results: false,
            run: None,
            entered: HashSet::new(),
            left_out: Vec::new(),
        })
    }

    /// A walk of pictures, which leaves out results: those of the run that is to start, too.
    pub(crate) fn of_pictures(root: &Path, run: Option<&Path>) -> Result<Self, Error> {
        Ok(Self {
            avoids_results: true,
            // A run that has no folder yet has no files.
            run: run.and_then(|run| run.canonicalize().ok()),
            ..Self::of_files(root)?
        })
    }

    /// Whether the folder that was named as one of pictures is that of a run.
    pub(crate) fn starts_in_run(&self) -> bool {
        self.is_of_run(&self.root)
    }

    /// Whether to walk a folder below the root; otherwise it is noted.
    pub(crate) fn enters(&mut self, folder: &Path) -> Result<bool, Error> {
        let real = real(folder)?;
        let path = folder.to_owned();
        if self.avoids_results && self.is_in_results(&real, folder.is_symlink()) {
            self.left_out.push(LeftOut::Results { path });
            return Ok(false);
        }
        let again = self.root.starts_with(&real) || (folder.is_symlink() && self.is_inside(&real));
        if again || !self.entered.insert(real.clone()) {
            self.left_out.push(LeftOut::Again { path, real });
            return Ok(false);
        }
        Ok(true)
    }

    fn is_of_run(&self, real: &Path) -> bool {
        self.run.as_deref() == Some(real) || real.join(layout::RUN_FILE).is_file()
    }

    fn is_of_results(&self, real: &Path) -> bool {
        let holds = |name: &str| real.join(name).is_file();
        self.is_of_run(real) || holds(layout::EXPORTED) || layout::CLUSTERED.into_iter().all(holds)
    }

    /// Of a link's target the folders above count too, but for those above the root.
    fn is_in_results(&self, real: &Path, is_link: bool) -> bool {
        let above = real.ancestors().take(if is_link { usize::MAX } else { 1 });
        let mut above = above.filter(|folder| !self.root.starts_with(folder));
        above.any(|folder| self.is_of_results(folder))
    }

    /// Whether the walk meets a link's target under its own name: below the root, not hidden.
    fn is_inside(&self, real: &Path) -> bool {
        let hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
        real.strip_prefix(&self.root)
            .is_ok_and(|below| !below.iter().any(hidden))
    }
}

fn real(folder: &Path) -> Result<PathBuf, Error> {
    folder.canonicalize().map_err(Error::io(folder))
}
