//! A run as a text for the terminal: first a line for each step and what was found, then every number of
//! the log with its first and last value and a small curve.

use std::{
    fmt::{self, Write},
    path::Path,
};

use crate::{
    Error, RunDir, RunVerdict, Step,
    log::{LogRecord, read_log},
    report::data::series_by_name,
    watch::log_groups::{group_of, name_in_group},
};

/// Characters of a curve, from the lowest value to the highest.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of a narrow terminal, in which every line fits, ...
const WIDTH: usize = 60;
/// ... and of them those of a name and of a curve.
const NAME: usize = 27;
const CURVE: usize = 10;

/// The run in `root`, as it stands now. Reads the log and changes nothing, so that it may look at a
/// run that is under way. No line but the path is longer than 60 columns.
///
/// # Errors
///
/// [`Error::Damaged`] for a broken log or verdict, [`Error::NoRun`], and as [`RunDir::stored`].
pub fn terminal_view(root: &Path) -> Result<String, Error> {
    let file = RunDir::stored(root)?.ok_or_else(|| Error::NoRun { path: root.into() })?;
    let run = RunDir::find(root, &file)?;
    let records = read_log(&root.join("log.jsonl"))?;
    let of = |step: Step| records.iter().filter(move |of| of.step == step.name());
    let mut text = format!("{}\n", root.display());
    for step in Step::all() {
        let state = state(run.is_done(step), of(step).next_back());
        line(&mut text, format_args!("{:<18} {state}", step.name()));
    }
    let over = run.is_done(Step::Evaluate);
    let verdict = over.then(|| RunVerdict::find(&run)).transpose()?.flatten();
    text += &verdict.map_or(String::new(), |verdict| wrapped(&verdict.sentence));
    for step in Step::all() {
        number_lines(&mut text, step, of(step));
    }
    Ok(text)
}

/// Whether the last step of the run in `root` has finished.
pub fn is_over(root: &Path) -> bool {
    let Ok(Some(file)) = RunDir::stored(root) else {
        return false;
    };
    RunDir::find(root, &file).is_ok_and(|run| run.is_done(Step::Evaluate))
}

fn state(done: bool, last: Option<&LogRecord>) -> String {
    match (done, last) {
        (true, _) => "done".to_owned(),
        (false, Some(last)) => {
            format!("epoch {}, iteration {}", last.epoch + 1, last.iteration + 1)
        }
        (false, None) => "-".to_owned(),
    }
}

/// A line for each number of a step, losses first.
fn number_lines<'a>(text: &mut String, step: Step, records: impl Iterator<Item = &'a LogRecord>) {
    let mut series: Vec<_> = series_by_name(records).into_iter().collect();
    if series.is_empty() {
        return;
    }
    line(text, format_args!("\n{}", step.name()));
    series.sort_by_key(|(name, _)| (group_of(name) != "loss", group_of(name).to_owned()));
    for (name, series) in series {
        let values: Vec<f64> = series.points.iter().map(|point| point.1).collect();
        let name = format!("{}/{}", group_of(&name), name_in_group(&name));
        let name: String = name.chars().take(NAME).collect();
        let [first, last] = [values[0], values[values.len() - 1]].map(short);
        let curve = curve(&values);
        line(
            text,
            format_args!("  {name:<NAME$} {first:>8} → {last:<8} {curve}"),
        );
    }
}

fn line(text: &mut String, line: fmt::Arguments) {
    let _ = writeln!(text, "{line}"); // writing into a string cannot fail
}

/// A sentence over as many lines as it takes, behind an empty one.
fn wrapped(sentence: &str) -> String {
    let (mut text, mut column) = (String::new(), WIDTH);
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        } else {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += length;
    }
    text + "\n"
}

/// A character for each stretch of values: the height of their mean between the lowest and the
/// highest mean; a space where no value is finite.
fn curve(values: &[f64]) -> String {
    let means: Vec<Option<f64>> = values
        .chunks(values.len().div_ceil(CURVE).max(1))
        .map(|stretch| {
            let finite = stretch.iter().filter(|value| value.is_finite());
            let count = finite.clone().count();
            (count > 0).then(|| finite.sum::<f64>() / count as f64)
        })
        .collect();
    let finite = || means.iter().flatten().copied();
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let level = |mean: f64| {
        let share = if high > low {
            (mean - low) / (high - low)
        } else {
            0.0
        };
        LEVELS[(share * (LEVELS.len() - 1) as f64).round() as usize]
    };
    means.iter().map(|mean| mean.map_or(' ', level)).collect()
}

