//! What the backward steps of all operations have in common.

use burn::backend::{
    Backend,
    autodiff::{NodeId, grads::Gradients, ops::Ops},
    tensor::FloatTensor,
};

/// The output of an operation with this backward step for these nodes, which keeps this state.
macro_rules! tracked {
    ($step:expr, $strategy:ty, $nodes:expr, $state:expr, $output:expr) => {
        match $step
            .prepare::<$strategy>($nodes)
            .compute_bound()
            .stateful()
        {
            burn::backend::autodiff::ops::OpsKind::Tracked(step) => step.finish($state, $output),
            burn::backend::autodiff::ops::OpsKind::UnTracked(step) => step.finish($output),
        }
    };
}

pub(crate) use tracked;

/// The parents of a step; none in the place of one that takes no gradient.
pub(crate) fn parents_of<S, const N: usize>(ops: &Ops<S, N>) -> [Option<NodeId>; N] {
    let parents = ops.parents.each_ref();
    parents.map(|parent| parent.as_ref().map(|node| node.id))
}

/// Hands each parent that takes one its gradient.
pub(crate) fn register<B: Backend>(
    gradients: &mut Gradients,
    parents: impl IntoIterator<Item = Option<NodeId>>,
    found: impl IntoIterator<Item = FloatTensor<B>>,
) {
    let find = found.into_iter().map(|found| || found);
    find_and_register::<B>(gradients, parents, find);
}

/// The same, where those of the other parents are not to be found.
pub(crate) fn find_and_register<B: Backend>(
    gradients: &mut Gradients,
    parents: impl IntoIterator<Item = Option<NodeId>>,
    find: impl IntoIterator<Item = impl FnOnce() -> FloatTensor<B>>,
) {
    for (parent, find) in parents.into_iter().zip(find) {
        if let Some(parent) = parent {
            gradients.register::<B>(parent, find());
        }
    }
}
