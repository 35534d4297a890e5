//! The confusion matrix as a picture, and its largest cells beside the diagonal.

use std::{cmp::Reverse, fmt::Write as _};

use html_report::png_uri;
use image::{Rgba, RgbaImage};
use luss_metrics::Confusion;

use super::{
    labels::Labels,
    table::{count, ratio, row, table},
};
use crate::scoring::Scored;

/// Up to this many labels the matrix is drawn.
const DRAWN: usize = 2000;
/// Up to this many the numbers are written into it.
const WRITTEN: usize = 10;
/// Confusions that are listed.
const LISTED: usize = 20;
/// Numbers along an axis.
const TICKS: usize = 10;

/// The colour of a full row in one cell; smaller shares are more transparent.
const COLOR: [u8; 3] = [31, 111, 209];
/// Shares that the legend shows.
const LEGEND: [f64; 5] = [0.01, 0.1, 0.25, 0.5, 1.0];

/// The drawing, in its own units: its side, where the matrix begins, and the matrix's side.
const SIDE: usize = 960;
const LEFT: usize = 130;
const TOP: usize = 16;
const MATRIX: usize = 810;

/// The cells as shares of their rows.
struct Shares<'a> {
    confusion: &'a Confusion,
    /// True pixels of each label.
    truth: Vec<u64>,
}

pub(super) fn content(scored: &Scored, labels: &Labels) -> String {
    let Some(confusion) = &scored.confusion else {
        return String::new();
    };
    let truth = scored.report.per_class.iter();
    let shares = Shares {
        confusion,
        truth: truth.map(|class| class.truth_pixels).collect(),
    };
    let matrix = match shares.labels() {
        0..=DRAWN => shares.figure(),
        n => format!("<p class=\"note\">The matrix of {n} labels is too large to be drawn.</p>\n"),
    };
    format!(
        "<div class=\"charts\">\n{matrix}{}</div>\n",
        shares.largest(labels)
    )
}

