//! The backward passes.

use burn::backend::{
    Autodiff, AutodiffBackend, Backend, TensorMetadata,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients as GradientsOfNodes,
        ops::{Backward, Ops, OpsKind, unary},
    },
    tensor::FloatTensor,
};

use super::{
    super::statistics::{Statistics, Sums},
    NormByChannels,
    relay::Relay,
};

impl<B: NormByChannels, C: CheckpointStrategy> NormByChannels for Autodiff<B, C> {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let step = OfOwn.prepare::<C>(parents).compute_bound();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let (output, mean, variance) = B::normalize(maps.clone(), gamma.clone(), beta, epsilon);
        let statistics = Statistics::<B> {
            mean: mean.clone(),
            variance: variance.clone(),
            epsilon,
        };
        let output = match step.stateful() {
            OpsKind::Tracked(step) => step.finish((maps, gamma, statistics), output),
            OpsKind::UnTracked(step) => step.finish(output),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }

    fn normalize_by(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: Statistics<Self>,
    ) -> FloatTensor<Self> {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let step = OfFixed.prepare::<C>(parents).compute_bound();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let statistics = inner(statistics);
        let output = B::normalize_by(maps.clone(), gamma.clone(), beta, statistics.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish((maps, gamma, statistics), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn moments(maps: FloatTensor<Self>, relay: Relay) -> FloatTensor<Self> {
        let step = OfMoments.prepare::<C>([maps.node()]).compute_bound();
        let maps = maps.into_primitive();
        let moments = B::moments(maps.clone(), relay.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish((maps, relay), moments),
            OpsKind::UnTracked(step) => step.finish(moments),
        }
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
        let step = OverRanks.prepare::<C>(parents).compute_bound();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let statistics = inner(statistics);
        let output = B::normalize_by(maps.clone(), gamma.clone(), beta, statistics.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(((maps, gamma, statistics), relay), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
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
        let (maps, gamma, statistics) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let found = B::gradients(maps, gamma, statistics, gradient);
        let found = [found.maps, found.gamma, found.beta];
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B>(grads, parents.into_iter().zip(found));
    }
}

/// Of a norm by fixed statistics, for maps, scale and shift.
#[derive(Debug)]
struct OfFixed;

impl<B: NormByChannels> Backward<B, 3> for OfFixed {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Kept<B>, 3>, grads: &mut GradientsOfNodes, _: &mut Checkpointer) {
        let (maps, gamma, statistics) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [for_maps, for_gamma, for_beta] = ops.parents.map(|parent| parent.map(|node| node.id));
        if for_gamma.is_some() || for_beta.is_some() {
            let sums = B::sums(maps, statistics.clone(), gradient.clone());
            let of_gamma = statistics.gradient_of_gamma(&sums);
            let found = [(for_gamma, of_gamma), (for_beta, sums.of_gradient)];
            register::<B>(grads, found);
        }
        let scale = statistics.scale(gamma, gradient.shape().num_dims());
        register::<B>(grads, [(for_maps, B::float_mul(gradient, scale))]);
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
        let ((maps, gamma, statistics), relay) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let sums = B::sums(maps, statistics.clone(), gradient.clone());
        let [for_gamma, for_beta, for_moments] =
            ops.parents.map(|parent| parent.map(|node| node.id));
        let of_gamma = statistics.gradient_of_gamma(&sums);
        let found = [(for_gamma, of_gamma), (for_beta, sums.of_gradient.clone())];
        register::<B>(grads, found);
        if for_moments.is_some() {
            relay.put::<Relayed<B>>((gradient, gamma, statistics));
        }
        let sums = B::float_cat(vec![sums.of_gradient, sums.with_centred], 0);
        register::<B>(grads, [(for_moments, sums)]);
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

fn register<B: Backend>(
    grads: &mut GradientsOfNodes,
    found: impl IntoIterator<Item = (Option<NodeId>, FloatTensor<B>)>,
) {
    for (parent, gradient) in found {
        if let Some(parent) = parent {
            grads.register::<B>(parent, gradient);
        }
    }
}
