//! The run directory: where every file of a run lies, and which steps have finished.
//!
//! ```text
//! data/                 the embedded dataset, for a run that has no other
//! lock                  held by the process that works on the run
//! run.toml              the resolved run file of the last start
//! pictures.jsonl        the pictures that the run began with; others are refused
//! SHA256SUMS            the sums of what finished steps left; another file is refused
//! log.jsonl             one line per logged iteration
//! tensorboard/STEP/     event files, made of log.jsonl
//! done/STEP.json        a finished step
//! done/STEP.toml        the settings that it depended on
//! pretrain/ tune_attention/ finetune/     weights.safetensors, and checkpoint-ITERATION/ on the way
//! find_objects/         SPLIT.npy, objects of its pictures, and map.json, where `cluster.way` asks for them
//! cluster/              embeddings.npy, centroids.npy, assignments.json, report.json; restarts/ on the way
//! threshold.json        the curve and the chosen threshold
//! labels/               pseudo labels at feature resolution, one file a split
//! progress/STEP/        how far a step that writes masks has come, until it has finished
//! pseudo_labels/ fine_tuned/ distance_matching/   SPLIT/FOLDER/PICTURE.png
//! match.json            generated id -> class, of the result
//! categories.json       the class name of each generated id, by match.json
//! evaluation/           RESULT.json: the scores of every class; RESULT.match.json: what its ids stand for
//! controls/             runs of their own that this one is compared with
//! suggestion/           the run that the number of classes was suggested by
//! metrics.json          the scores of every result
//! verdict.json          whether the run has worked
//! starts.jsonl          when the program was started on the run, and how
//! report.html           and atlas.html where there are many clusters
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, RunFile, Step, checkpoints::Checkpoints, run::settings::settings_of,
    run_file::CheckpointsSection, watch::verdict::RunVerdict,
};

/// A folder that holds one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Of this start, those that decide a result.
    settings: toml::Table,
    /// The steps that these leave out.
    left_out: Vec<Step>,
}

impl RunDir {
    /// Starts the run `file` in `root`, or goes on with it. Finished steps that depend on a setting
    /// which has changed count as unfinished.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written, [`Error::AnotherRun`] if it holds a run that
    /// cannot go on with these settings.
    pub fn open(root: &Path, file: &RunFile) -> Result<Self, Error> {
        let run = Self::find(root, file)?;
        run.check_changes(None)?;
        run.start(file)?;
        Ok(run)
    }

    /// The run `file` in `root`, started or not: a run that cannot start leaves no `run.toml`, so
    /// that it may start with other settings.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written.
    pub(crate) fn find(root: &Path, file: &RunFile) -> Result<Self, Error> {
        let run = Self {
            root: root.into(),
            settings: settings_of(file),
            left_out: Step::all()
                .filter(|step| step.left_out(file).is_some())
                .collect(),
        };
        // Made already now, so that an unwritable place shows before anything else takes time.
        fs::create_dir_all(run.done_marks())
            .map_err(Error::io(root, "create the run directory"))?;
        Ok(run)
    }

    /// Stores the run file, unless an earlier start has stored these settings.
    pub(crate) fn start(&self, file: &RunFile) -> Result<(), Error> {
        for step in Step::all().filter(|&step| self.is_marked(step)) {
            self.remove_partial(step)?;
        }
        if !self.has_changes()? {
            return Ok(());
        }
        self.accept_changes()?;
        self.write_text(&self.run_file(), &file.resolved())
    }

    /// The settings of this start that decide a result.
    pub(crate) fn settings(&self) -> &toml::Table {
        &self.settings
    }

