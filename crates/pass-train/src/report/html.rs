//! The page: its style, its sections, and the escaping of text.

use super::{MetricRow, RowKind};

/// Everything the page needs to look well: no font, script or picture from elsewhere.
const STYLE: &str = include_str!("style.css");

/// `text` as it may stand in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A sentence; what stands in backticks is code.
pub(super) fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let part = |(index, part): (usize, &str)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.map(part).collect()
}

/// The whole page around its `sections`.
pub(super) fn page(title: &str, sections: &[String]) -> String {
    let title = escape(title);
    let body = sections.concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// A section with a heading; empty when there is nothing to show.
pub(super) fn section(heading: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(heading)
    )
}

/// A list of sentences; empty when there are none.
pub(super) fn list(sentences: &[String]) -> String {
    let item = |sentence: &String| format!("<li>{}</li>\n", prose(sentence));
    match sentences {
        [] => String::new(),
        _ => format!(
            "<ul>\n{}</ul>\n",
            sentences.iter().map(item).collect::<String>()
        ),
    }
}

/// Keys and values of the run.
pub(super) fn summary(pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let item = |(key, value): &(String, String)| {
        format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            escape(key),
            escape(value)
        )
    };
    format!(
        "<dl class=\"summary\">\n{}</dl>\n",
        pairs.iter().map(item).collect::<String>()
    )
}

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

/// A ratio as a number of percent, without the sign.
pub(super) fn percent(ratio: f64, decimals: usize) -> String {
    if ratio.is_finite() {
        format!("{:.decimals$}", 100.0 * ratio)
    } else {
        "–".to_owned()
    }
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
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<b a=\"1\">R&D's"),
            "&lt;b a=&quot;1&quot;&gt;R&amp;D&#39;s"
        );
    }

    #[test]
    fn code_in_a_sentence_stands_out() {
        assert_eq!(prose("more `a<b` here"), "more <code>a&lt;b</code> here");
        assert_eq!(prose("none"), "none");
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

    #[test]
    fn an_empty_section_leaves_no_heading() {
        assert_eq!(section("Loss", ""), "");
    }
}
