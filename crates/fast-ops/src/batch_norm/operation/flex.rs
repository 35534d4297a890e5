//! The operation on the CPU.

use burn::backend::{Flex, TensorMetadata, tensor::FloatTensor};

use super::{
    super::{
        rows::{self, Maps},
        statistics::{Gradients, Statistics, Sums},
    },
    NormByChannels,
    relay::Relay,
};
use crate::flex::{tensor, values};

impl NormByChannels for Flex {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = maps.shape();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.to_contiguous());
        let [output, mean, variance] =
            rows::normalize(seen(&maps), values(&gamma), values(&beta), epsilon);
        let output = tensor(output, shape);
        (output, per_channel(mean), per_channel(variance))
    }

    fn normalize_by(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: Statistics<Self>,
    ) -> FloatTensor<Self> {
        let shape = maps.shape();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.to_contiguous());
        let statistics = statistics.contiguous();
        let affine = [&gamma, &beta].map(values);
        let moments = statistics.values();
        let output = rows::normalize_by(seen(&maps), affine, moments, statistics.epsilon);
        tensor(output, shape)
    }

    fn moments(maps: FloatTensor<Self>, _: Relay) -> FloatTensor<Self> {
        let moments = rows::moments(seen(&maps.to_contiguous()));
        per_channel(moments.concat())
    }

    fn gradients(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
    ) -> Gradients<Self> {
        let shape = maps.shape();
        let [maps, gamma, gradient] = [maps, gamma, gradient].map(|tensor| tensor.to_contiguous());
        let moments = statistics.values();
        let (maps, gradient) = (seen(&maps), seen(&gradient));
        let [maps, gamma, beta] =
            rows::gradients(maps, gradient, values(&gamma), moments, statistics.epsilon);
        Gradients {
            maps: tensor(maps, shape),
            gamma: per_channel(gamma),
            beta: per_channel(beta),
        }
    }

    fn sums(
        maps: FloatTensor<Self>,
        statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
    ) -> Sums<Self> {
        let [maps, gradient] = [maps, gradient].map(|tensor| tensor.to_contiguous());
        let statistics = statistics.contiguous();
        let [mean, _] = statistics.values();
        let [of_gradient, with_centred] = rows::sums(seen(&maps), seen(&gradient), mean);
        Sums {
            of_gradient: per_channel(of_gradient),
            with_centred: per_channel(with_centred),
        }
    }

    fn gradient_of_maps(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
        sums: Sums<Self>,
    ) -> FloatTensor<Self> {
        let shape = maps.shape();
        let [maps, gamma, gradient] = [maps, gamma, gradient].map(|tensor| tensor.to_contiguous());
        let statistics = statistics.contiguous();
        let sums = [sums.of_gradient, sums.with_centred].map(|sums| sums.to_contiguous());
        let found = rows::gradient_of_maps(
            seen(&maps),
            seen(&gradient),
            values(&gamma),
            statistics.values(),
            statistics.epsilon,
            sums.each_ref().map(values),
        );
        tensor(found, shape)
    }
}

impl Statistics<Flex> {
    fn contiguous(self) -> Self {
        Self {
            mean: self.mean.to_contiguous(),
            variance: self.variance.to_contiguous(),
            epsilon: self.epsilon,
        }
    }

    /// Mean and variance, without gaps.
    fn values(&self) -> [&[f32]; 2] {
        [&self.mean, &self.variance].map(values)
    }
}

fn seen(maps: &FloatTensor<Flex>) -> Maps<'_> {
    let shape = maps.shape();
    Maps {
        values: values(maps),
        channels: shape[1],
        pixels: shape[2..].iter().product(),
    }
}

fn per_channel(values: Vec<f32>) -> FloatTensor<Flex> {
    let channels = [values.len()];
    tensor(values, channels)
}
