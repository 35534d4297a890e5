//! Lists of pairs: a prediction and its true mask a line.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{FileError, Tree, reader::io};

/// The names of columns with predictions.
const PREDICTION: [&str; 3] = ["prediction", "pred", "predicted"];

/// The names of columns with true masks.
const TRUTH: [&str; 5] = ["truth", "gt", "label", "target", "ground_truth"];

/// Reads a list of pairs: predictions and true masks under the keys of the latter.
///
/// A line is a prediction and its true mask, parted by a tab, a comma, or else by blanks; a first line that
/// names the columns (`prediction,truth` or `truth,prediction`) says their order. In lines with commas
/// quotes may enclose a path. Paths are relative to the folder of the list. Empty lines, and those that
/// begin with `#`, are left out.
///
/// # Errors
///
/// [`FileError::Io`] for a list that cannot be read, [`FileError::PairList`] for a line that is no pair and
/// for one whose true mask is that of another line, extension aside.
/// Whether the files are there shows when they are read.
pub fn read_pairs(list: &Path) -> Result<[Tree; 2], FileError> {
    let text = fs::read_to_string(list).map_err(|source| io(list, source))?;
    let mut pairs = Pairs {
        folder: list.parent().unwrap_or(Path::new("")),
        trees: [Tree::empty(list), Tree::empty(list)],
        lines: HashMap::new(),
        is_turned: false,
    };
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    for (count, (number, line)) in lines.enumerate() {
        let refused = |reason| FileError::PairList {
            path: list.to_owned(),
            line: number,
            reason,
        };
        let fields = fields_of(line).map_err(refused)?;
        if count > 0 || !pairs.is_header(&fields) {
            pairs.add(fields, number).map_err(refused)?;
        }
    }
    Ok(pairs.trees)
}

struct Pairs<'a> {
    folder: &'a Path,
    /// Predictions and true masks.
    trees: [Tree; 2],
    /// The line of each key.
    lines: HashMap<PathBuf, usize>,
    /// Whether the true masks come first.
    is_turned: bool,
}

impl Pairs<'_> {
    /// Whether these are the names of columns; takes their order.
    fn is_header(&mut self, fields: &[String; 2]) -> bool {
        let [first, second] = fields.each_ref().map(|field| field.to_lowercase());
        let is = |names: &[&str], field: &String| names.contains(&field.as_str());
        self.is_turned = is(&TRUTH, &first) && is(&PREDICTION, &second);
        self.is_turned || is(&PREDICTION, &first) && is(&TRUTH, &second)
    }

    fn add(&mut self, mut fields: [String; 2], line: usize) -> Result<(), String> {
        if self.is_turned {
            fields.reverse();
        }
        let key = Path::new(&fields[1]).with_extension("");
        if let Some(other) = self.lines.insert(key.clone(), line) {
            return Err(format!(
                "{} is the true mask of line {other} already; each has one prediction",
                fields[1]
            ));
        }
        for (tree, field) in self.trees.iter_mut().zip(fields) {
            tree.insert(key.clone(), self.folder.join(field));
        }
        Ok(())
    }
}

fn fields_of(line: &str) -> Result<[String; 2], String> {
    let fields: Vec<String> = match line {
        _ if line.contains('\t') => line.split('\t').map(|field| field.trim().into()).collect(),
        _ if line.contains(',') => quoted_fields(line),
        _ => line.split_whitespace().map(String::from).collect(),
    };
    let found = fields.len();
    let fields: Result<[String; 2], _> = fields.try_into();
    match fields {
        Ok(fields) if fields.iter().all(|field| !field.is_empty()) => Ok(fields),
        _ => Err(format!(
            "{found} fields where a prediction and its true mask belong; \
             part them by a comma or a tab"
        )),
    }
}

/// Fields between commas; inside of quotes a comma is one, and `""` a quote.
fn quoted_fields(line: &str) -> Vec<String> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("one at least");
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if is_quoted || field.trim().is_empty() => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    fields.iter().map(|field| field.trim().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_parted_by_a_tab_a_comma_or_blanks() {
        let fields = |line: &str| fields_of(line).unwrap();
        assert_eq!(fields("a b.png, c.png"), ["a b.png", "c.png"]);
        assert_eq!(fields("a,b.png\tc d.png"), ["a,b.png", "c d.png"]);
        assert_eq!(fields("a.png   c.png"), ["a.png", "c.png"]);
        assert_eq!(
            fields(r#""a, ""b"".png",c.png"#),
            [r#"a, "b".png"#, "c.png"]
        );
        for line in ["a.png", "a,b,c", ",b", "a b c.png"] {
            assert!(
                fields_of(line).unwrap_err().contains("fields where"),
                "{line}"
            );
        }
    }
}
