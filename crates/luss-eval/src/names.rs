//! Class names.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

/// A name for each label, 0 included; empty where none was given.
#[derive(Debug)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Reads lines `ID NAME`, or one name a line for the classes 1 to C or the labels 0 to C.
    pub(crate) fn read(file: &Path, classes: u16) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("--names {}", file.display()))?;
        Self::parse(&text, classes).with_context(|| format!("--names {}", file.display()))
    }

    fn parse(text: &str, classes: u16) -> Result<Self> {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let numbered: Option<Vec<(usize, &str)>> =
            lines.iter().map(|line| numbered(line)).collect();
        match numbered {
            Some(numbered) if !lines.is_empty() => Self::of_numbered(&numbered, classes),
            _ => Self::of_lines(&lines, classes),
        }
    }

    fn of_numbered(lines: &[(usize, &str)], classes: u16) -> Result<Self> {
        let mut names = vec![String::new(); usize::from(classes) + 1];
        for (id, name) in lines {
            let Some(place) = names.get_mut(*id) else {
                bail!("it names class {id}, but ids run from 0 to {classes}");
            };
            ensure!(place.is_empty(), "it names class {id} twice");
            *place = (*name).to_string();
        }
        if names[0].is_empty() {
            names[0] = "other".into();
        }
        Ok(Self(names))
    }

    fn of_lines(lines: &[&str], classes: u16) -> Result<Self> {
        let (found, labels) = (lines.len(), usize::from(classes) + 1);
        let names = lines.iter().map(|line| (*line).to_string());
        if found == labels {
            return Ok(Self(names.collect()));
        }
        ensure!(
            found + 1 == labels,
            "it has {found} names for {classes} classes; give one name a line for the classes 1 to {classes}, or lines `ID NAME`"
        );
        Ok(Self(
            std::iter::once("other".to_string()).chain(names).collect(),
        ))
    }

    /// The name of a label.
    pub(crate) fn of(&self, label: u16) -> &str {
        self.0.get(usize::from(label)).map_or("", String::as_str)
    }
}

fn numbered(line: &str) -> Option<(usize, &str)> {
    let (id, name) = line.split_once(|c: char| c.is_whitespace())?;
    Some((id.parse().ok()?, name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_or_in_order() {
        let first = |text: &str| {
            let names = Names::parse(text, 2).unwrap();
            [0, 1, 2].map(|label| names.of(label).to_string())
        };
        assert_eq!(
            first("tench\ngreat white shark\n"),
            ["other", "tench", "great white shark"]
        );
        assert_eq!(
            first("background\ntench\nshark"),
            ["background", "tench", "shark"]
        );
        assert_eq!(
            first("2 great white shark\n1\ttench"),
            ["other", "tench", "great white shark"]
        );
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for (text, part) in [
            ("a\n", "1 names for 2 classes"),
            ("3 c", "names class 3"),
            ("1 a\n1 b", "twice"),
            ("", "0 names"),
        ] {
            let error = Names::parse(text, 2).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
