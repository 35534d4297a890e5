//! What is added to all places of an output channel.

use rayon::prelude::*;
use widest::widest;

use crate::sums::sum;

/// Adds the bias of each channel to its maps, `[batch, channels, places]`.
pub(crate) fn add(maps: &mut [f32], bias: &[f32], places: usize) {
    let maps = maps.par_chunks_exact_mut(places).enumerate();
    maps.for_each(|(index, map)| {
        let bias = bias[index % bias.len()];
        map.iter_mut().for_each(|value| *value += bias);
    });
}

/// The gradient of the bias, from that of the output, `[batch, channels, places]`.
pub(crate) fn gradient(output: &[f32], channels: usize, places: usize) -> Vec<f32> {
    let of_channel = |channel: usize| {
        let maps = output.chunks_exact(places).skip(channel);
        maps.step_by(channels).map(total).sum::<f64>() as f32
    };
    (0..channels).into_par_iter().map(of_channel).collect()
}

fn total(map: &[f32]) -> f64 {
    widest!((map: &'a [f32]) -> f64 { sum(map, map, |value, _| value) })
}