    /// The run file that was stored in `root` by an earlier start, if there is one.
    ///
    /// # Errors
    ///
    /// As [`RunFile::read`].
    pub fn stored(root: &Path) -> Result<Option<RunFile>, Error> {
        let path = root.join("run.toml");
        if path.exists() {
            RunFile::read(&path, &[]).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn run_file(&self) -> PathBuf {
        self.root.join("run.toml")
    }

    /// Makes the folder that `path` is to lie in.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn make_room_for(&self, path: &Path) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a step's own files.
    pub fn step_dir(&self, step: Step) -> PathBuf {
        self.root.join(step.name())
    }

    /// The weights that a training step leaves behind.
    pub fn weights(&self, step: Step) -> PathBuf {
        self.step_dir(step).join("weights.safetensors")
    }

    /// `centroids.npy`.
    pub fn centroids(&self) -> PathBuf {
        self.step_dir(Step::Cluster).join("centroids.npy")
    }

    /// What the clusters are like.
    pub fn cluster_report(&self) -> PathBuf {
        self.step_dir(Step::Cluster).join("report.json")
    }

    /// The folder of a training step's event files.
    pub fn events(&self, step: Step) -> PathBuf {
        self.root.join("tensorboard").join(step.name())
    }

    /// `embeddings.npy`: what step 2.2 clusters, one row for each training picture, in their order.
    pub fn embeddings(&self) -> PathBuf {
        self.step_dir(Step::Cluster).join("embeddings.npy")
    }

    /// How embeddings of objects are whitened before they are clustered.
    pub fn whitening(&self) -> PathBuf {
        self.step_dir(Step::Cluster).join("whitening.json")
    }

    /// The objects of the pictures of a split.
    pub fn objects(&self, split: &str) -> PathBuf {
        self.step_dir(Step::FindObjects)
            .join(format!("{split}.npy"))
    }

    /// The finished restarts of an unfinished clustering.
    pub(crate) fn restarts(&self) -> PathBuf {
        self.step_dir(Step::Cluster).join("restarts")
    }

    /// The counts of what an unfinished step has written.
    pub(crate) fn progress(&self, step: Step) -> PathBuf {
        self.root.join("progress").join(step.name())
    }

    /// The pseudo labels of a split, at feature resolution.
    pub fn labels(&self, split: &str) -> PathBuf {
        self.root.join("labels").join(format!("{split}.labels"))
    }

    /// The masks of a result: `RESULT/SPLIT/KEY.png`.
    pub fn mask(&self, result: &str, split: &str, key: &str) -> PathBuf {
        self.masks(result, split).join(format!("{key}.png"))
    }

    /// The folder of the masks of a result.
    pub(crate) fn masks(&self, result: &str, split: &str) -> PathBuf {
        self.root.join(result).join(split)
    }

    /// A file at the top of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn done_marks(&self) -> PathBuf {
        self.root.join("done")
    }

    /// The file that says that a step has finished, with what it has to tell.
    pub(crate) fn done_mark(&self, step: Step) -> PathBuf {
        self.done_marks().join(format!("{}.json", step.name()))
    }

    /// The file with the settings that a finished step depended on.
    pub(crate) fn record(&self, step: Step) -> PathBuf {
        self.done_mark(step).with_extension("toml")
    }

    /// Whether a step has finished, with these settings.
    pub fn is_done(&self, step: Step) -> bool {
        self.is_marked(step) && !self.is_stale(step)
    }

    /// Whether a step has finished, with whatever settings.
    pub(crate) fn is_marked(&self, step: Step) -> bool {
        self.done_mark(step).exists()
    }

    /// Begins a step whose inputs are there: invalidates the results of later steps, finished or
    /// partial. The step itself goes on where it was stopped, unless it had finished.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`] before the steps that it reads, [`Error::Io`].
    pub fn begin(&self, step: Step) -> Result<(), Error> {
        for &needs in step.reads() {
            self.require(step, needs)?;
        }
        self.invalidate(step)
    }

    /// [`RunDir::begin`] of a step whose result comes from elsewhere.
    pub(crate) fn invalidate(&self, step: Step) -> Result<(), Error> {
        let dependents = self.and_dependents(step);
        if dependents.contains(&Step::Evaluate) {
            RunVerdict::remove(self)?;
        }
        for &stale in &dependents[1..] {
            remove_if_there(&self.done_mark(stale), fs::remove_file)?;
            self.forget_progress(stale)?;
        }
        if self.is_marked(step) {
            // The mark goes last: until then the next start repeats this.
            self.forget_progress(step)?;
            remove_if_there(&self.done_mark(step), fs::remove_file)?;
        }
        Ok(())
    }

    /// Removes what an unfinished step goes on from.
    pub(crate) fn forget_progress(&self, step: Step) -> Result<(), Error> {
        if step == Step::Cluster {
            self.forget_labels()?;
            for name in ["embeddings.npy", "embeddings.npy.partial", "whitening.json"] {
                remove_if_there(&self.step_dir(step).join(name), fs::remove_file)?;
            }
        }
        if step == Step::FindObjects {
            remove_if_there(&self.step_dir(step), fs::remove_dir_all)?;
        }
        if step.trains() {
            let any = CheckpointsSection::default();
            Checkpoints::new(self.step_dir(step), &any).forget_all()?;
        }
        self.remove_partial(step)
    }

    /// Removes what only counts until a step has finished.
    fn remove_partial(&self, step: Step) -> Result<(), Error> {
        for name in step.partial() {
            remove_if_there(&self.root.join(name), fs::remove_dir_all)?;
        }
        let cursors = self.progress(step);
        remove_if_there(&cursors, fs::remove_dir_all)?;
        // Stays while another step has cursors there.
        let _ = fs::remove_dir(cursors.parent().expect("below the run"));
        Ok(())
    }

    /// Marks a step as finished, after all that it writes, whose sums it keeps; then removes what it would have gone on
    /// from.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(&self, step: Step, summary: &impl Serialize) -> Result<(), Error> {
        self.seal_what_is_left_by(step)?;
        self.record_settings(step, &self.settings)?;
        self.write_json(&self.done_mark(step), summary)?;
        self.remove_partial(step)
    }

