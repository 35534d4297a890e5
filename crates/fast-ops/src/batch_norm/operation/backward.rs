//! The backward passes.

use burn::backend::{
    Autodiff, AutodiffBackend, Backend, TensorMetadata,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients as GradientsOfNodes,
        ops::{Backward, Ops, unary},
    },
    tensor::FloatTensor,
};

use super::{
    super::statistics::{Statistics, Sums},
    NormByChannels,
    relay::Relay,
};
use crate::backward::{parents_of, register, tracked};

impl<B: NormByChannels, C: CheckpointStrategy> NormByChannels for Autodiff<B, C> {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let (output, mean, variance) = B::normalize(maps.clone(), gamma.clone(), beta, epsilon);
        let statistics = Statistics::<B> {
            mean: mean.clone(),
            variance: variance.clone(),
            epsilon,
        };
        let output = tracked!(OfOwn, C, parents, (maps, gamma, statistics), output);
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }

    fn normalize_by(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: Statistics<Self>,
    ) -> FloatTensor<Self> {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let statistics = inner(statistics);
        let output = B::normalize_by(maps.clone(), gamma.clone(), beta, statistics.clone());
        tracked!(OfFixed, C, parents, (maps, gamma, statistics), output)
    }

    fn moments(maps: FloatTensor<Self>, relay: Relay) -> FloatTensor<Self> {
        let (node, maps) = (maps.node(), maps.into_primitive());
        let moments = B::moments(maps.clone(), relay.clone());
        tracked!(OfMoments, C, [node], (maps, relay), moments)
    }

    fn normalize_over_ranks(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        statistics: Statistics<Self>,
        relay: Relay,
    ) -> FloatTensor<Self> {
        let parents = [gamma.node(), beta.node(), moments.node()];
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let statistics = inner(statistics);
        let output = B::normalize_by(maps.clone(), gamma.clone(), beta, statistics.clone());
        let state = ((maps, gamma, statistics), relay);
        tracked!(OverRanks, C, parents, state, output)
    }
}

fn inner<B: Backend, C: CheckpointStrategy>(
    statistics: Statistics<Autodiff<B, C>>,
) -> Statistics<B> {
    Statistics {
        mean: statistics.mean.into_primitive(),
        variance: statistics.variance.into_primitive(),
        epsilon: statistics.epsilon,
    }
}

/// What a norm keeps for its gradients: maps, scale and statistics.
type Kept<B> = (FloatTensor<B>, FloatTensor<B>, Statistics<B>);

/// What the gradient of the maps takes besides them and the sums: the gradient of the output, scale and
/// statistics.
type Relayed<B> = (FloatTensor<B>, FloatTensor<B>, Statistics<B>);

/// Of a norm by its own statistics, for maps, scale and shift.
#[derive(Debug)]
struct OfOwn;

impl<B: NormByChannels> Backward<B, 3> for OfOwn {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Kept<B>, 3>, grads: &mut GradientsOfNodes, _: &mut Checkpointer) {
        let parents = parents_of(&ops);
        let (maps, gamma, statistics) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let found = B::gradients(maps, gamma, statistics, gradient);
        register::<B>(grads, parents, [found.maps, found.gamma, found.beta]);
    }
}

/// Of a norm by fixed statistics, for maps, scale and shift.
#[derive(Debug)]
struct OfFixed;

impl<B: NormByChannels> Backward<B, 3> for OfFixed {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Kept<B>, 3>, grads: &mut GradientsOfNodes, _: &mut Checkpointer) {
        let [for_maps, for_gamma, for_beta] = parents_of(&ops);
        let (maps, gamma, statistics) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        if for_gamma.is_some() || for_beta.is_some() {
            let sums = B::sums(maps, statistics.clone(), gradient.clone());
            let found = [statistics.gradient_of_gamma(&sums), sums.of_gradient];
            register::<B>(grads, [for_gamma, for_beta], found);
        }
        if let Some(maps) = for_maps {
            let scale = statistics.scale(gamma, gradient.shape().num_dims());
            grads.register::<B>(maps, B::float_mul(gradient, scale));
        }
    }
}

/// Of a norm over ranks, for scale, shift and the moments of all ranks. To these it sends the sums of
/// its gradient, on their way to be added up; what else the gradient of the maps is made of it leaves
/// in the relay.
#[derive(Debug)]
struct OverRanks;

impl<B: NormByChannels> Backward<B, 3> for OverRanks {
    type State = (Kept<B>, Relay);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut GradientsOfNodes,
        _: &mut Checkpointer,
    ) {
        let parents = parents_of(&ops);
        let ((maps, gamma, statistics), relay) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let sums = B::sums(maps, statistics.clone(), gradient.clone());
        let of_gamma = statistics.gradient_of_gamma(&sums);
        if parents[2].is_some() {
            relay.put::<Relayed<B>>((gradient, gamma, statistics));
        }
        let of_beta = sums.of_gradient.clone();
        let sums = B::float_cat(vec![sums.of_gradient, sums.with_centred], 0);
        register::<B>(grads, parents, [of_gamma, of_beta, sums]);
    }
}

/// Of the moments of a rank, for its maps: from the sums over all ranks and what [`OverRanks`] left.
#[derive(Debug)]
struct OfMoments;

impl<B: NormByChannels> Backward<B, 1> for OfMoments {
    type State = (FloatTensor<B>, Relay);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut GradientsOfNodes,
        _: &mut Checkpointer,
    ) {
        let (maps, relay) = ops.state;
        let (gradient, gamma, statistics) = relay.take::<Relayed<B>>();
        unary::<B, _>(ops.parents, ops.node, grads, |sums| {
            B::gradient_of_maps(maps, gamma, statistics, gradient, Sums::from_halves(sums))
        });
    }
}
