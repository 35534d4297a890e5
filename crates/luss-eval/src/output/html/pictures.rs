//! The worst and the best pictures: truth, prediction and difference in colours.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use html_report::{Paint, escape, fitted, jpeg_uri, overlay_of, png_uri};
use image::{Rgb, RgbImage};
use luss_metrics::{LabelMask, OTHER};

use super::{labels::Labels, table::of_ratio};
use crate::scoring::{BOX, Drawn, Sample, Scored};

/// What stands in for a photograph.
const PLAIN: Rgb<u8> = Rgb([214; 3]);
const JPEG_QUALITY: u8 = 80;
/// Labels named below a tile.
const NAMED: usize = 3;

/// How a pixel's labels differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// Both are "other".
    Nothing,
    Right,
    Missed,
    Invented,
    Confused,
    Ignored,
}

impl Difference {
    const ALL: [Self; 6] = [
        Self::Right,
        Self::Missed,
        Self::Invented,
        Self::Confused,
        Self::Nothing,
        Self::Ignored,
    ];

    fn paint(self) -> Paint {
        match self {
            Self::Nothing => Paint::Clear,
            Self::Right => Paint::Color([0, 158, 115]),
            Self::Missed => Paint::Color([213, 94, 0]),
            Self::Invented => Paint::Color([70, 130, 235]),
            Self::Confused => Paint::Color([204, 60, 150]),
            Self::Ignored => Paint::Hatched,
        }
    }

    fn is_about_other(self) -> bool {
        matches!(self, Self::Nothing | Self::Missed | Self::Invented)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "rightly other",
            Self::Right => "right",
            Self::Missed => "a class predicted as other",
            Self::Invented => "other predicted as a class",
            Self::Confused => "a class predicted as another one",
            Self::Ignored => "ignored, counts nowhere",
        }
    }
}

pub(super) fn content(scored: &Scored, labels: &Labels) -> String {
    let samples = &scored.samples;
    let cards = |heading: &str, samples: &[Sample]| match samples {
        [] => String::new(),
        _ => {
            let cards = samples.iter().map(|sample| card(sample, scored, labels));
            let cards: String = cards.collect();
            format!("<h3>{heading}</h3>\n<div class=\"sheet\">\n{cards}</div>\n")
        }
    };
    let worst = cards("Worst by mIoU of the image", &samples.worst);
    let best = cards("Best by mIoU of the image", &samples.best);
    if worst.is_empty() && best.is_empty() {
        return String::new();
    }
    let about = "<p class=\"note\">mIoU of an image: mean IoU over the labels that its truth or its prediction holds.</p>\n";
    format!("{about}{}{worst}{best}", legend(scored, labels))
}

/// What the colours mean; where no mask was read, why.
fn legend(scored: &Scored, labels: &Labels) -> String {
    let samples = &scored.samples;
    let samples = samples.worst.iter().chain(&samples.best);
    let drawn: Vec<&Drawn> = samples.filter_map(|sample| sample.drawn.as_ref()).collect();
    if drawn.is_empty() {
        return "<p class=\"note\">Merged counts hold no masks; the page of a run over the masks shows them.</p>\n".into();
    }
    let masks = drawn
        .iter()
        .flat_map(|drawn| [&drawn.truth, &drawn.prediction]);
    let occurring: BTreeSet<u16> = masks.flat_map(|mask| mask.labels()).copied().collect();
    let chips: String = occurring.iter().map(|&label| labels.chip(label)).collect();
    let kinds = Difference::ALL.iter();
    let kinds = kinds.filter(|kind| !labels.zero_is_class() || !kind.is_about_other());
    let kinds = kinds.map(|difference| {
        let (swatch, name) = (difference.paint().swatch(), difference.name());
        format!("<span class=\"chip\">{swatch}{name}</span>")
    });
    format!(
        "<p class=\"classes\"><b>Difference:</b> {}</p>\n<details><summary>Colours of the labels</summary>\n\
         <p class=\"classes\">{chips}</p></details>\n",
        kinds.collect::<String>()
    )
}

fn card(sample: &Sample, scored: &Scored, labels: &Labels) -> String {
    let key = scored.pictures[sample.index].picture.key.to_string_lossy();
    let key = escape(&key);
    let drawn = sample.drawn.as_ref();
    let tiles = drawn.map(|drawn| tiles(drawn, &key, labels));
    format!(
        "<article class=\"card\"><header><span class=\"key\">{key}</span><b>mIoU {} %</b></header>\n{}</article>\n",
        of_ratio(sample.miou),
        tiles.unwrap_or_default()
    )
}

