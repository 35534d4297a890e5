//! Samples of more than 8 bits as bytes: which values become black and white.

use serde::{Deserialize, Serialize};

/// Which values of samples with more than 8 bits become 0 and 255. Between them is a straight line,
/// beyond them is black or white.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stretch {
    /// The ends of the type: 0 and 65535 of 16 bits. Signed and real samples have none, and those of
    /// 32 bits and more hardly use them: they are refused.
    #[default]
    Full,
    /// These two finite values in all pictures, the smaller one first.
    Range([f64; 2]),
    /// These percentiles, in `0..=100`, of each picture: of all its bands that are shown together,
    /// so that colours keep their proportions. Interpolated as in NumPy.
    Percentile([f64; 2]),
}

impl Stretch {
    /// The values that become 0 and 255, if there are any; `full` are the ends of the type.
    pub(crate) fn limits(
        self,
        values: impl Iterator<Item = f64>,
        full: Option<[f64; 2]>,
    ) -> Option<[f64; 2]> {
        match self {
            Self::Full => full,
            Self::Range(limits) => Some(limits),
            Self::Percentile(percents) => {
                // Float32 has every integer of 16 bits, in half the memory.
                let mut values: Vec<f32> = values.map(|value| value as f32).collect();
                values.retain(|value| value.is_finite());
                Some(percents.map(|percent| percentile(&mut values, percent)))
            }
        }
    }
}

/// The percentile of unsorted values; 0 of none.
///
/// # Panics
///
/// If it is not in `0..=100`.
fn percentile(values: &mut [f32], percent: f64) -> f64 {
    assert!(
        (0.0..=100.0).contains(&percent),
        "there is no percentile {percent}"
    );
    if values.is_empty() {
        return 0.0;
    }
    let place = percent / 100.0 * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    let (low, next) = (f64::from(low), f64::from(next));
    low + (next - low) * (place - below as f64)
}

/// A sample between the values that become 0 and 255; what is no number becomes 0.
pub(crate) fn to_byte(value: f64, [black, white]: [f64; 2]) -> u8 {
    if value <= black {
        return 0;
    }
    (255.0 * (value - black) / (white - black)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(stretch: Stretch, values: &[f64]) -> Option<[f64; 2]> {
        stretch.limits(values.iter().copied(), Some([0.0, 65535.0]))
    }

    /// Oracle: `numpy.percentile([7, 100, 3, 4095, 20, 21, 22], [2, 98])`.
    #[test]
    fn percentiles_are_those_of_numpy() {
        let values = [7.0, 100.0, 3.0, 4095.0, 20.0, 21.0, 22.0, f64::NAN];
        let [low, high] = limits(Stretch::Percentile([2.0, 98.0]), &values).unwrap();
        assert!((low - 3.48).abs() < 1e-9, "{low}");
        assert!((high - 3615.6).abs() < 1e-9, "{high}");
    }

    #[test]
    fn a_range_is_the_same_for_all_pictures() {
        let range = [100.0, 4095.0];
        assert_eq!(limits(Stretch::Range(range), &[]), Some(range));
    }

    #[test]
    fn values_beyond_the_limits_are_black_and_white() {
        let byte = |value| to_byte(value, [100.0, 355.0]);
        let values = [99.0, 100.0, 101.4, 355.0, 1e9, f64::NAN, f64::INFINITY];
        assert_eq!(values.map(byte), [0, 0, 1, 255, 255, 0, 255]);
    }

    #[test]
    fn a_picture_of_one_value_becomes_black() {
        let limits = limits(Stretch::Percentile([2.0, 98.0]), &[5.0; 9]).unwrap();
        assert_eq!(to_byte(5.0, limits), 0);
    }

    #[test]
    fn sixteen_bits_are_rounded_as_by_the_library() {
        for value in (0..=65535_u16).step_by(7) {
            let ours = to_byte(value.into(), [0.0, 65535.0]);
            assert_eq!(ours, ((u32::from(value) + 128) / 257) as u8);
        }
    }

    #[test]
    fn a_run_file_spells_the_stretches_in_lower_case() {
        let spelled = |stretch| serde_json::to_string(&stretch).unwrap();
        assert_eq!(spelled(Stretch::Full), "\"full\"");
        assert_eq!(spelled(Stretch::Range([0.0, 9.0])), "{\"range\":[0.0,9.0]}");
    }
}
