//! Prototypes: `K` unit vectors that embeddings are compared with (SwAV, Caron et al. 2020,
//! <https://arxiv.org/abs/2006.09882>, §3).

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use crate::{init::WeightStream, normalize::l2_normalize, precision::product};

/// Settings of [`Prototypes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrototypesConfig {
    /// Number of prototypes `K`.
    pub prototypes: usize,
    /// Length of an embedding.
    pub embedding: usize,
}

/// A matrix of prototypes, one row each.
///
/// Nothing keeps the rows at unit length by itself: the training loop calls
/// [`normalize`](Self::normalize) before each step.
#[derive(Module, Debug)]
pub struct Prototypes {
    /// `[prototypes, embedding]`
    pub weight: Param<Tensor<2>>,
}

impl PrototypesConfig {
    /// Draws the weights uniformly in `±1/√embedding`, as a linear layer.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> Prototypes {
        let shape = [self.prototypes, self.embedding];
        Prototypes {
            weight: stream.uniform_fan_in(shape, self.embedding, device),
        }
    }
}

impl Prototypes {
    /// Scales every prototype to length 1, in place and outside of any graph.
    pub fn normalize(&mut self) {
        let weight = self.weight.clone().map(|weight| {
            let trained = weight.is_require_grad();
            let unit = l2_normalize(weight.detach(), 1).detach();
            if trained { unit.require_grad() } else { unit }
        });
        self.weight = weight;
    }

    /// Products of embeddings and prototypes: cosines when both are of unit length.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[batch, embedding]`
    /// - output: `[batch, prototypes]`
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<2> {
        product(embeddings, self.weights().transpose())
    }

    /// The same with the prototypes as constants, as deep-to-shallow supervision uses them.
    pub fn forward_detached(&self, embeddings: Tensor<2>) -> Tensor<2> {
        product(embeddings, self.weights().detach().transpose())
    }

    /// The rows `[prototypes, embedding]`.
    pub fn weights(&self) -> Tensor<2> {
        self.weight.val()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    fn prototypes(device: &Device) -> Prototypes {
        PrototypesConfig {
            prototypes: 5,
            embedding: 3,
        }
        .init(&mut WeightStream::new(2), device)
    }

    #[test]
    fn normalised_rows_have_length_one_and_keep_their_identity() {
        let device = Device::default().autodiff();
        let mut prototypes = prototypes(&device);
        let id = prototypes.weight.id;
        prototypes.normalize();
        let rows = prototypes.weights();
        let lengths = (rows.clone() * rows).sum_dim(1).into_data();
        lengths.assert_approx_eq::<f32>(&[[1.0f32]; 5].into(), Tolerance::absolute(1e-6));
        assert_eq!(prototypes.weight.id, id);
    }

    #[test]
    fn prototypes_learn_after_normalisation_unless_detached_or_frozen() {
        let device = Device::default().autodiff();
        let mut prototypes = prototypes(&device);
        prototypes.normalize();
        let embeddings = Tensor::<2>::ones([2, 3], &device).require_grad();
        let learns = |scores: Tensor<2>, prototypes: &Prototypes| {
            let gradients = scores.sum().backward();
            assert!(embeddings.grad(&gradients).is_some());
            prototypes.weight.val().grad(&gradients).is_some()
        };
        assert!(learns(prototypes.forward(embeddings.clone()), &prototypes));
        assert!(!learns(
            prototypes.forward_detached(embeddings.clone()),
            &prototypes
        ));
        let mut frozen = prototypes.no_grad();
        frozen.normalize();
        assert!(!learns(frozen.forward(embeddings.clone()), &frozen));
    }
}