fn tiles(drawn: &Drawn, key: &str, labels: &Labels) -> String {
    let (photograph, fault) = match &drawn.photograph {
        Some(Ok(photograph)) => (Some(photograph), String::new()),
        Some(Err(fault)) => (None, format!("<p class=\"note\">{}</p>\n", escape(fault))),
        None => (None, String::new()),
    };
    let [width, height] = fitted(drawn.size, BOX);
    let plain = RgbImage::from_pixel(width, height, PLAIN);
    let base = photograph.unwrap_or(&plain);
    let uri = |picture: &RgbImage| match photograph {
        Some(_) => jpeg_uri(picture, JPEG_QUALITY),
        None => png_uri(picture),
    };
    let tile = |name: &str, picture: &RgbImage, below: &str| {
        format!(
            "<figure><div class=\"frame\"><img loading=\"lazy\" alt=\"{name} of {key}\" width=\"{width}\" \
             height=\"{height}\" src=\"{}\"></div><figcaption>{name}{below}</figcaption></figure>\n",
            uri(picture)
        )
    };
    let of_mask = |name: &str, mask: &LabelMask| {
        let picture = overlay_of(base, mask, |label| labels.paint(label));
        tile(name, &picture, &largest(mask, labels))
    };
    let difference = overlay_of(base, &differences(drawn, labels), |at| {
        Difference::ALL[usize::from(at)].paint()
    });
    let tiles = [
        photograph.map_or_else(String::new, |picture| tile("image", picture, "")),
        of_mask("truth", &drawn.truth),
        of_mask("prediction", &drawn.prediction),
        tile("difference", &difference, ""),
    ];
    format!("<div class=\"tiles\">\n{}</div>\n{fault}", tiles.concat())
}

/// The largest labels of a mask; "other" where there is nothing else.
fn largest(mask: &LabelMask, labels: &Labels) -> String {
    let mut areas: BTreeMap<u16, usize> = BTreeMap::new();
    for &label in mask.labels() {
        *areas.entry(label).or_default() += 1;
    }
    areas.remove(&labels.ignored());
    if areas.len() > 1 && !labels.zero_is_class() {
        areas.remove(&OTHER);
    }
    let mut areas: Vec<(u16, usize)> = areas.into_iter().collect();
    areas.sort_by_key(|&(label, area)| (Reverse(area), label));
    let named = areas.iter().take(NAMED);
    named.map(|&(label, _)| labels.chip(label)).collect()
}

/// The places of the differences in [`Difference::ALL`], pixel by pixel.
fn differences(drawn: &Drawn, labels: &Labels) -> LabelMask {
    let (truth, prediction) = (&drawn.truth, &drawn.prediction);
    let pixels = truth.labels().iter().zip(prediction.labels());
    let places = pixels.map(|(&truth, &prediction)| {
        let found = difference(truth, prediction, labels.ignored(), labels.zero_is_class());
        let place = Difference::ALL.iter().position(|of| *of == found);
        place.expect("all of them") as u16
    });
    let places = places.collect();
    LabelMask::new(truth.width(), truth.height(), places).expect("as many as before")
}

fn difference(truth: u16, prediction: u16, ignored: u16, zero_is_class: bool) -> Difference {
    let is_other = |label| label == OTHER && !zero_is_class;
    match (is_other(truth), is_other(prediction)) {
        _ if truth == ignored => Difference::Ignored,
        (true, true) => Difference::Nothing,
        (false, true) => Difference::Missed,
        (true, false) => Difference::Invented,
        _ if truth == prediction => Difference::Right,
        _ => Difference::Confused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_be_wrong_has_its_own_color() {
        use Difference::{Confused, Ignored, Invented, Missed, Nothing, Right};
        let of = |truth, prediction| difference(truth, prediction, 255, false);
        assert_eq!([of(0, 0), of(2, 2), of(2, 3)], [Nothing, Right, Confused]);
        assert_eq!(
            [of(2, 0), of(0, 2), of(255, 2)],
            [Missed, Invented, Ignored]
        );
        let colors: Vec<Paint> = Difference::ALL.map(Difference::paint).into();
        let distinct = |n: usize| !colors[..n].contains(&colors[n]);
        assert!((0..colors.len()).all(distinct));
    }

    #[test]
    fn a_zero_that_is_a_class_is_right_or_wrong_as_any() {
        let of = |truth, prediction| difference(truth, prediction, 255, true);
        assert_eq!(
            [of(0, 0), of(2, 0)],
            [Difference::Right, Difference::Confused]
        );
    }
}
