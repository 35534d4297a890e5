//! The bar of a terminal.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::text::{State, epoch_at, pace};

/// Its rate is that of the lines: `indicatif`'s own takes what an earlier process did for the work of
/// the first moment.
pub(super) fn bar(state: &State) -> ProgressBar {
    let template = format!(
        "{{prefix:.bold}} {{bar:24.cyan/dim}} {{epoch}}{{pos}}/{{len}} {}{{pace}} {{wide_msg:.dim}}",
        state.unit
    );
    let (first, unit, epochs) = (state.resumed_at, state.unit, state.epochs);
    let style = ProgressStyle::with_template(&template).expect("the template is fixed");
    let style = style.with_key(
        "epoch",
        move |bar: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&epoch_at(bar.pos(), bar.len().unwrap_or_default(), epochs));
        },
    );
    let style = style.with_key(
        "pace",
        move |bar: &ProgressState, out: &mut dyn fmt::Write| {
            let steps = [first, bar.pos(), bar.len().unwrap_or_default()];
            if let Some((rate, left)) = pace(steps, bar.elapsed()) {
                let _ = write!(out, ", {rate} {unit}/s, {left} left");
            }
        },
    );
    let bar = ProgressBar::new(state.total).with_style(style.progress_chars("━╸─"));
    let bar = bar.with_prefix(state.name.clone()).with_position(first);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
