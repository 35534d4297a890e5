//! Tensors of the CPU backend as slices, and back.

use std::mem::MaybeUninit;

use burn::{
    backend::{Flex, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor},
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
    let write = |index: usize, part: &mut [MaybeUninit<f32>]| {
        let firsts = (index * PORTION..).step_by(PIECE);
        for (part, first) in part.chunks_mut(PIECE).zip(firsts) {
            write(first, zeros(part));
        }
    };
    // SAFETY: the pieces are all of a portion, and each is written by `zeros`.
    #[allow(unsafe_code)]
    unsafe { by_portions(count, PORTION, write) }.0
}

/// What `write` makes of pieces of two tensors of one shape, of which the result is too.
pub(crate) fn of_pairs(
    a: FloatTensor<Flex>,
    b: FloatTensor<Flex>,
    write: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> FloatTensor<Flex> {
    let shape = a.shape();
    let both = [a, b].map(|tensor| tensor.to_contiguous());
    let [a, b] = both.each_ref().map(values);
    let output = each_written(a.len(), |first, to| {
        let [a, b] = [a, b].map(|values| &values[first..][..to.len()]);
        write(a, b, to);
    });
    tensor(output, shape)
}

/// As [`written`], over copies of `row` in place of zeros.
///
/// # Panics
///
/// If the row or a portion is empty, or count or portion are no whole rows.
pub(crate) fn written_over(
    row: &[f32],
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let width = row.len();
    assert!(
        portion > 0 && width > 0,
        "an empty row or portion: {width}, {portion}"
    );
    let are_whole = [count, portion].iter().all(|of| of % width == 0);
    assert!(
        are_whole,
        "{count} in portions of {portion}, rows of {width}"
    );
    let write = |index: usize, part: &mut [MaybeUninit<f32>]| {
        for to in part.chunks_exact_mut(width) {
            to.write_copy_of_slice(row);
        }
        // SAFETY: it is whole rows by the assertions, which were written by the lines above.
        #[allow(unsafe_code)]
        write(index, unsafe { part.assume_init_mut() });
    };
    // SAFETY: all of a portion is written by the lines above.
    #[allow(unsafe_code)]
    unsafe { by_portions(count, portion, write) }.0
}

/// As [`written`], and what `write` returns for each portion.
pub(crate) fn written_and_found<T: Send>(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let write = |index: usize, part: &mut [MaybeUninit<f32>]| write(index, zeros(part));
    // SAFETY: all of a portion is written by `zeros`.
    #[allow(unsafe_code)]
    unsafe {
        by_portions(count, portion, write)
    }
}

/// The same numbers, each of them 0 now.
fn zeros(part: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    part.fill(MaybeUninit::new(0.0));
    // SAFETY: all of it was written by the line above.
    #[allow(unsafe_code)]
    unsafe {
        part.assume_init_mut()
    }
}

/// `count` numbers, each portion of them written by a task, and what `write` returns for each.
///
/// # Safety
///
/// `write` writes each number of its portion.
#[allow(unsafe_code)]
unsafe fn by_portions<T: Send>(
    count: usize,
    portion: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let mut values = Vec::with_capacity(count);
    let spare = &mut values.spare_capacity_mut()[..count];
    let portions = spare.par_chunks_mut(portion.max(1)).enumerate();
    let found = portions.map(|(index, part)| write(index, part)).collect();
    // SAFETY: each of the numbers is in a portion, all of which `write` has written.
    unsafe {
        values.set_len(count);
    }
    (values, found)
}

#[cfg(test)]
mod tests {
    use super::written_over;

    #[test]
    fn rows_are_written_over() {
        let found = written_over(&[1.0, 2.0], 6, 4, |index, to| to[0] += index as f32);
        assert_eq!(found, [1.0, 2.0, 1.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "an empty row or portion")]
    fn portions_of_nothing_are_a_bug() {
        written_over(&[1.0], 3, 0, |_, _| ());
    }

    #[test]
    #[should_panic(expected = "an empty row or portion")]
    fn copies_of_nothing_are_a_bug() {
        written_over(&[], 3, 1, |_, _| ());
    }
}
