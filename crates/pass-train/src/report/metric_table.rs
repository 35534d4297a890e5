//! The metric table of a run.

use html_report::{escape, percent};

use super::{MetricRow, RowKind};

/// The metric table, in percent; the best of each column stands out, of rows that use no labels.
pub(super) fn metric_table(rows: &[MetricRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let best = best_of_columns(rows);
    let head: String = ["mIoU", "b-mIoU", "Img-Acc", "F<sub>β</sub>"]
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .concat();
    let body: String = rows.iter().map(|row| metric_row(row, &best)).collect();
    format!(
        "<div class=\"wide\"><table class=\"metrics\">\n\
         <thead><tr><th scope=\"col\">percent</th>{head}</tr></thead>\n\
         <tbody>\n{body}</tbody>\n</table></div>\n"
    )
}

fn metric_row(row: &MetricRow, best: &[Option<f64>; 4]) -> String {
    let class = match row.kind {
        RowKind::Method => "method",
        RowKind::Control => "control",
    };
    let cells: String = row
        .values()
        .iter()
        .zip(best)
        .map(|(value, best)| cell(*value, best.filter(|_| !row.uses_labels)))
        .collect();
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{}<small>{}</small></th>{cells}</tr>\n",
        escape(&row.name),
        escape(row.about)
    )
}

fn cell(value: Option<f64>, best: Option<f64>) -> String {
    let Some(value) = value else {
        return "<td class=\"none\">–</td>".to_owned();
    };
    let class = if Some(value) == best {
        " class=\"best\""
    } else {
        ""
    };
    let width = (100.0 * value).clamp(0.0, 100.0);
    format!(
        "<td{class}><span class=\"bar\" style=\"width:{width:.1}%\"></span>\
         <span class=\"number\">{}</span></td>",
        percent(value, 2)
    )
}

/// The largest value of each column among the rows that use no labels, where at least two have one.
fn best_of_columns(rows: &[MetricRow]) -> [Option<f64>; 4] {
    std::array::from_fn(|column| {
        let unlabelled = rows.iter().filter(|row| !row.uses_labels);
        let values = unlabelled.filter_map(|row| row.values()[column]);
        let comparable = values.clone().count() > 1;
        values.filter(|_| comparable).max_by(f64::total_cmp)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, miou: Option<f64>) -> MetricRow {
        let kind = RowKind::Method;
        MetricRow {
            name: name.into(),
            kind,
            about: "",
            uses_labels: false,
            miou,
            boundary_miou: None,
            image_accuracy: None,
            f_beta: None,
        }
    }

    #[test]
    fn the_best_row_of_a_column_stands_out() {
        let table = metric_table(&[row("one", Some(0.25)), row("two", Some(0.125))]);
        assert_eq!(table.matches("class=\"best\"").count(), 1);
        assert!(
            table.contains("<span class=\"number\">25.00</span>"),
            "{table}"
        );
    }

    #[test]
    fn a_row_that_uses_labels_is_never_the_best_and_every_row_says_what_it_is() {
        let labelled = MetricRow {
            about: "nearest <labelled> pixels",
            uses_labels: true,
            ..row("three", Some(0.5))
        };
        let table = metric_table(&[row("one", Some(0.25)), row("two", Some(0.125)), labelled]);
        let best = "<td class=\"best\"><span class=\"bar\" style=\"width:25.0%\">";
        assert_eq!(table.matches("class=\"best\"").count(), 1);
        assert!(table.contains(best), "{table}");
        assert!(table.contains("<small>nearest &lt;labelled&gt; pixels</small>"));
    }

    #[test]
    fn a_single_row_is_not_praised() {
        assert!(!metric_table(&[row("one", Some(0.25)), row("two", None)]).contains("best"));
    }
}
