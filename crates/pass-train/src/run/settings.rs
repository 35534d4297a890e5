//! Changed settings: which finished steps they make run again, and which changes are refused.
//!
//! `done/STEP.toml` keeps the settings that a finished step depended on. A step is finished only as
//! long as they are those of this start, and those of the steps before it are. For a step without
//! that file, of an older version, `run.toml` says what they were.

use std::{collections::BTreeMap, fs, path::PathBuf};

use toml::{Table, Value};

use crate::{
    Error, RunDir, RunFile, Step,
    checkpoints::Checkpoints,
    error::{Difference, WhyRefused},
    run::dir::remove_if_there,
    run_file::{CheckpointsSection, laid_over_defaults},
    step::LABEL_SETTINGS,
};

/// Settings that make no step run again: threads, memory, what watches the trainings, the form of masks, and
/// the precision, in which any training may go on.
pub(crate) const FREE: &[&str] = &[
    "precision",
    "checkpoints",
    "health",
    "probe",
    "data.workers",
    "data.pack",
    "data.pretrain_pack",
    "cluster.memory_mib",
    "predict.masks",
];

/// The step that runs again only when it is asked for: it takes hours.
const ASKED_FOR: Step = Step::Pretrain;

/// The settings of a run file that decide a result.
pub(crate) fn settings_of(file: &RunFile) -> Table {
    // As text and back, so that numbers are as they are stored.
    read_settings(&file.resolved()).expect("just written")
}

/// The same of a stored text, whose missing keys have their defaults.
fn read_settings(text: &str) -> Result<Table, toml::de::Error> {
    let table = laid_over_defaults(text)?;
    Ok(filtered(&table, "", &|key| !any_covers(FREE, key)))
}

impl RunDir {
    /// Refuses settings that this run cannot go on with. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::AnotherRun`] if other pictures are asked for, if a training is half done with other
    /// settings, or if a finished `pretrain` would run again and is not `rerun`.
    pub(crate) fn check_changes(&self, rerun: Option<Step>) -> Result<(), Error> {
        let Some(stored) = self.stored_settings()? else {
            return Ok(());
        };
        let affected = self.affected(&stored);
        let half_done = |step: &Step| !self.is_marked(*step) && self.has_checkpoints(*step);
        let mut half_done = Step::trainings().filter(half_done);
        let why = if affected.contains(&Step::CheckData) {
            WhyRefused::Pictures
        } else if let Some(step) = half_done.find(|step| affected.contains(step)) {
            WhyRefused::HalfDone(self.step_dir(step))
        } else if rerun != Some(ASKED_FOR) && self.stale()?.contains(&ASKED_FOR) {
            WhyRefused::Hours(ASKED_FOR.name())
        } else {
            return Ok(());
        };
        Err(Error::AnotherRun {
            path: self.root().into(),
            differences: self.changes()?.into_values().collect(),
            why,
        })
    }

    /// What has changed, and which finished steps run again for it; nothing without a change.
    pub(crate) fn describe_changes(&self) -> Result<Option<String>, Error> {
        let changes = self.changes()?;
        if changes.is_empty() {
            return Ok(None);
        }
        let changed = |of: &Difference| format!("`{}` was {}, is {}", of.key, of.theirs, of.ours);
        let changed: Vec<String> = changes.values().map(changed).collect();
        let again: Vec<&str> = self.stale()?.into_iter().map(Step::name).collect();
        let effect = match again.as_slice() {
            [] => "no finished step depends on it".to_owned(),
            [one] => format!("{one} runs again, the other results are kept"),
            several => format!(
                "{} run again, the other results are kept",
                several.join(", ")
            ),
        };
        Ok(Some(format!("{}: {effect}", changed.join(", "))))
    }

    /// Makes the settings of this start those of the run. Until then `run.toml` says those before.
    pub(crate) fn accept_changes(&self) -> Result<(), Error> {
        let Some(stored) = self.stored_settings()? else {
            return Ok(());
        };
        let unrecorded = |step: &Step| self.is_marked(*step) && !self.record(*step).exists();
        for step in Step::all().filter(unrecorded) {
            self.record_settings(step, &stored)?;
        }
        if self.stale()?.contains(&ASKED_FOR) {
            self.invalidate(ASKED_FOR)?; // asked for once is enough
        }
        let affected = self.affected(&stored).into_iter();
        for step in affected.filter(|&step| !self.is_marked(step)) {
            self.forget_progress(step)?;
        }
        if part(&stored, LABEL_SETTINGS) != part(self.settings(), LABEL_SETTINGS) {
            self.forget_labels()?;
        }
        Ok(())
    }

    /// Whether `run.toml` has other settings than this start.
    pub(crate) fn has_changes(&self) -> Result<bool, Error> {
        let stored = self.stored_settings()?;
        Ok(stored.is_none_or(|stored| stored != *self.settings()))
    }

    /// Keeps the settings on which a step depended.
    pub(crate) fn record_settings(&self, step: Step, settings: &Table) -> Result<(), Error> {
        let text = toml::to_string(&part(settings, step.settings())).expect("plain data");
        self.write_text(&self.record(step), &text)
    }

