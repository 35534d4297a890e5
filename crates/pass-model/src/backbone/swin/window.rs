//! Attention within windows, and what it knows about the places of a window.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Int, Tensor, TensorData, ops::PadMode},
};

use super::SwinConfig;
use crate::{
    backbone::parts::linear,
    init::{TRANSFORMER_DEVIATION, WeightStream},
    precision::self_attention,
};

/// Added to the scores of places that do not see each other.
const UNSEEN: f32 = -100.0;

/// Attention of several heads among the places of each window.
#[derive(Module, Debug)]
pub struct WindowAttention {
    /// Queries, keys and values.
    pub qkv: Linear,
    /// Of all heads together.
    pub proj: Linear,
    /// Added to the scores by how far two places lie apart, `[(2 · window − 1)², heads]`.
    pub relative_position_bias_table: Param<Tensor<2>>,
    window: usize,
    shift: usize,
}

impl WindowAttention {
    /// - `shift`: places that the windows are moved by, down and to the right
    pub(super) fn new(
        config: &SwinConfig,
        width: usize,
        shift: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let mut linear = |inputs, outputs| {
            stream.transformer_linear(&LinearConfig::new(inputs, outputs), device)
        };
        let (qkv, proj) = (linear(width, 3 * width), linear(width, width));
        let table = [(2 * config.window - 1).pow(2), width / config.head_width];
        Self {
            qkv,
            proj,
            relative_position_bias_table: stream.normal(table, TRANSFORMER_DEVIATION, device),
            window: config.window,
            shift,
        }
    }

    /// As torchvision, which fills up before it shifts: the added places are zero before queries, keys and
    /// values, and the others see them.
    ///
    /// # Shapes
    ///
    /// - `map` and output: `[batch, height, width, channels]`
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = map.dims();
        let size = [height, width].map(|side| side.next_multiple_of(self.window));
        let added = [size[0] - height, size[1] - width];
        let map = fill_up(map, added);
        // Windows as wide as the map are not moved.
        let shifts = size.map(|side| if side > self.window { self.shift } else { 0 });
        let map = rolled(map, shifts.map(|shift| -(shift as i64)));
        let tokens = self.attend(self.windows(map), size, shifts);
        let grid = size.map(|side| side / self.window);
        let windows = [batch, grid[0], grid[1], self.window, self.window, channels];
        let map = tokens.reshape(windows).permute([0, 1, 3, 2, 4, 5]);
        let map = map.reshape([batch, size[0], size[1], channels]);
        let map = rolled(map, shifts.map(|shift| shift as i64));
        map.narrow(1, 0, height).narrow(2, 0, width)
    }

    /// `[batch · windows, window², channels]`, windows and places row by row.
    fn windows(&self, map: Tensor<4>) -> Tensor<3> {
        let [batch, height, width, channels] = map.dims();
        let side = self.window;
        let map = map.reshape([batch, height / side, side, width / side, side, channels]);
        map.permute([0, 1, 3, 2, 4, 5])
            .reshape([-1, (side * side) as i64, channels as i64])
    }

    fn attend(&self, windows: Tensor<3>, size: [usize; 2], shifts: [usize; 2]) -> Tensor<3> {
        let heads = self.relative_position_bias_table.dims()[1];
        let bias = match shifts {
            [0, 0] => self.bias(),
            _ => {
                let mask = mask(size, self.window, shifts, &windows.device());
                let pictures = windows.dims()[0] / mask.dims()[0];
                (self.bias() + mask.unsqueeze_dim::<4>(1)).repeat_dim(0, pictures)
            }
        };
        let packed = linear(&self.qkv, windows);
        linear(&self.proj, self_attention(packed, heads, Some(bias)))
    }

    /// `[1, heads, window², window²]`
    fn bias(&self) -> Tensor<4> {
        let table = self.relative_position_bias_table.val();
        let (device, places) = (table.device().without_autodiff(), self.window.pow(2));
        let rows = relative_rows(self.window);
        let rows = TensorData::new(rows, [places * places]);
        let rows = Tensor::<1, Int>::from_data(rows, &device);
        let bias = table
            .select(0, rows)
            .reshape([places as i64, places as i64, -1]);
        bias.permute([2, 0, 1]).unsqueeze::<4>()
    }
}

