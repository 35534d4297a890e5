//! Which files of a folder are its pictures, besides what their names say.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::{error::Error, pictures::format::named_format};

/// Which files of a folder are its pictures, besides what their names say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    run: Option<PathBuf>,
    pattern: Option<Pattern>,
}

impl Selection {
    /// The pictures of the run in the folder `run`, whose own files are never pictures, also before
    /// its `run.toml` tells.
    pub fn of_run(run: &Path) -> Self {
        Self {
            run: Some(run.to_owned()),
            pattern: None,
        }
    }

    /// Only pictures that match a pattern of a shell: `*.jpg`, or `left/*` where it has a slash and
    /// is about the path below the folder. Capital and small letters are the same.
    ///
    /// # Errors
    ///
    /// [`Error::Pattern`].
    pub fn matching(self, pattern: &str) -> Result<Self, Error> {
        let pattern = Pattern::new(pattern).map_err(|source| Error::Pattern {
            pattern: pattern.to_owned(),
            source,
        })?;
        Ok(Self {
            pattern: Some(pattern),
            ..self
        })
    }

    pub(crate) fn run(&self) -> Option<&Path> {
        self.run.as_deref()
    }

    /// Whether a file in or below `root` is a picture.
    pub(crate) fn takes(&self, root: &Path, path: &Path) -> bool {
        named_format(path).is_some() && self.matches(root, path)
    }

    fn matches(&self, root: &Path, path: &Path) -> bool {
        let Some(pattern) = &self.pattern else {
            return true;
        };
        let name = match pattern.as_str().contains('/') {
            true => path.strip_prefix(root).unwrap_or(path),
            false => Path::new(path.file_name().unwrap_or_default()),
        };
        let options = MatchOptions {
            case_sensitive: false,
            ..MatchOptions::default()
        };
        pattern.matches_path_with(name, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, taken: &[&str], left_out: &[&str]) {
        let selection = Selection::default().matching(pattern).unwrap();
        let takes = |name: &&str| selection.takes(Path::new("/p"), &Path::new("/p").join(name));
        assert!(taken.iter().all(takes), "{pattern}");
        assert!(!left_out.iter().any(takes), "{pattern}");
    }

    #[test]
    fn a_pattern_is_about_the_name_or_about_the_path() {
        check("*.jpg", &["a.jpg", "b/c.JPG"], &["a.png", "a.jpeg"]);
        check("IMG_*", &["b/img_1.png"], &["b/c.png", "img_1.txt"]);
        check("left/*", &["left/a.jpg"], &["right/a.jpg", "a.jpg"]);
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        let error = Selection::default().matching("a[").unwrap_err();
        assert!(error.to_string().contains("a["), "{error}");
    }
}
