//! The arithmetic on GPUs, by burn's operations.
//!
//! A map is seen with its channels last where it is summed up, and as it is elsewhere: so burn can
//! fuse what is done to its elements, also with what the network does to them next. For the same end
//! the numbers of the channels are made ready before the elements are touched.

use burn::{
    backend::{Backend, Scalar, TensorMetadata, tensor::FloatTensor},
    tensor::Shape,
};

use super::statistics::{Gradients, Statistics, Sums};

impl<B: Backend> Statistics<B> {
    /// Those of the maps `[batch, channels, ..]`. The variance is taken around the mean: from sums of
    /// squares it would lose the digits that a large mean takes up.
    pub(crate) fn of(maps: FloatTensor<B>, epsilon: f64) -> Self {
        let (rank, samples) = (maps.shape().num_dims(), samples(&maps));
        let maps = channels_last::<B>(maps);
        let mean = divided::<B>(sums::<B>(maps.clone()), samples);
        let beside = along::<B>(mean.clone(), rank, rank - 1);
        let centred = B::float_sub(maps, beside);
        let squares = B::float_mul(centred.clone(), centred);
        Self {
            mean,
            variance: divided::<B>(sums::<B>(squares), samples),
            epsilon,
        }
    }

    /// The maps `[batch, channels, ..]` normalised, scaled by `gamma` and shifted by `beta`.
    pub(crate) fn normalize(
        &self,
        maps: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let rank = maps.shape().num_dims();
        let scale = self.scale(gamma, rank);
        let [mean, beta] = [self.mean.clone(), beta].map(|values| along::<B>(values, rank, 1));
        let scaled = B::float_mul(B::float_sub(maps, mean), scale);
        B::float_add(scaled, beta)
    }

    /// The gradients of [`Statistics::normalize`] with statistics that follow the maps, from the
    /// gradient of its output.
    pub(crate) fn gradients(
        &self,
        maps: FloatTensor<B>,
        gamma: FloatTensor<B>,
        gradient: FloatTensor<B>,
    ) -> Gradients<B> {
        let sums = self.sums(maps.clone(), gradient.clone());
        Gradients {
            gamma: self.gradient_of_gamma(&sums),
            beta: sums.of_gradient.clone(),
            maps: self.gradient_of_maps(maps, gamma, gradient, sums),
        }
    }

    /// What the gradients are made of.
    pub(crate) fn sums(&self, maps: FloatTensor<B>, gradient: FloatTensor<B>) -> Sums<B> {
        let rank = maps.shape().num_dims();
        let mean = along::<B>(self.mean.clone(), rank, rank - 1);
        let [maps, gradient] = [maps, gradient].map(channels_last::<B>);
        let with_centred = B::float_mul(B::float_sub(maps, mean), gradient.clone());
        Sums {
            of_gradient: sums::<B>(gradient),
            with_centred: sums::<B>(with_centred),
        }
    }

    pub(crate) fn gradient_of_gamma(&self, sums: &Sums<B>) -> FloatTensor<B> {
        B::float_mul(sums.with_centred.clone(), self.inverse_deviation())
    }

    /// The gradient of the maps of [`Statistics::normalize`] with statistics that follow them.
    pub(crate) fn gradient_of_maps(
        &self,
        maps: FloatTensor<B>,
        gamma: FloatTensor<B>,
        gradient: FloatTensor<B>,
        sums: Sums<B>,
    ) -> FloatTensor<B> {
        let (rank, samples) = (maps.shape().num_dims(), samples(&maps));
        let inverse = self.inverse_deviation();
        let squared = B::float_mul(inverse.clone(), inverse.clone());
        let slope = divided::<B>(B::float_mul(sums.with_centred, squared), samples);
        let level = divided::<B>(sums.of_gradient, samples);
        let scale = B::float_mul(gamma, inverse);
        let [mean, scale, slope, level] =
            [self.mean.clone(), scale, slope, level].map(|values| along::<B>(values, rank, 1));
        let with_maps = B::float_mul(B::float_sub(maps, mean), slope);
        let rest = B::float_sub(B::float_sub(gradient, level), with_maps);
        B::float_mul(rest, scale)
    }

    /// `γ/σ` of each channel, for maps of this rank.
    pub(crate) fn scale(&self, gamma: FloatTensor<B>, rank: usize) -> FloatTensor<B> {
        along::<B>(B::float_mul(gamma, self.inverse_deviation()), rank, 1)
    }

    /// `1/σ`, `[channels]`.
    fn inverse_deviation(&self) -> FloatTensor<B> {
        let variance = self.variance.clone();
        let raised = B::float_add_scalar(variance, Scalar::Float(self.epsilon));
        B::float_recip(B::float_sqrt(raised))
    }
}

impl<B: Backend> Sums<B> {
    /// From both, one after the other, `[2·channels]`.
    pub(crate) fn from_halves(sums: FloatTensor<B>) -> Self {
        let channels = sums.shape()[0] / 2;
        let half = |start| B::float_slice(sums.clone(), &[(start..start + channels).into()]);
        Self {
            of_gradient: half(0),
            with_centred: half(channels),
        }
    }
}

/// Values of each channel of maps `[batch, channels, ..]`.
fn samples<T: TensorMetadata>(maps: &T) -> f64 {
    let shape = maps.shape();
    (shape.num_elements() / shape[1]) as f64
}

/// `[batch, channels, ..]` seen as `[batch, .., channels]`; nothing is moved.
fn channels_last<B: Backend>(maps: FloatTensor<B>) -> FloatTensor<B> {
    let rank = maps.shape().num_dims();
    let axes: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
    B::float_permute(maps, &axes)
}

/// Sum of each channel of `[batch, .., channels]`, `[channels]`. Axis by axis, the innermost first:
/// each step has as many sums to do side by side as the axes before it have places.
fn sums<B: Backend>(maps: FloatTensor<B>) -> FloatTensor<B> {
    let shape = maps.shape();
    let channels = shape.num_dims() - 1;
    let total = (0..channels).rev().fold(maps, B::float_sum_dim);
    B::float_reshape(total, Shape::new([shape[channels]]))
}

/// A number of each channel, `[channels]`, along an axis of a tensor of this rank.
fn along<B: Backend>(values: FloatTensor<B>, rank: usize, axis: usize) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[axis] = values.shape()[0];
    B::float_reshape(values, Shape::from(shape))
}

fn divided<B: Backend>(values: FloatTensor<B>, by: f64) -> FloatTensor<B> {
    B::float_div_scalar(values, Scalar::Float(by))
}
