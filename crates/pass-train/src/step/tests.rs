use super::*;

#[test]
fn every_row_is_behind_what_it_reads_and_where_its_step_looks_for_it() {
    for (place, row) in TABLE.iter().enumerate() {
        assert_eq!(row.step as usize, place, "{}", row.name);
        let mut inputs = row.reads.iter().chain(row.may_read);
        assert!(
            inputs.all(|input| (*input as usize) < place),
            "{}",
            row.name
        );
        assert_eq!(Step::from_name(row.name), Some(row.step));
    }
}

#[test]
fn dependents_follow_from_what_is_read() {
    let names = |step: Step| step.and_dependents();
    assert_eq!(names(Step::CheckData), Step::all().collect::<Vec<_>>());
    let labels = &names(Step::Finetune);
    assert_eq!(labels, &[Step::Finetune, Step::Predict, Step::Evaluate]);
    let nearest = &names(Step::DistanceMatching);
    assert_eq!(nearest, &[Step::DistanceMatching, Step::Evaluate]);
}

/// The table of the documentation, row by row.
#[test]
fn the_documented_table_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PIPELINE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let quoted = |names: Vec<&str>| match names.as_slice() {
        [] => "-".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    };
    for step in Step::all() {
        let reads = step.row().reads.iter().chain(step.row().may_read);
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            step.name(),
            step.describe(),
            quoted(reads.map(|step| step.name()).collect()),
            quoted(step.leaves().collect()),
            quoted(step.settings().to_vec()),
            if step.is_of_all_ranks() {
                "all"
            } else {
                "first"
            }
        );
        assert!(text.contains(&row), "docs/PIPELINE.md lacks\n{row}");
    }
}

/// A setting that no step depends on could be changed without any effect.
#[test]
fn every_setting_belongs_to_a_step_or_decides_nothing() {
    let mut known: Vec<&str> = crate::run::settings::FREE.to_vec();
    known.extend(Step::all().flat_map(Step::settings));
    let table = RunFile::default()
        .resolved()
        .parse::<toml::Table>()
        .unwrap();
    let mut sections = vec![(String::new(), table)];
    while let Some((prefix, table)) = sections.pop() {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            let covered = known
                .iter()
                .any(|of| crate::run::settings::covers(of, &key));
            match value {
                _ if covered => {}
                toml::Value::Table(inner) => sections.push((format!("{key}."), inner)),
                _ => panic!("no step depends on `{key}`"),
            }
        }
    }
}
