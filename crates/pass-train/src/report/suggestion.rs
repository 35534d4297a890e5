//! The curve by which a number of categories was suggested.

use pixel_attention::kmeans::suggest::{Candidate, REPRODUCIBLE, Suggestion};

use html_report::{Axis, LineChart, Series};

/// A sentence and the curve.
pub(super) fn content(suggestion: &Suggestion) -> String {
    let series = |name: &str, of: fn(&Candidate) -> f64| Series {
        name: name.to_owned(),
        points: suggestion
            .curve
            .iter()
            .map(|candidate| (candidate.clusters as f64, of(candidate)))
            .collect(),
    };
    let clusters = suggestion.clusters;
    let figure = html_report::figure(&LineChart {
        title: "what speaks for each number of categories",
        x_label: "categories",
        y_label: "0 to 1, more is better",
        y_axis: Axis::Linear,
        series: &[
            series("stability", |candidate| candidate.stability),
            series("silhouette", |candidate| candidate.silhouette),
        ],
        mark: Some((clusters as f64, format!("suggested {clusters}"))),
    });
    let note = note(suggestion);
    format!("<p class=\"note\">{note}</p>\n<div class=\"charts\">\n{figure}</div>\n")
}

fn note(suggestion: &Suggestion) -> String {
    let clusters = suggestion.clusters;
    let found = if suggestion.reproducible {
        format!(
            "{clusters} has the largest silhouette of the numbers whose clusters are found again in other \
             parts of the images (stability of {REPRODUCIBLE} or more)."
        )
    } else {
        format!(
            "No number of categories is found again in other parts of the images (stability of {REPRODUCIBLE} or \
             more): {clusters} comes nearest, and none is distinct."
        )
    };
    format!(
        "{found} It is a suggestion: which categories there are depends on what you want to tell apart."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_has_a_point_a_number_and_says_that_it_is_a_suggestion() {
        let candidate = |clusters, stability| Candidate {
            clusters,
            stability,
            silhouette: 0.5,
        };
        let mut suggestion = Suggestion {
            clusters: 3,
            reproducible: true,
            curve: vec![candidate(2, 0.9), candidate(3, 0.8), candidate(5, 0.4)],
        };
        let text = content(&suggestion);
        for part in [
            "suggested 3",
            "stability",
            "silhouette",
            "It is a suggestion",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("none is distinct"));
        suggestion.reproducible = false;
        assert!(content(&suggestion).contains("none is distinct"));
    }
}
