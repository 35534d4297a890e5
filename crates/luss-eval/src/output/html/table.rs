//! Tables of the page. A number is a `data` element, whose value is the exact one.

use std::fmt::Display;

use crate::output::rows::percent;

/// A table with a caption; `classes` are those of the style sheet, `rows` come from [`row`]. The first
/// column names the rows.
pub(super) fn table(classes: &str, caption: &str, columns: &[&str], rows: &str) -> String {
    let head = columns
        .iter()
        .map(|column| format!("<th scope=\"col\">{column}</th>"));
    format!(
        "<div class=\"wide\"><table class=\"{classes}\">\n<caption><span>{caption}</span></caption>\n\
         <thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        head.collect::<String>()
    )
}

/// A row of cells after its name; all of it is HTML.
pub(super) fn row(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().collect();
    format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
}

/// A ratio in percent before a bar of its length; a dash where there is none.
pub(super) fn bar(ratio: Option<f64>) -> String {
    let Some(value) = ratio else {
        return none();
    };
    let width = (100.0 * value).clamp(0.0, 100.0);
    format!(
        "<td><span class=\"bar\" style=\"width:{width:.1}%\"></span><span class=\"number\">{}</span></td>",
        of_ratio(value)
    )
}

/// A ratio in percent; a dash where there is none.
pub(super) fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(none, |value| format!("<td>{}</td>", of_ratio(value)))
}

/// A number as it is.
pub(super) fn count(number: impl Display) -> String {
    format!("<td>{}</td>", of_count(number))
}

/// Any HTML.
pub(super) fn cell(content: &str) -> String {
    format!("<td>{content}</td>")
}

pub(super) fn of_ratio(ratio: f64) -> String {
    format!("<data value=\"{ratio}\">{}</data>", percent(Some(ratio)))
}

pub(super) fn of_count(number: impl Display) -> String {
    format!("<data value=\"{number}\">{number}</data>")
}

fn none() -> String {
    "<td class=\"none\">–</td>".into()
}