/// Four significant digits; small and large numbers with an exponent.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        size => {
            let decimals = 3 - (size.log10().floor() as i32).clamp(0, 3);
            format!("{value:.*}", decimals as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{RunFile, log::LogWriter};

    #[test]
    fn a_curve_rises_with_its_values_and_leaves_gaps() {
        assert_eq!(curve(&[0.0, 3.5, 7.0]), "▁▅█");
        assert_eq!(curve(&[1.0, f64::NAN, 1.0]), "▁ ▁");
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(curve(&long).chars().count(), CURVE);
        assert!(curve(&long).starts_with('▁') && curve(&long).ends_with('█'));
    }

    #[test]
    fn numbers_keep_four_digits() {
        let shown = [
            0.0,
            0.0123,
            1.23456,
            123.456,
            2000.4,
            1.2e-7,
            -4.5,
            3e9,
            f64::NAN,
        ]
        .map(short);
        let expected = [
            "0", "0.012", "1.235", "123.5", "2000", "1.20e-7", "-4.500", "3.00e9", "NaN",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_run_under_way_shows_what_is_done_and_where_it_stands() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::open(root.path(), &RunFile::default()).unwrap();
        run.finish(Step::CheckData, &"fine").unwrap();
        let mut log = LogWriter::open(&run.file("log.jsonl")).unwrap();
        for (iteration, total) in [(0, 5.5), (20, 3.25)] {
            let values = [("total", total), ("health/update_norm", 0.5)];
            log.append(&LogRecord {
                step: "pretrain".into(),
                epoch: 1,
                iteration,
                seconds: 1.0,
                values: values.map(|(name, value)| (name.to_owned(), value)).into(),
            })
            .unwrap();
        }
        let text = terminal_view(root.path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "check_data         done");
        assert_eq!(lines[2], "pretrain           epoch 2, iteration 21");
        let steps = Step::all().count();
        assert_eq!(lines[steps + 1..steps + 3], ["", "pretrain"]);
        let numbers = &lines[steps + 3..];
        assert!(numbers[0].starts_with("  loss/total "), "{text}");
        assert!(numbers[0].ends_with("5.500 → 3.250    █▁"), "{text}");
        assert!(numbers[1].starts_with("  health/update_norm "), "{text}");
        assert!(!is_over(root.path()));
    }

    #[test]
    fn every_line_fits_sixty_columns() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::open(root.path(), &RunFile::default()).unwrap();
        let mut log = LogWriter::open(&run.file("log.jsonl")).unwrap();
        for iteration in 0..100 {
            let values = [
                ("health/prototype_perplexity_of_all", -1.25e-7),
                ("total", 12_345.6),
            ];
            log.append(&LogRecord {
                step: "tune_attention".into(),
                epoch: 1,
                iteration,
                seconds: 1.0,
                values: values.map(|(name, value)| (name.to_owned(), value)).into(),
            })
            .unwrap();
        }
        let text = terminal_view(root.path()).unwrap();
        let sentence = wrapped(&"The result is doubtful: few images. ".repeat(9));
        for line in text.lines().skip(1).chain(sentence.lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert_eq!(wrapped("a b"), "\na b\n");
    }

    #[test]
    fn a_look_leaves_what_the_run_has_not_cleared_away_yet() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::open(root.path(), &RunFile::default()).unwrap();
        run.finish(Step::Predict, &"done").unwrap();
        let cursor = run.progress(Step::Predict);
        fs::create_dir_all(&cursor).unwrap();
        terminal_view(root.path()).unwrap();
        assert!(cursor.exists());
    }

    #[test]
    fn a_verdict_is_shown_of_a_finished_run_alone_and_a_damaged_one_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::open(root.path(), &RunFile::default()).unwrap();
        let verdict = run.file("verdict.json");
        fs::write(&verdict, "torn").unwrap();
        terminal_view(root.path()).unwrap();
        run.finish(Step::Evaluate, &"done").unwrap();
        let error = terminal_view(root.path()).unwrap_err().to_string();
        assert!(error.contains("verdict.json"), "{error}");
        run.invalidate(Step::Predict).unwrap();
        assert!(!verdict.exists());
        run.finish(Step::Evaluate, &"done").unwrap();
        terminal_view(root.path()).unwrap();
    }

    #[test]
    fn a_folder_without_a_run_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let error = terminal_view(root.path()).unwrap_err().to_string();
        assert!(error.starts_with("no run at "), "{error}");
        assert!(!root.path().join("done").exists());
    }
}
