//! Axes of a chart: the range of the data, its place on the paper, and ticks at round numbers.

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Axis {
    /// Equal differences take equal space.
    #[default]
    Linear,
    /// Equal ratios take equal space; values that are not above 0 cannot be drawn.
    Logarithmic,
}

impl Axis {
    /// Whether `value` has a place on the axis.
    pub(super) fn holds(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }
}

/// An axis of a chart with its range of values and its range on the paper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
    /// Places of `low` and `high`, in SVG units.
    from: f64,
    to: f64,
}

impl Scale {
    /// The range of `values`, widened where it would be a single point; values without a place on
    /// the axis are passed over. Without any, the range is 0 to 1 (1 to 10 when logarithmic).
    pub(super) fn around(
        axis: Axis,
        values: impl Iterator<Item = f64>,
        [from, to]: [f64; 2],
    ) -> Self {
        let empty = (f64::INFINITY, f64::NEG_INFINITY);
        let range = values
            .filter(|&value| axis.holds(value))
            .fold(empty, |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = match (axis, range) {
            (Axis::Linear, range) if range == empty => (0.0, 1.0),
            (Axis::Logarithmic, range) if range == empty => (1.0, 10.0),
            (Axis::Linear, (low, high)) if low == high => widened(low),
            (Axis::Logarithmic, (low, high)) if low == high => (low / 2.0, high * 2.0),
            (_, range) => range,
        };
        Self {
            axis,
            low,
            high,
            from,
            to,
        }
    }

    /// The range with a little space on both sides of the data.
    pub(super) fn with_margin(mut self) -> Self {
        match self.axis {
            Axis::Linear => {
                let margin = 0.05 * (self.high - self.low);
                // Losses and ratios do not go below 0, and a frame that does suggests otherwise.
                let floor = if self.low >= 0.0 {
                    0.0
                } else {
                    f64::NEG_INFINITY
                };
                (self.low, self.high) = ((self.low - margin).max(floor), self.high + margin);
            }
            Axis::Logarithmic => {
                let margin = (self.high / self.low).powf(0.05);
                (self.low, self.high) = (self.low / margin, self.high * margin);
            }
        }
        self
    }

    /// Place of a value, in SVG units.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = match self.axis {
            Axis::Linear => (value - self.low) / (self.high - self.low),
            Axis::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }

    /// About `count` round values within the range, with their texts.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        match self.axis {
            Axis::Linear => self.linear_ticks(count),
            Axis::Logarithmic => self.logarithmic_ticks(count),
        }
    }

    fn linear_ticks(&self, count: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / count as f64);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| i as f64 * step)
            .map(|value| (value, text(value, step)))
            .collect()
    }

    /// Powers of ten where the range holds enough of them, else also their halves and fifths, else
    /// equal steps.
    fn logarithmic_ticks(&self, count: usize) -> Vec<(f64, String)> {
        for factors in [&[1.0][..], &[1.0, 2.0, 5.0]] {
            let ticks = self.decades(factors);
            if ticks.len() >= 3 {
                return every_nth(ticks, 2 * count);
            }
        }
        self.linear_ticks(count)
    }

    fn decades(&self, factors: &[f64]) -> Vec<(f64, String)> {
        let (first, last) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        (first..=last)
            .flat_map(|power| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(power))
            })
            .filter(|value| (self.low..=self.high).contains(value))
            .map(|value| (value, text(value, value)))
            .collect()
    }
}

fn widened(value: f64) -> (f64, f64) {
    let margin = if value == 0.0 { 1.0 } else { 0.1 * value.abs() };
    (value - margin, value + margin)
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0];
    factors
        .into_iter()
        .map(|f| f * power)
        .find(|&s| s >= step * 0.999)
        .unwrap_or(10.0 * power)
}

fn every_nth(ticks: Vec<(f64, String)>, most: usize) -> Vec<(f64, String)> {
    let step = ticks.len().div_ceil(most.max(1));
    ticks.into_iter().step_by(step).collect()
}

/// `value` with as many decimals as a difference of `step` needs; thousands as `k`, millions as `M`.
fn text(value: f64, step: f64) -> String {
    // A tick at zero may come out as -0.
    let value = value + 0.0;
    if value != 0.0 && value.abs() < 1e-4 {
        return format!("{value:.0e}");
    }
    let (unit, suffix) = match value.abs() {
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize;
    format!("{:.*}{suffix}", decimals, value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(axis: Axis, values: &[f64], expected: &[&str]) {
        let scale = Scale::around(axis, values.iter().copied(), [0.0, 100.0]);
        let texts: Vec<String> = scale.ticks(4).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn linear_ticks_are_round() {
        check(
            Axis::Linear,
            &[0.0, 0.8],
            &["0.0", "0.2", "0.4", "0.6", "0.8"],
        );
        check(Axis::Linear, &[3.1, 8.9], &["4", "6", "8"]);
        check(
            Axis::Linear,
            &[0.0, 40_000.0],
            &["0", "10k", "20k", "30k", "40k"],
        );
    }

    #[test]
    fn logarithmic_ticks_are_decades_when_there_are_enough() {
        check(Axis::Logarithmic, &[0.001, 0.1], &["0.001", "0.01", "0.1"]);
        check(Axis::Logarithmic, &[0.9, 12.0], &["1", "2", "5", "10"]);
        check(
            Axis::Logarithmic,
            &[5.5, 6.3],
            &["5.6", "5.8", "6.0", "6.2"],
        );
    }

    #[test]
    fn a_single_value_gets_room_on_both_sides() {
        let scale = Scale::around(Axis::Linear, [3.0].into_iter(), [0.0, 100.0]);
        assert_eq!(scale.place(3.0).round(), 50.0);
        let scale = Scale::around(Axis::Logarithmic, [3.0].into_iter(), [0.0, 100.0]);
        assert_eq!(scale.place(3.0).round(), 50.0);
    }

    #[test]
    fn values_without_a_place_do_not_move_the_range() {
        let values = [f64::NAN, 0.0, 1.0, 100.0, f64::INFINITY];
        let scale = Scale::around(Axis::Logarithmic, values.into_iter(), [0.0, 100.0]);
        assert_eq!((scale.place(1.0), scale.place(10.0)), (0.0, 50.0));
    }

    #[test]
    fn no_data_still_makes_an_axis() {
        assert_eq!(
            Scale::around(Axis::Linear, [].into_iter(), [9.0, 5.0]).place(1.0),
            5.0
        );
    }
}
