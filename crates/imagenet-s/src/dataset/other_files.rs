//! Files among the pictures that are left out, counted by kind.

use std::{collections::BTreeMap, fmt, ops::AddAssign, path::Path};

use crate::pictures::format::named_format;

/// Kinds that a line spells out; the files of the others are counted together.
const SHOWN: usize = 8;

/// Files among the pictures that are left out, counted by kind. Hidden files are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherFiles {
    /// By extension in lower case; empty for names without one.
    kinds: BTreeMap<String, u64>,
    /// Pictures that do not match the pattern.
    unmatched: u64,
}

impl OtherFiles {
    /// Files of all kinds.
    pub fn count(&self) -> u64 {
        self.unmatched + self.kinds.values().sum::<u64>()
    }

    pub(crate) fn add(&mut self, path: &Path) {
        if named_format(path).is_some() {
            self.unmatched += 1;
            return;
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        *self.kinds.entry(extension.to_lowercase()).or_default() += 1;
    }
}

impl AddAssign<&OtherFiles> for OtherFiles {
    fn add_assign(&mut self, other: &OtherFiles) {
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
        self.unmatched += other.unmatched;
    }
}

/// `2 gif, 1 heic, 12 that the pattern leaves out`, the most frequent kind first.
impl fmt::Display for OtherFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<(&String, &u64)> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let named = kinds
            .iter()
            .take(SHOWN)
            .map(|(kind, count)| match kind.as_str() {
                "" => format!("{count} without extension"),
                kind => format!("{count} {kind}"),
            });
        let rest: u64 = kinds.iter().skip(SHOWN).map(|(_, count)| *count).sum();
        let rest = (rest > 0).then(|| format!("{rest} of other kinds"));
        let unmatched =
            (self.unmatched > 0).then(|| format!("{} that the pattern leaves out", self.unmatched));
        let parts: Vec<String> = named.chain(rest).chain(unmatched).collect();
        match parts.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_kind_the_most_frequent_first() {
        let mut files = OtherFiles::default();
        assert_eq!(files.to_string(), "nothing");
        for name in ["a.heic", "b.GIF", "c.gif", "README", "d.png"] {
            files.add(Path::new(name));
        }
        let line = "2 gif, 1 without extension, 1 heic, 1 that the pattern leaves out";
        assert_eq!((files.to_string().as_str(), files.count()), (line, 5));
        let both = files.clone();
        files += &both;
        assert_eq!(files.count(), 10);
    }

    #[test]
    fn rare_kinds_are_counted_together() {
        let mut files = OtherFiles::default();
        (0..11).for_each(|kind| files.add(Path::new(&format!("a.k{kind:02}"))));
        assert!(
            files.to_string().ends_with("1 k07, 3 of other kinds"),
            "{files}"
        );
    }
}