/// A map with zeros at the bottom and at the right, `[batch, height, width, channels]`.
pub(super) fn fill_up(map: Tensor<4>, [bottom, right]: [usize; 2]) -> Tensor<4> {
    match bottom + right {
        0 => map,
        _ => map.pad([(0, bottom), (0, right), (0, 0)], PadMode::Constant(0.0)),
    }
}

fn rolled(map: Tensor<4>, shifts: [i64; 2]) -> Tensor<4> {
    match shifts {
        [0, 0] => map,
        _ => map.roll(&shifts, &[1, 2]),
    }
}

/// The row of the table for each two places of a window, row-major: of their distances down and to the
/// right, each counted from the largest negative one.
pub(super) fn relative_rows(window: usize) -> Vec<i64> {
    let places = window * window;
    let row = |from: usize, to: usize| {
        let down = from / window + window - 1 - to / window;
        let right = from % window + window - 1 - to % window;
        (down * (2 * window - 1) + right) as i64
    };
    (0..places * places)
        .map(|pair| row(pair / places, pair % places))
        .collect()
}

/// What is added to the scores of a map whose windows are moved: places that the move brought together
/// from opposite ends do not see each other. `[windows, window², window²]`
fn mask(size: [usize; 2], window: usize, shifts: [usize; 2], device: &Device) -> Tensor<3> {
    let values = mask_values(size, window, shifts);
    let places = window * window;
    let shape = [values.len() / (places * places), places, places];
    Tensor::from_data(
        TensorData::new(values, shape),
        &device.clone().without_autodiff(),
    )
}

/// The values of [`mask`], row-major.
pub(super) fn mask_values(size: [usize; 2], window: usize, shifts: [usize; 2]) -> Vec<f32> {
    let [height, width] = size;
    let region = |row: usize, column: usize| {
        let row = band(row, height, window, shifts[0]);
        3 * row + band(column, width, window, shifts[1])
    };
    let mut values = Vec::with_capacity(height * width * window * window);
    for (top, left) in (0..height * width / window.pow(2)).map(|index| {
        let columns = width / window;
        (index / columns * window, index % columns * window)
    }) {
        let places = 0..window * window;
        let regions: Vec<_> = places
            .map(|place| region(top + place / window, left + place % window))
            .collect();
        let pairs = regions
            .iter()
            .flat_map(|a| regions.iter().map(move |b| a == b));
        values.extend(pairs.map(|same| if same { 0.0 } else { UNSEEN }));
    }
    values
}

/// Which of three parts of a moved axis a place lies in; the last one came from the other end.
fn band(place: usize, side: usize, window: usize, shift: usize) -> usize {
    match shift {
        0 => 0,
        _ => usize::from(place >= side - window) + usize::from(place >= side - shift),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_are_those_of_the_authors() {
        let expected = [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4];
        assert_eq!(relative_rows(2), expected);
    }

    #[test]
    fn bands_divide_a_map_into_nine_regions() {
        let regions = |row| {
            let column = |column| {
                let of = |place| band(place, 8, 4, 2);
                char::from_digit((3 * of(row) + of(column)) as u32, 10).unwrap()
            };
            (0..8).map(column).collect::<String>()
        };
        let found: Vec<_> = (0..8).map(regions).collect();
        let [a, b, c] = ["00001122", "33334455", "66667788"];
        assert_eq!(found, [a, a, a, a, b, b, c, c]);
    }

    #[test]
    fn a_mask_hides_other_regions() {
        let mask = mask_values([8, 8], 4, [2, 2]);
        assert_eq!(mask.len(), 4 * 16 * 16);
        assert!(mask[..256].iter().all(|&value| value == 0.0));
        assert_eq!(mask[256..][..4], [0.0, 0.0, UNSEEN, UNSEEN]);
    }
}
