//! Tensors of the CPU backend as slices, and back.

use std::mem::MaybeUninit;

use burn::{
    backend::{Flex, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, Device, Shape, Tensor, TensorData},
};
use rayon::prelude::*;

/// Whether a tensor lies on the CPU, in float32.
pub(crate) fn applies<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device().without_autodiff() == Device::flex() && tensor.dtype() == DType::F32
}

/// Of a tensor without gaps.
pub(crate) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().expect("contiguous float32")
}

pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape.into()), &Default::default())
}

/// `count` numbers, each `portion` of them written by a task: `write` gets the portion's index, and
/// zeros to write over.
///
/// The zeros are laid down while the portion is in the cache: a pass over memory less than for [`Vec`]s
/// of zeros.
pub(crate) fn written(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    written_and_found(count, portion, write).0
}

/// As [`written`], and what `write` returns for each portion.
pub(crate) fn written_and_found<T: Send>(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let mut values = Vec::with_capacity(count);
    let spare = &mut values.spare_capacity_mut()[..count];
    let portions = spare.par_chunks_mut(portion.max(1)).enumerate();
    let found = portions.map(|(index, part)| {
        part.fill(MaybeUninit::new(0.0));
        // SAFETY: all of it was written by the line above.
        #[allow(unsafe_code)]
        write(index, unsafe { part.assume_init_mut() })
    });
    let found = found.collect();
    // SAFETY: each of the numbers is in a portion, and was written as a zero at least.
    #[allow(unsafe_code)]
    unsafe {
        values.set_len(count);
    }
    (values, found)
}

/// The output of an operation with this backward step for these nodes, which keeps this state.
macro_rules! tracked {
    ($step:expr, $strategy:ty, $nodes:expr, $state:expr, $output:expr) => {
        match $step
            .prepare::<$strategy>($nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(step) => step.finish($state, $output),
            OpsKind::UnTracked(step) => step.finish($output),
        }
    };
}

pub(crate) use tracked;
