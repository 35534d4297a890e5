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

/// Numbers of a task of [`each_written`], and of a piece of it: that stays in the first cache.
const PORTION: usize = 1 << 14;
const PIECE: usize = 1 << 11;

/// `count` numbers, a piece at a time: `write` gets the index of its first number, and zeros to write over.
pub(crate) fn each_written(count: usize, write: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    by_portions(count, PORTION, |index, part| {
        let firsts = (index * PORTION..).step_by(PIECE);
        for (part, first) in part.chunks_mut(PIECE).zip(firsts) {
            part.fill(MaybeUninit::new(0.0));
            // SAFETY: all of it was written by the line above.
            #[allow(unsafe_code)]
            write(first, unsafe { part.assume_init_mut() });
        }
    })
    .0
}

/// As [`written`], over copies of `row` in place of zeros.
///
/// # Panics
///
/// If count or portion are no whole rows.
pub(crate) fn written_over(
    row: &[f32],
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    assert_eq!([count, portion].map(|of| of % row.len()), [0; 2]);
    by_portions(count, portion, |index, part| {
        for to in part.chunks_exact_mut(row.len()) {
            to.write_copy_of_slice(row);
        }
        // SAFETY: it is whole rows by the assertion, which were written by the lines above.
        #[allow(unsafe_code)]
        write(index, unsafe { part.assume_init_mut() });
    })
    .0
}

/// As [`written`], and what `write` returns for each portion.
pub(crate) fn written_and_found<T: Send>(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    by_portions(count, portion, |index, part| {
        part.fill(MaybeUninit::new(0.0));
        // SAFETY: all of it was written by the line above.
        #[allow(unsafe_code)]
        write(index, unsafe { part.assume_init_mut() })
    })
}

/// Numbers of which `write` has to write each one of its portion, and what it returns for each.
fn by_portions<T: Send>(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let mut values = Vec::with_capacity(count);
    let spare = &mut values.spare_capacity_mut()[..count];
    let portions = spare.par_chunks_mut(portion.max(1)).enumerate();
    let found = portions.map(|(index, part)| write(index, part)).collect();
    // SAFETY: each of the numbers is in a portion, all of which the callers above write.
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
