//! The final table on the terminal.

use pass_train::step::evaluate::Metrics;

/// The scores of every result in percent, one line each.
pub fn metrics_table(metrics: &Metrics) -> String {
    if metrics.is_empty() {
        return "no validation masks, so there are no scores".into();
    }
    let width = metrics.keys().map(String::len).max().unwrap_or(0).max(6);
    let mut lines = vec![format!(
        "{:width$}  {:>6} {:>7} {:>8} {:>7}",
        "result", "mIoU", "b-mIoU", "Img-Acc", "F-beta"
    )];
    for (name, s) in metrics {
        let scores = [s.miou, s.boundary_miou, s.image_accuracy, s.f_beta];
        let [miou, boundary, accuracy, f_beta] = scores.map(percent);
        lines.push(format!(
            "{name:width$}  {miou:>6} {boundary:>7} {accuracy:>8} {f_beta:>7}"
        ));
    }
    lines.join("\n")
}

/// A ratio in percent, a dash where there is none.
pub fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{:.1}", 100.0 * ratio))
}
