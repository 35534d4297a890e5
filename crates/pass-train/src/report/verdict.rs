//! The top of the report: whether the run has worked, what was found, and what to do next.

use html_report::{escape, list, percent, prose};

use super::sheet::chip;
use crate::{CategoryUse, Grade, RunVerdict};

/// Categories that are shown, the largest.
const SHOWN: usize = 30;

/// A verdict, and what it points to.
#[derive(Debug, Clone)]
pub struct ShownVerdict {
    /// The verdict.
    pub verdict: RunVerdict,
    /// Commands that use the result.
    pub next: Vec<String>,
}

/// What the section holds. With class names the colours of the page are those of classes, so that
/// categories have none.
pub(super) fn content(shown: &ShownVerdict, class_names: &[String]) -> String {
    let verdict = &shown.verdict;
    let class = match verdict.grade {
        Grade::Sound => "",
        Grade::Doubtful => " doubtful",
        Grade::Failed => " failed",
    };
    let findings: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
    let code = |text: &String| format!("<code>{}</code>", escape(text));
    let masks: Vec<String> = verdict.masks.iter().map(code).collect();
    let next: Vec<String> = shown.next.iter().map(code).collect();
    format!(
        "<p class=\"verdict{class}\">{}</p>\n{}{}<p class=\"note\">Masks: {}. Next: {}.</p>\n",
        prose(&verdict.sentence),
        list(&findings),
        shares(verdict, class_names.is_empty()),
        masks.join(", "),
        next.join(" or ")
    )
}

/// A bar for the background and each category, the largest first.
fn shares(verdict: &RunVerdict, coloured: bool) -> String {
    let Some((background, rest)) = verdict.by_share() else {
        return String::new();
    };
    let more = rest.len().saturating_sub(SHOWN);
    let rows = [background].into_iter().chain(rest.into_iter().take(SHOWN));
    let rows: String = rows.map(|of| share(of, coloured)).collect();
    let more = match more {
        0 => String::new(),
        count => format!("<p class=\"note\">and {count} smaller categories</p>\n"),
    };
    format!(
        "<table class=\"shares\">\n<thead><tr><th scope=\"col\">category</th><th scope=\"col\">share of the \
         pixels, percent</th><th scope=\"col\">images</th><th scope=\"col\">on all four sides</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n{more}"
    )
}

fn share(of: &CategoryUse, coloured: bool) -> String {
    let name = match (of.id, coloured) {
        (0, _) => "background".to_owned(),
        (id, false) => format!("category {id}"),
        (id, true) => chip(id as u16, &[]),
    };
    let width = 100.0 * of.share;
    format!(
        "<tr><th scope=\"row\">{name}</th><td class=\"wide-cell\"><span class=\"bar\" \
         style=\"width:{width:.1}%\"></span><span class=\"number\">{}</span></td><td>{}</td><td>{}</td></tr>\n",
        percent(of.share, 1),
        of.images,
        of.on_all_sides
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn shown(categories: usize) -> ShownVerdict {
        let of = |id: usize| CategoryUse {
            id,
            share: if id == 0 { 0.5 } else { id as f64 / 1000.0 },
            images: 7,
            on_all_sides: 2,
        };
        ShownVerdict {
            verdict: RunVerdict {
                schema: 1,
                grade: Grade::Failed,
                sentence: "This run has not worked: loss > ln K".into(),
                findings: vec![Finding {
                    step: "pretrain".into(),
                    grade: Grade::Failed,
                    what: "loss > ln K".into(),
                    advice: "train longer".into(),
                }],
                categories: (0..=categories).map(of).collect(),
                stability: None,
                masks: vec!["fine_tuned/train".into()],
            },
            next: vec!["luss segment --run 'a b'".into()],
        }
    }

    #[test]
    fn the_verdict_stands_first_with_findings_masks_and_the_next_command() {
        let html = content(&shown(2), &[]);
        let place = |text: &str| {
            html.find(text)
                .unwrap_or_else(|| panic!("no {text} in {html}"))
        };
        assert!(
            html.starts_with("<p class=\"verdict failed\">This run has not worked: loss &gt; ln K")
        );
        assert!(place("<li>pretrain: loss &gt; ln K; train longer") < place(">background<"));
        assert!(place("category 2") < place("category 1"));
        assert!(place("fine_tuned/train") < place("luss segment --run &#39;a b&#39;"));
    }

    #[test]
    fn of_many_categories_the_largest_are_shown_and_the_rest_is_counted() {
        let html = content(&shown(40), &["cat".into()]);
        assert_eq!(html.matches("<tr>").count(), 1 + 1 + SHOWN);
        assert!(html.contains("and 10 smaller categories"));
        assert!(html.contains(">category 40<") && !html.contains(">category 10<"));
    }
}
