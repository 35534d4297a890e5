//! The operation on the CPU.

use burn::{
    backend::{Flex, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::TensorData,
};

use super::NormByChannels;
use crate::{
    rows::{self, Maps},
    statistics::{Gradients, Statistics},
};

impl NormByChannels for Flex {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (shape, channels) = (maps.shape(), gamma.shape());
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.to_contiguous());
        let [output, mean, variance] =
            rows::normalize(seen(&maps), values(&gamma), values(&beta), epsilon);
        let output = tensor(output, &shape);
        (output, tensor(mean, &channels), tensor(variance, &channels))
    }

    fn gradients(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
    ) -> Gradients<Self> {
        let (shape, channels) = (maps.shape(), gamma.shape());
        let [maps, gamma, gradient] = [maps, gamma, gradient].map(|tensor| tensor.to_contiguous());
        let moments = [&statistics.mean, &statistics.variance].map(values);
        let (maps, gradient) = (seen(&maps), seen(&gradient));
        let [maps, gamma, beta] =
            rows::gradients(maps, gradient, values(&gamma), moments, statistics.epsilon);
        Gradients {
            maps: tensor(maps, &shape),
            gamma: tensor(gamma, &channels),
            beta: tensor(beta, &channels),
        }
    }
}

/// Of a tensor without gaps.
fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().expect("contiguous float32")
}

fn seen(maps: &FloatTensor<Flex>) -> Maps<'_> {
    let shape = maps.shape();
    Maps {
        values: values(maps),
        channels: shape[1],
        pixels: shape[2..].iter().product(),
    }
}

fn tensor(values: Vec<f32>, shape: &burn::tensor::Shape) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape.clone()), &Default::default())
}
