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
        let percent = [s.miou, s.boundary_miou, s.image_accuracy, s.f_beta].map(|x| 100.0 * x);
        lines.push(format!(
            "{name:width$}  {:>6.1} {:>7.1} {:>8.1} {:>7.1}",
            percent[0], percent[1], percent[2], percent[3]
        ));
    }
    lines.join("\n")
}
