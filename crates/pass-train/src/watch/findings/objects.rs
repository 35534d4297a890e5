//! Findings in the objects of a frozen backbone.

use pixel_attention::foreground::Foreground;

use super::{Advice, Found};
use crate::{Step, run_file::ObjectsSection, step::objects::ObjectsSummary};

/// With a greater share of values below 0 a map is one of both signs, as those of transformers.
const SIGNED: f64 = 0.25;

/// In the map on which objects were found: sums of its channels say little where these cancel.
pub(crate) fn of_objects(section: &ObjectsSection, objects: &ObjectsSummary) -> Option<Found> {
    let sums = matches!(section.foreground, Foreground::ActivationAndBorder(_));
    let negative = objects.negative.filter(|&share| sums && share > SIGNED)?;
    let what = format!(
        "{:.0} % of the features are negative, and `activation_and_border` is for maps without",
        100.0 * negative
    );
    Some(Found::doubtful(Step::FindObjects, what, Advice::OtherWay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunFile, watch::findings::tests::assert_found};

    #[test]
    fn a_map_of_both_signs_is_found_where_channels_are_summed_up() {
        let of = |settings: &[&str], negative| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let section = RunFile::parse("", "test", &settings).unwrap().objects;
            let summary = ObjectsSummary {
                pictures: 9,
                objects: 9,
                without: 0,
                negative,
                seconds: 1.0,
            };
            of_objects(&section, &summary)
                .into_iter()
                .collect::<Vec<_>>()
        };
        let told = "50 % of the features are negative";
        assert_found(&of(&[], Some(0.5)), &[told]);
        assert_found(&of(&[], Some(0.25)), &[]);
        assert_found(&of(&[], None), &[]); // of a former version
        let cut = "objects.foreground={way='normalized_cut'}";
        assert_found(&of(&[cut], Some(0.5)), &[]);
    }
}
