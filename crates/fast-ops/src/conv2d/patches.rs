//! Maps laid out as a matrix that a product takes, and back.

use std::ops::Range;

use super::convolution::{Convolution, Places};

/// Lays out maps of the output at these places: `[channels_out, places]`.
pub(crate) fn gather(of: &Convolution, places: &Places, output: &[f32], rows: &mut Vec<f32>) {
    let [_, channels, _, width] = of.output;
    let inside = places.rows.start * width..places.rows.end * width;
    rows.clear();
    for channel in 0..channels {
        for picture in places.pictures.clone() {
            let map = &output[(picture * channels + channel) * of.places()..];
            rows.extend_from_slice(&map[inside.clone()]);
        }
    }
}

/// Lays out what the weights meet at these places: `[channels · taps, places]`, zero in the padding.
pub(crate) fn shift(
    of: &Convolution,
    channels: &Range<usize>,
    places: &Places,
    input: &[f32],
    shifted: &mut Vec<f32>,
) {
    shifted.clear();
    for channel in channels.clone() {
        for tap in 0..of.taps() {
            let tap = [tap / of.kernel[1], tap % of.kernel[1]];
            for picture in places.pictures.clone() {
                let map = &input[(picture * of.input[1] + channel) * of.pixels()..][..of.pixels()];
                extend_by_rows(of, shifted, map, &places.rows, tap);
            }
        }
    }
}

/// Appends what weight `tap` meets along rows of the output.
fn extend_by_rows(
    of: &Convolution,
    shifted: &mut Vec<f32>,
    map: &[f32],
    rows: &Range<usize>,
    tap: [usize; 2],
) {
    let (width, stride, met) = (of.output[3], of.stride[1], of.columns_met(tap[1]));
    for row in rows.clone() {
        let end = shifted.len() + width;
        if let Some(y) = of.row_met(row, tap[0]) {
            shifted.resize(end - width + met.place, 0.0);
            let row = &map[y * of.input[3] + met.value..(y + 1) * of.input[3]];
            match stride {
                1 => shifted.extend_from_slice(&row[..met.count]),
                _ => shifted.extend(row.iter().step_by(stride).take(met.count)),
            }
        }
        shifted.resize(end, 0.0);
    }
}

/// The way back of [`shift`]: adds each number to the place of the input that it was laid out from.
///
/// `input` is `[pictures, some channels, height, width]`, of the pictures of `places` alone; `channels`
/// counts among its channels.
pub(crate) fn add_shifted(
    of: &Convolution,
    channels: Range<usize>,
    places: &Places,
    shifted: &[f32],
    input: &mut [f32],
) {
    let own = input.len() / (places.pictures.len() * of.pixels());
    let mut parts = shifted.chunks_exact(places.rows.len() * of.output[3]);
    for channel in channels {
        for tap in 0..of.taps() {
            let tap = [tap / of.kernel[1], tap % of.kernel[1]];
            for picture in 0..places.pictures.len() {
                let map = &mut input[(picture * own + channel) * of.pixels()..];
                let part = parts.next().expect("a part for each picture");
                add_rows(of, part, map, &places.rows, tap);
            }
        }
    }
}

fn add_rows(of: &Convolution, part: &[f32], map: &mut [f32], rows: &Range<usize>, tap: [usize; 2]) {
    let (stride, met) = (of.stride[1], of.columns_met(tap[1]));
    for (row, numbers) in rows.clone().zip(part.chunks_exact(of.output[3])) {
        let Some(y) = of.row_met(row, tap[0]) else {
            continue;
        };
        let numbers = &numbers[met.place..][..met.count];
        let row = &mut map[y * of.input[3] + met.value..(y + 1) * of.input[3]];
        let add = |(sum, number): (&mut f32, &f32)| *sum += number;
        match stride {
            1 => row.iter_mut().zip(numbers).for_each(add),
            _ => row.iter_mut().step_by(stride).zip(numbers).for_each(add),
        }
    }
}
