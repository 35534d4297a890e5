//! The sums of what the steps of a run left: `SHA256SUMS` at its top, which `sha256sum -c` reads too.
//!
//! A file gets its sum when it is whole, and whoever reads it for a later step compares first. A file
//! without one, of a run that began before there were sums, is read as it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, RunDir, Step,
    run::checksums::{LIST, sum_of},
};

impl RunDir {
    /// The files of a finished step that later steps read and no other file is made of in the
    /// meantime; label stores and embeddings are sealed where they are made.
    fn left_by(&self, step: Step) -> impl Iterator<Item = PathBuf> {
        step.results().iter().map(|name| self.file(name))
    }

    /// Notes the sums of those of [`RunDir::left_by`] that are there.
    pub(crate) fn seal_what_is_left_by(&self, step: Step) -> Result<(), Error> {
        let mut files = self.left_by(step).filter(|path| path.exists());
        files.try_for_each(|path| self.seal(&path))
    }

    /// Notes the sum of a file that is whole.
    pub(crate) fn seal(&self, path: &Path) -> Result<(), Error> {
        let sum = sum_of(path).map_err(Error::io(path, "read"))?;
        self.note(path, Some(sum))
    }

    /// Forgets the sum of a file before it is made anew.
    pub(crate) fn unseal(&self, path: &Path) -> Result<(), Error> {
        self.note(path, None)
    }

    /// The path of a file whose sum is that of [`RunDir::seal`], or which has none.
    ///
    /// # Errors
    ///
    /// [`Error::ChangedFile`].
    pub(crate) fn unchanged(&self, path: &Path) -> Result<PathBuf, Error> {
        let Some(cause) = self.change(path)? else {
            return Ok(path.to_owned());
        };
        let (step, own) = self.maker_of(path);
        Err(Error::ChangedFile {
            path: path.to_owned(),
            step: step.name(),
            run: self.root().to_owned(),
            cause,
            own,
        })
    }

    /// The weights of a step, as [`RunDir::unchanged`].
    pub(crate) fn unchanged_weights(&self, step: Step) -> Result<PathBuf, Error> {
        self.unchanged(&self.weights(step))
    }

    /// Compares all files of [`RunDir::left_by`].
    pub(crate) fn unchanged_since(&self, step: Step) -> Result<(), Error> {
        let mut files = self.left_by(step);
        files.try_for_each(|path| self.unchanged(&path).map(drop))
    }

    /// Renames a file that is not what was sealed; returns its new name. A file without a sum, after
    /// which a process was killed, gets one.
    pub(crate) fn set_aside_if_changed(&self, path: &Path) -> Result<Option<PathBuf>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        if !self.sums()?.contains_key(&self.name_of(path)) {
            return self.seal(path).map(|()| None);
        }
        if self.change(path)?.is_none() {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = path.with_file_name(format!("changed-{name}"));
        fs::rename(path, &aside).map_err(Error::io(path, "rename"))?;
        Ok(Some(aside))
    }

    /// How a file differs from what was sealed.
    fn change(&self, path: &Path) -> Result<Option<String>, Error> {
        let Some(sum) = self.sums()?.remove(&self.name_of(path)) else {
            return Ok(None);
        };
        let found = match sum_of(path) {
            Ok(found) => found,
            Err(cause) => return Ok(Some(cause.to_string())),
        };
        Ok((found != sum).then(|| {
            let list = self.file(LIST);
            format!("its SHA-256 is {found}, not {sum} as in {}", list.display())
        }))
    }

    /// The step that makes a file, and the option with which another one is imported.
    fn maker_of(&self, path: &Path) -> (Step, Option<&'static str>) {
        let within = |name: &str| path.starts_with(self.file(name));
        let maker = Step::all().find(|step| step.leaves().any(within));
        let maker = maker.expect("asked only for what a step leaves");
        let first = maker.results().first().is_some_and(|name| within(name));
        (maker, maker.import_option().filter(|_| first))
    }

    fn note(&self, path: &Path, sum: Option<String>) -> Result<(), Error> {
        let (mut sums, name) = (self.sums()?, self.name_of(path));
        let before = match sum {
            Some(ref sum) => sums.insert(name, sum.clone()),
            None => sums.remove(&name),
        };
        if before == sum {
            return Ok(());
        }
        let line = |(name, sum): (&String, &String)| format!("{sum}  {name}\n");
        self.write_text(&self.file(LIST), &sums.iter().map(line).collect::<String>())
    }

    fn sums(&self) -> Result<BTreeMap<String, String>, Error> {
        let path = self.file(LIST);
        let text = match fs::read_to_string(&path) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(Error::io(&path, "read"))?,
        };
        let split = |line: &str| {
            let (sum, name) = line.split_once("  ")?;
            Some((name.to_owned(), sum.to_owned()))
        };
        let sums: Option<_> = text.lines().map(split).collect();
        sums.ok_or_else(|| Error::Damaged {
            path,
            cause: "not all of its lines are a sum and a name".into(),
        })
    }

    fn name_of(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.root()).unwrap_or(path);
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunFile;

    fn run() -> (tempfile::TempDir, RunDir) {
        let dir = tempfile::tempdir().unwrap();
        let file = RunFile::parse("", "test", &[]).unwrap();
        let run = RunDir::open(dir.path(), &file).unwrap();
        (dir, run)
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_file_that_a_step_left_is_refused_when_it_is_another_one() {
        let (_dir, run) = run();
        let weights = run.weights(Step::Finetune);
        write(&weights, "weights");
        run.finish(Step::Finetune, &"fine").unwrap();
        run.unchanged_since(Step::Finetune).unwrap();
        write(&weights, "Weights");
        let said = run
            .unchanged_weights(Step::Finetune)
            .unwrap_err()
            .to_string();
        let path = weights.display().to_string();
        for fragment in [
            path.as_str(),
            "`luss step finetune` again",
            "--finetuning",
            "SHA-256",
        ] {
            assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
        }
        fs::remove_file(&weights).unwrap();
        assert!(run.unchanged_since(Step::Finetune).is_err());
        write(&weights, "weights");
        run.unchanged_since(Step::Finetune).unwrap();
        write(&weights, "of another training");
        run.finish(Step::Finetune, &"again").unwrap();
        run.unchanged_since(Step::Finetune).unwrap();
    }

    #[test]
    fn a_file_that_was_never_sealed_is_read_as_it_is() {
        let (_dir, run) = run();
        write(&run.centroids(), "old");
        run.unchanged(&run.centroids()).unwrap();
        run.seal(&run.centroids()).unwrap();
        run.unseal(&run.centroids()).unwrap();
        write(&run.centroids(), "new");
        run.unchanged(&run.centroids()).unwrap();
    }

    #[test]
    fn what_can_be_made_anew_is_set_aside_and_kept() {
        let (_dir, run) = run();
        let labels = run.labels("train");
        write(&labels, "labels");
        run.seal(&labels).unwrap();
        assert_eq!(run.set_aside_if_changed(&labels).unwrap(), None);
        write(&labels, "edited");
        let aside = run.set_aside_if_changed(&labels).unwrap().unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), "edited");
        assert!(!labels.exists());
        assert_eq!(run.set_aside_if_changed(&labels).unwrap(), None);
    }
}
