//! All-reduce: the sum over ranks of a tensor, as an operation that can be differentiated.
//!
//! burn's own collectives join the GPUs of one process; between processes there are none. So the
//! values travel through the host: read, summed by the engine, uploaded. The gradient of a sum goes
//! to every summand, hence the backward pass is the same sum, of the gradients.
//!
//! burn runs the steps of a backward pass in an order that follows from the graph alone, so ranks
//! that compute the same graph meet in the same order.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, unary},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, read_sync},
};
use pass_model::ranks::Ranks;

/// The sum over ranks of `tensor`; its gradient is the sum over ranks of the gradients.
///
/// What an engine's [`Ranks::sum_tensor`] calls. Collective, forward and backward.
///
/// # Shapes
///
/// - `tensor` and output: `[length]`
///
/// # Panics
///
/// If this crate was built without the backend of the tensor (features `flex`, `cuda`, `wgpu`).
pub fn all_reduce(tensor: Tensor<1>, ranks: Arc<dyn Ranks>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::sum_over_ranks(tensor.into_dispatch(), ranks))
}

/// The operation, for each backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    Fusion: cfg(any(feature = "cuda", feature = "wgpu"))
)]
trait AllReduce: Backend {
    // Not deferred: a fused operation would wait for the other ranks in the thread of the device.
    #[fusion(default)]
    fn sum_over_ranks(tensor: FloatTensor<Self>, ranks: Arc<dyn Ranks>) -> FloatTensor<Self> {
        let device = tensor.device();
        let data = read_sync(Self::float_into_data(tensor)).expect("the tensor can be read");
        let dtype = data.dtype();
        let mut data = data.convert::<f32>();
        ranks.sum(data.as_mut_slice().expect("just converted"));
        Self::float_from_data(data.convert_dtype(dtype), &device)
    }
}

#[cfg(feature = "flex")]
impl AllReduce for burn::backend::Flex {}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl AllReduce for burn_cubecl::CubeBackend {}

impl<B: AllReduce, C: CheckpointStrategy> AllReduce for Autodiff<B, C> {
    fn sum_over_ranks(tensor: FloatTensor<Self>, ranks: Arc<dyn Ranks>) -> FloatTensor<Self> {
        let step = SumOfGradients.prepare::<C>([tensor.node()]).compute_bound();
        let sum = B::sum_over_ranks(tensor.into_primitive(), ranks.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(ranks, sum),
            OpsKind::UnTracked(step) => step.finish(sum),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct SumOfGradients;

impl<B: AllReduce> Backward<B, 1> for SumOfGradients {
    type State = Arc<dyn Ranks>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::sum_over_ranks(gradient, ops.state)
        });
    }
}