impl Shares<'_> {
    fn labels(&self) -> usize {
        self.truth.len()
    }

    /// The cells that are not 0: true label, predicted label, pixels and share of the true pixels.
    fn cells(&self) -> impl Iterator<Item = (u16, u16, u64, f64)> {
        self.confusion.cells().map(|(truth, prediction, pixels)| {
            let share = pixels as f64 / self.truth[usize::from(truth)] as f64;
            (truth, prediction, pixels, share)
        })
    }

    fn figure(&self) -> String {
        let legend = LEGEND.map(|share| {
            let ([red, green, blue], alpha) = (COLOR, opacity(share));
            format!(
                "<li><i class=\"swatch\" style=\"background:rgb({red} {green} {blue} / {alpha:.3})\"></i> {} %</li>",
                100.0 * share
            )
        });
        format!(
            "<figure class=\"chart\">\n<figcaption>Where the pixels of each true label went</figcaption>\n\
             <p class=\"note\">Share of the pixels of the true label, which is that of its row:</p>\n\
             <ul class=\"legend\">{}</ul>\n{}</figure>\n",
            legend.concat(),
            self.svg()
        )
    }

    fn svg(&self) -> String {
        let middle = LEFT + MATRIX / 2;
        let center = TOP + MATRIX / 2;
        format!(
            "<svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"Confusion matrix\" font-size=\"28\" \
             font-family=\"sans-serif\">\n\
             <image x=\"{LEFT}\" y=\"{TOP}\" width=\"{MATRIX}\" height=\"{MATRIX}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"{}\"/>\n\
             <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{MATRIX}\" height=\"{MATRIX}\" fill=\"none\" stroke=\"#E3E6EA\" \
             stroke-width=\"2\"/>\n{}{}\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">predicted label</text>\n\
             <text transform=\"translate(34 {center}) rotate(-90)\" text-anchor=\"middle\">true label</text>\n</svg>\n",
            png_uri(&self.picture()),
            self.numbers(),
            self.ticks(),
            SIDE - 24
        )
    }

    /// A pixel for each cell.
    fn picture(&self) -> RgbaImage {
        let side = self.labels() as u32;
        let mut picture = RgbaImage::new(side, side);
        let [red, green, blue] = COLOR;
        for (truth, prediction, _, share) in self.cells() {
            let alpha = (255.0 * opacity(share)).round() as u8;
            let pixel = Rgba([red, green, blue, alpha]);
            picture.put_pixel(prediction.into(), truth.into(), pixel);
        }
        picture
    }

    /// Where the middle of a label's cell is, from the beginning of the matrix.
    fn place(&self, label: usize) -> usize {
        (2 * label + 1) * MATRIX / (2 * self.labels())
    }

    /// The shares in percent, if there is room.
    fn numbers(&self) -> String {
        if self.labels() > WRITTEN {
            return String::new();
        }
        let mut text = String::new();
        for (truth, prediction, _, share) in self.cells() {
            let (x, y) = (self.place(prediction.into()), self.place(truth.into()));
            let class = if share > 0.3 { "on-color" } else { "" };
            writeln!(
                text,
                "<text class=\"{class}\" font-weight=\"600\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.0}</text>",
                LEFT + x,
                TOP + y + 10,
                100.0 * share
            )
            .expect("a String takes any text");
        }
        text
    }

    /// Labels along both axes.
    fn ticks(&self) -> String {
        let mut text = String::new();
        for label in (0..self.labels()).step_by(tick_step(self.labels())) {
            let place = self.place(label);
            let (x, y) = (LEFT + place, TOP + place + 10);
            write!(
                text,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n\
                 <text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{label}</text>\n",
                TOP + MATRIX + 36,
                LEFT - 12
            )
            .expect("a String takes any text");
        }
        text
    }

    /// The labels that are taken for others, by pixels.
    fn largest(&self, labels: &Labels) -> String {
        let mut wrong: Vec<_> = self.cells().filter(|cell| cell.0 != cell.1).collect();
        if wrong.is_empty() {
            return "<p class=\"note\">No pixel of a label is predicted as another one.</p>\n"
                .into();
        }
        wrong.sort_by_key(|&(truth, prediction, pixels, _)| (Reverse(pixels), truth, prediction));
        let lines = wrong.iter().take(LISTED);
        let lines = lines.map(|&(truth, prediction, pixels, share)| {
            let taken_for = format!("<td>{}</td>", labels.chip(prediction));
            row(
                &labels.chip(truth),
                [taken_for, count(pixels), ratio(Some(share))],
            )
        });
        table(
            "metrics dense",
            "The largest confusions: pixels of a true label that are predicted as another one.",
            &[
                "true label",
                "predicted as",
                "pixels",
                "percent of the true label",
            ],
            &lines.collect::<String>(),
        )
    }
}

/// The square root lets small shares be seen.
fn opacity(share: f64) -> f64 {
    share.sqrt()
}

/// 1, 2 or 5 times a power of ten, such that there are at most [`TICKS`] numbers.
fn tick_step(labels: usize) -> usize {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|n| n * 10_usize.pow(power)));
    let mut fitting = steps.filter(|step| labels.div_ceil(*step) <= TICKS);
    fitting.next().expect("a step as large as the labels fits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use luss_metrics::{ImageCounts, LabelMask, Protocol};

    #[test]
    fn a_step_leaves_at_most_ten_numbers() {
        let steps = [3, 10, 11, 51, 101, 920, 2000].map(tick_step);
        assert_eq!(steps, [1, 1, 2, 10, 20, 100, 200]);
    }

    #[test]
    fn rows_are_true_labels_and_columns_predicted_ones() {
        let mask = |labels: [u16; 4]| LabelMask::new(4, 1, labels.to_vec()).unwrap();
        let (prediction, truth) = (mask([2, 2, 0, 1]), mask([1, 1, 1, 1]));
        let image = ImageCounts::new(&prediction, &truth, 2, &Protocol::new(2)).unwrap();
        let mut confusion = Confusion::new(2);
        confusion.add(&image).unwrap();
        let shares = Shares {
            confusion: &confusion,
            truth: vec![0, 4, 0],
        };
        let picture = shares.picture();
        let alpha = |x, y| picture.get_pixel(x, y).0[3];
        assert_eq!([alpha(0, 1), alpha(1, 1), alpha(2, 1)], [128, 128, 180]);
        assert_eq!([alpha(1, 0), alpha(1, 2), alpha(2, 2)], [0; 3]);
    }
}