    /// What a finished step had to tell.
    ///
    /// # Errors
    ///
    /// As [`RunDir::read_json`].
    pub(crate) fn summary<T: DeserializeOwned>(&self, step: Step) -> Result<T, Error> {
        self.read_json(&self.done_mark(step))
    }

    /// A step and those whose results follow from its own; from that of a step which the settings
    /// leave out none follows.
    pub(crate) fn and_dependents(&self, step: Step) -> Vec<Step> {
        match self.leaves_out(step) {
            true => vec![step],
            false => step.and_dependents(),
        }
    }

    /// Whether the settings leave a step out.
    pub(crate) fn leaves_out(&self, step: Step) -> bool {
        self.left_out.contains(&step)
    }

    /// Refuses to go on before `needs` has finished, unless the settings leave it out.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`].
    pub fn require(&self, step: Step, needs: Step) -> Result<(), Error> {
        if self.leaves_out(needs) || self.is_done(needs) {
            return Ok(());
        }
        Err(Error::StepMissing {
            step: step.name(),
            needs: needs.name(),
        })
    }

    /// Writes a text under a temporary name, then renames it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn write_text(&self, path: &Path, text: &str) -> Result<(), Error> {
        whole_file::write_bytes(path, text.as_bytes()).map_err(Error::io(path, "write"))
    }

    /// Writes a value as indented JSON under a temporary name, then renames it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).expect("run results are plain data");
        self.write_text(path, &(text + "\n"))
    }

    /// Reads what [`RunDir::write_json`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Damaged`] with the parser's reason.
    pub fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        serde_json::from_str(&text).map_err(|cause| Error::Damaged {
            path: path.into(),
            cause: cause.to_string(),
        })
    }
}

/// Removes a file or folder of an earlier start.
pub(crate) fn remove_if_there(
    path: &Path,
    remove: impl FnOnce(PathBuf) -> std::io::Result<()>,
) -> Result<(), Error> {
    match remove(path.to_path_buf()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(path, "remove what an earlier start left")(cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
