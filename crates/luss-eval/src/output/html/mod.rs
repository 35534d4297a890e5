//! The page: the scores, the settings that they hold for and the pictures behind them, in one file that
//! asks for no other.

mod classes;
mod confusion;
mod labels;
mod matching;
mod pictures;
mod scores;
mod summary;
mod table;

use anyhow::Result;
use html_report::{list, page, section, threshold_figure};

use super::rows::notes;
use crate::{evaluation::Evaluation, scoring::Scored, settings::Settings};
use labels::Labels;

pub(super) fn document(evaluation: &Evaluation, settings: &Settings) -> Result<String> {
    let scored = &evaluation.scored;
    let labels = Labels::new(settings);
    let other = evaluation.other.as_ref();
    let comparison = other.map(|other| scores::comparison(&other.comparison));
    let others = other.map(|other| pictures::content(&other.scored, &labels));
    let sections = [
        list(&notes(evaluation, settings)),
        section("Scores", &scores::content(evaluation)),
        section("A against B", &comparison.unwrap_or_default()),
        section("Settings", &summary::content(scored, settings)?),
        section("Attention threshold", &curve(scored)),
        section("Classes", &classes::content(scored, &labels)),
        section("Confusion matrix", &confusion::content(scored, &labels)),
        section("Images", &pictures::content(scored, &labels)),
        section("Images of B", &others.unwrap_or_default()),
        section("Matching", &matching::content(scored, &labels)),
    ];
    Ok(page(&title(scored), &sections))
}

fn title(scored: &Scored) -> String {
    match &scored.inputs.prediction {
        Some(folder) => format!("Scores of {folder}"),
        None => "Scores of merged counts".into(),
    }
}

fn curve(scored: &Scored) -> String {
    let (Some(points), Some(chosen)) = (&scored.curve, scored.threshold) else {
        return String::new();
    };
    let scored = points
        .iter()
        .map(|point| Some((point.threshold, point.miou?)));
    match scored.collect::<Option<Vec<_>>>() {
        Some(points) => threshold_figure("Matched mIoU by threshold", points, chosen.threshold),
        None => String::new(), // nothing is counted
    }
}
