//! What the categories are called.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use pass_train::step::evaluate::unnamed;

/// The names of `categories` categories, from 1 on, out of a file: a name a line, or an id and a name a line.
///
/// # Errors
///
/// A file that cannot be read, names of other categories, a category that is named twice.
pub fn read_names(path: &Path, categories: u16) -> anyhow::Result<Vec<String>> {
    let shown = path.display();
    let text = read(path)?;
    let mut names = vec![None; categories.into()];
    for (id, name) in lines_of(&text) {
        ensure!(
            (1..=names.len()).contains(&id) && !name.is_empty(),
            "--names {shown}: category {id} is {name:?}, but the categories are 1 to {categories}; \
             0 is other"
        );
        let twice = names[id - 1].replace(name.to_owned());
        ensure!(
            twice.is_none(),
            "--names {shown}: category {id} has two names"
        );
    }
    let named = (1..)
        .zip(names)
        .map(|(id, name)| name.unwrap_or_else(|| unnamed(id)));
    Ok(named.collect())
}

/// The last category that such a file names, 0 for none.
///
/// # Errors
///
/// A file that cannot be read.
pub fn last_named(path: &Path) -> anyhow::Result<usize> {
    let text = read(path)?;
    let ids = lines_of(&text).into_iter().map(|(id, _)| id);
    Ok(ids.max().unwrap_or(0))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("--names {}", path.display()))
}

/// The lines with their ids.
fn lines_of(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let numbered: Option<Vec<(usize, &str)>> = lines.iter().map(|line| numbered(line)).collect();
    numbered.unwrap_or_else(|| (1..).zip(lines).collect())
}

/// `3 dog` as `(3, "dog")`.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let (id, name) = line.split_once(char::is_whitespace)?;
    Some((id.parse().ok()?, name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        fs::write(&path, text).unwrap();
        read_names(&path, 3).map_err(|error| error.to_string())
    }

    #[test]
    fn names_stand_in_order_or_behind_their_ids() {
        assert_eq!(
            names("hot dog\ncat\n3 legs\n").unwrap(),
            ["hot dog", "cat", "3 legs"]
        );
        assert_eq!(
            names("3 cat\n1 hot dog").unwrap(),
            ["hot dog", "category 2", "cat"]
        );
        assert_eq!(names("cat").unwrap(), ["cat", "category 2", "category 3"]);
    }

    #[test]
    fn names_of_other_categories_are_refused() {
        assert!(
            names("a\nb\nc\nd")
                .unwrap_err()
                .contains("categories 1 to 3")
        );
        assert!(names("0 other\n1 cat").unwrap_err().contains("0 is other"));
        assert!(names("1 cat\n1 dog").unwrap_err().contains("two names"));
    }
}
