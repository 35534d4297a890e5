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
    !ALTERNATIVES.contains(&key) || above.keys().all(|form| below.contains_key(form))
}

/// The document that one `key.of.it=value` stands for; a value that is no TOML is a string.
pub(crate) fn setting(setting: &str) -> Result<Table, String> {
    let (key, value) = setting
        .split_once('=')
        .ok_or_else(|| format!("`{setting}` is no KEY=VALUE"))?;
    let value = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_string()));
    let mut document = value;
    for part in key.trim().rsplit('.') {
        document = Value::Table(Table::from_iter([(part.to_string(), document)]));
    }
    match document {
        Value::Table(table) => Ok(table),
        _ => unreachable!("a key has at least one part"),
    }
}
