//! All-reduce: the sum over ranks of a tensor, as an operation that can be differentiated.
//!
//! burn's own collectives join the CUDA GPUs of one process, through NCCL; between processes, and for
//! other devices, there are none. There the values travel through the host: read, summed by the
//! engine, uploaded. The gradient of a sum goes to every summand, hence the backward pass is the same
//! sum, of the gradients.
//!
//! burn runs the steps of a backward pass in an order that follows from the graph alone, so ranks
//! that compute the same graph meet in the same order.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Backend, DeviceOps, Dispatch, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, unary},
        },
        backend_extension,
        distributed::ReduceOperation,
        tensor::FloatTensor,
    },
    tensor::{Device, FloatDType, Tensor, read_sync},
};
use pass_model::group::Group;

/// How the values of a tensor travel between ranks.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Through the memory of the host; any devices.
    Host,
    /// From GPU to GPU by burn's collectives: the CUDA devices of the ranks, each another one, all
    /// driven by this process.
    Gpus(Arc<[Device]>),
}

/// The sum over ranks of `tensor`; its gradient is the sum over ranks of the gradients.
///
/// What [`Group::sum_tensor`] comes to. Collective, forward and backward. The sum is in
/// float32, whatever the tensor holds.
///
/// # Shapes
///
/// - `tensor` and output: `[length]`
///
/// # Panics
///
/// If this crate was built without the backend of the tensor (features `flex`, `cuda`, `wgpu`), or if
/// the GPUs of [`Transport::Gpus`] cannot reach each other, as without NCCL.
pub fn all_reduce(tensor: Tensor<1>, ranks: Group, transport: Transport) -> Tensor<1> {
    let way = Way { ranks, transport };
    Tensor::from_dispatch(Dispatch::sum_over_ranks(tensor.into_dispatch(), way))
}

/// Who adds up, and how.
#[derive(Clone, Debug)]
struct Way {
    ranks: Group,
    transport: Transport,
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
    fn sum_over_ranks(tensor: FloatTensor<Self>, way: Way) -> FloatTensor<Self> {
        match &way.transport {
            Transport::Host => through_host::<Self>(tensor, &way.ranks),
            Transport::Gpus(devices) => between_gpus::<Self>(tensor, &way.ranks, devices),
        }
    }
}

fn through_host<B: Backend>(tensor: FloatTensor<B>, ranks: &Group) -> FloatTensor<B> {
    let device = tensor.device();
    let data = read_sync(B::float_into_data(tensor)).expect("the tensor can be read");
    let dtype = data.dtype();
    let mut data = data.convert::<f32>();
    ranks.sum(data.as_mut_slice().expect("just converted"));
    B::float_from_data(data.convert_dtype(dtype), &device)
}

/// A GPU that has begun a sum waits for the others without end, so none begins before every rank is
/// known to have come to this sum.
fn between_gpus<B: Backend>(
    tensor: FloatTensor<B>,
    ranks: &Group,
    devices: &[Device],
) -> FloatTensor<B> {
    let dtype = tensor.dtype();
    let tensor = B::float_cast(tensor, FloatDType::F32);
    let devices = devices.iter().map(|device| device.as_dispatch().id());
    ranks.barrier();
    let sum = B::all_reduce(tensor, ReduceOperation::Sum, devices.collect()).resolve();
    B::float_cast(sum, dtype.into())
}

#[cfg(feature = "flex")]
impl AllReduce for burn::backend::Flex {}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl AllReduce for burn_cubecl::CubeBackend {}

impl<B: AllReduce, C: CheckpointStrategy> AllReduce for Autodiff<B, C> {
    fn sum_over_ranks(tensor: FloatTensor<Self>, way: Way) -> FloatTensor<Self> {
        let step = SumOfGradients.prepare::<C>([tensor.node()]).compute_bound();
        let sum = B::sum_over_ranks(tensor.into_primitive(), way.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(way, sum),
            OpsKind::UnTracked(step) => step.finish(sum),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct SumOfGradients;

impl<B: AllReduce> Backward<B, 1> for SumOfGradients {
    type State = Way;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::sum_over_ranks(gradient, ops.state)
        });
    }
}
