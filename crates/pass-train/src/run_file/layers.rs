//! Settings on top of settings, key by key.

use toml::{Table, Value};

/// Sections of which one form excludes the others: they are replaced whole.
const ALTERNATIVES: [&str; 2] = ["source", "rule"];

/// Puts the values of `upper` over those of `lower`; sections are merged, everything else replaced.
///
/// A section with alternative forms is merged only where both have the same form.
pub(crate) fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if merges(&key, below, &above) => {
                lay_over(below, above);
            }
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

fn merges(key: &str, below: &Table, above: &Table) -> bool {
    // A backbone, or a foreground, of another kind.
    let kind = if key == "foreground" { "way" } else { "family" };
    if let Some(kind_above) = above.get(kind) {
        return below.get(kind) == Some(kind_above);
    }
    !ALTERNATIVES.contains(&key) || above.keys().all(|form| below.contains_key(form))
}