    /// Whether a step that has finished once would leave something else now.
    pub(crate) fn is_stale(&self, step: Step) -> bool {
        // What cannot be read has been told when the run was opened.
        self.stale().is_ok_and(|stale| stale.contains(&step))
    }

    /// Finished steps that would leave something else with these settings, in their order.
    fn stale(&self) -> Result<Vec<Step>, Error> {
        let mut stale = Vec::new();
        for step in Step::all() {
            if !self.changes_of(step)?.is_empty() {
                stale.extend(self.and_dependents(step));
            }
        }
        let marked = Step::all().filter(|step| stale.contains(step) && self.is_marked(*step));
        Ok(marked.collect())
    }

    /// How the settings of the last start, and of all finished steps, differ from those of this one.
    fn changes(&self) -> Result<BTreeMap<String, Difference>, Error> {
        let stored = self.stored_settings()?;
        let stored = stored.map(|stored| differences_of(&stored, self.settings(), ""));
        let mut all = stored.unwrap_or_default();
        for step in Step::all() {
            all.extend(self.changes_of(step)?);
        }
        Ok(all.into_iter().map(|of| (of.key.clone(), of)).collect())
    }

    /// The same of one step; nothing unless it has finished.
    fn changes_of(&self, step: Step) -> Result<Vec<Difference>, Error> {
        if !self.is_marked(step) {
            return Ok(Vec::new());
        }
        let recorded = self.read_settings_in(self.record(step))?;
        let theirs = match recorded {
            None => self.stored_settings()?,
            recorded => recorded,
        };
        let ours = part(self.settings(), step.settings());
        let changes = |theirs| differences_of(&part(&theirs, step.settings()), &ours, "");
        Ok(theirs.map(changes).unwrap_or_default())
    }

    /// The steps whose results depend on what differs from `stored`.
    fn affected(&self, stored: &Table) -> Vec<Step> {
        let differs =
            |step: &Step| part(stored, step.settings()) != part(self.settings(), step.settings());
        let causes = Step::all().filter(differs);
        causes.flat_map(|step| self.and_dependents(step)).collect()
    }

    pub(crate) fn has_checkpoints(&self, step: Step) -> bool {
        let any = CheckpointsSection::default();
        Checkpoints::new(self.step_dir(step), &any).exist()
    }

    /// Removes the label stores, of which new ones are made when they are needed.
    pub(crate) fn forget_labels(&self) -> Result<(), Error> {
        remove_if_there(&self.file("labels"), fs::remove_dir_all)
    }

    /// The settings that the last start left in `run.toml`.
    fn stored_settings(&self) -> Result<Option<Table>, Error> {
        self.read_settings_in(self.run_file())
    }

    fn read_settings_in(&self, path: PathBuf) -> Result<Option<Table>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read the settings"))?;
        let settings = read_settings(&text).map_err(|cause| Error::RunFile {
            path: format!("run file {}", path.display()),
            cause: cause.to_string(),
        })?;
        Ok(Some(settings))
    }
}

/// Whether a key or section is, or contains, `key`.
pub(crate) fn covers(section: &str, key: &str) -> bool {
    let rest = key.strip_prefix(section);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn any_covers(sections: &[&str], key: &str) -> bool {
    sections.iter().any(|section| covers(section, key))
}

/// The settings below some keys and sections.
fn part(settings: &Table, sections: &[&str]) -> Table {
    filtered(settings, "", &|key| any_covers(sections, key))
}

/// The values whose dotted key is `wanted`.
fn filtered(table: &Table, prefix: &str, wanted: &dyn Fn(&str) -> bool) -> Table {
    let values = table.iter().filter_map(|(key, value)| {
        let dotted = format!("{prefix}{key}");
        let value = match value {
            Value::Table(inner) if !inner.is_empty() => {
                let inner = filtered(inner, &format!("{dotted}."), wanted);
                (!inner.is_empty()).then_some(Value::Table(inner))
            }
            value => wanted(&dotted).then(|| value.clone()),
        };
        Some((key.clone(), value?))
    });
    values.collect()
}

/// Every key, dotted, whose value differs, with both values as text.
fn differences_of(theirs: &Table, ours: &Table, prefix: &str) -> Vec<Difference> {
    let new = ours.keys().filter(|key| !theirs.contains_key(*key));
    let each = theirs.keys().chain(new).flat_map(|key| {
        let dotted = format!("{prefix}{key}");
        match (theirs.get(key), ours.get(key)) {
            (Some(Value::Table(a)), Some(Value::Table(b))) => {
                differences_of(a, b, &format!("{dotted}."))
            }
            (a, b) if a != b => vec![Difference {
                key: dotted,
                theirs: text_of(a),
                ours: text_of(b),
            }],
            _ => Vec::new(),
        }
    });
    each.collect()
}

fn text_of(value: Option<&Value>) -> String {
    value.map_or("absent".into(), ToString::to_string)
}

#[cfg(test)]
mod tests;
