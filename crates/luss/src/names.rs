//! Names of categories.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, ensure};

/// The names in a file by the ids of their categories: lines `ID NAME`, or one name a line, that of
/// category 1 first.
///
/// # Errors
///
/// A file that cannot be read, an id twice, a name twice.
pub fn read_names(path: &Path) -> anyhow::Result<BTreeMap<u16, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("--names {}", path.display()))?;
    parse(&text).with_context(|| format!("--names {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<BTreeMap<u16, String>> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let numbered: Option<Vec<(u16, &str)>> = lines.iter().map(|line| numbered(line)).collect();
    let all = numbered.unwrap_or_else(|| (1..).zip(lines).collect());
    let (mut names, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (id, name) in all {
        ensure!(
            seen.insert(name),
            "the name \"{name}\" occurs twice; tell categories apart"
        );
        let earlier = names.insert(id, name.to_owned());
        ensure!(
            earlier.is_none(),
            "category {id} is named twice; give each id once"
        );
    }
    ensure!(
        !names.is_empty(),
        "there is no name in it; give one a line, or lines `ID NAME`"
    );
    names.remove(&0); // what belongs to no category is no annotation
    Ok(names)
}

fn numbered(line: &str) -> Option<(u16, &str)> {
    let (id, name) = line.split_once(char::is_whitespace)?;
    Some((id.parse().ok()?, name.trim()))
}

/// Names for the categories 1 to `count`: those given, else their numbers.
///
/// # Errors
///
/// A name for a category above `count`.
pub fn filled(given: &BTreeMap<u16, String>, count: u16) -> anyhow::Result<Vec<String>> {
    let last = given.keys().last().copied().unwrap_or(0);
    ensure!(
        last <= count,
        "--names names category {last}, but the masks have {count}; give at most so many names"
    );
    let numbered = |id: u16| format!("category {id}");
    let name = |id| given.get(&id).cloned().unwrap_or_else(|| numbered(id));
    Ok((1..=count).map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_or_in_order_and_the_rest_keeps_its_number() {
        for text in ["cat\nwhite shark\n", "2\twhite shark\n\n0 other\n1 cat"] {
            let names = filled(&parse(text).unwrap(), 3).unwrap();
            assert_eq!(names, ["cat", "white shark", "category 3"]);
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for (text, part) in [
            ("a\na", "\"a\" occurs twice"),
            ("1 a\n1 b", "named twice"),
            ("\n", "no name in it"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = filled(&parse("a\nb").unwrap(), 1).unwrap_err().to_string();
        assert!(
            error.contains("names category 2, but the masks have 1"),
            "{error}"
        );
    }
}
