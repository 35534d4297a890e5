//! The result of an examination, for people and for programs.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{Fault, FaultKind};

/// Faults of one kind that the text spells out; the rest is counted. JSON has all.
const SHOWN: usize = 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Pictures that were looked at.
    pub pictures: u64,
    /// Everything that is wrong, sorted by kind and path.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether training may start: there are warnings at most.
    pub fn may_train(&self) -> bool {
        self.faults.iter().all(|fault| fault.kind.is_warning())
    }

    fn by_kind(&self) -> BTreeMap<FaultKind, Vec<&Fault>> {
        let mut kinds = BTreeMap::<_, Vec<_>>::new();
        for fault in &self.faults {
            kinds.entry(fault.kind).or_default().push(fault);
        }
        kinds
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, faults) in self.by_kind() {
            let weight = if kind.is_warning() {
                "warning"
            } else {
                "fault"
            };
            writeln!(f, "{weight} {} ({}):", kind.name(), faults.len())?;
            for fault in faults.iter().take(SHOWN) {
                writeln!(f, "  {}", line(fault))?;
            }
            if faults.len() > SHOWN {
                writeln!(f, "  and {} more", faults.len() - SHOWN)?;
            }
        }
        let verdict = if self.may_train() {
            "training may start"
        } else {
            "training must not start"
        };
        let warnings = self.faults.iter().filter(|fault| fault.kind.is_warning());
        let warnings = warnings.count();
        let faults = self.faults.len() - warnings;
        let pictures = self.pictures;
        write!(
            f,
            "{pictures} pictures, {faults} faults, {warnings} warnings: {verdict}"
        )
    }
}

/// Path and message, the path once.
fn line(fault: &Fault) -> String {
    let path = fault.path.display().to_string();
    match fault.message.starts_with(&path) {
        true => fault.message.clone(),
        false => format!("{path}: {}", fault.message),
    }
}
