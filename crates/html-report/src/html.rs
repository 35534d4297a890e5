//! The page: its style, its sections, and the escaping of text.

/// Everything the page needs to look well: no font, script or picture from elsewhere.
const STYLE: &str = include_str!("style.css");

/// `text` as it may stand in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
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
pub fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let part = |(index, part): (usize, &str)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.map(part).collect()
}

/// The whole page around its `sections`.
pub fn page(title: &str, sections: &[String]) -> String {
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
pub fn section(heading: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(heading)
    )
}

/// A list of sentences; empty when there are none.
pub fn list(sentences: &[String]) -> String {
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
pub fn summary(pairs: &[(String, String)]) -> String {
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

/// A ratio as a number of percent, without the sign.
pub fn percent(ratio: f64, decimals: usize) -> String {
    if ratio.is_finite() {
        format!("{:.decimals$}", 100.0 * ratio)
    } else {
        "–".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_empty_section_leaves_no_heading() {
        assert_eq!(section("Loss", ""), "");
    }
}
