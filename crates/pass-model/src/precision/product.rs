//! Matrix products that are float32 where the device's own are not.
//!
//! On CUDA burn computes products of float32 numbers in TF32, which keeps 10 bits behind the point of
//! each factor, and has no switch for it. Embeddings that are nearly alike, as at the start of a
//! training, have scores that differ by less than that. PyTorch, and so the published program, rounds
//! the factors of convolutions alone. [`product`] and [`linear`] do as PyTorch does: where a device
//! was seen to round, they compute in float64, the next type that no tensor core shortens, forward
//! and backward. Elsewhere [`product`] is burn's, to the bit, and [`linear`] that of `fast-ops`.

use std::sync::{Mutex, PoisonError};

use burn::{
    module::Param,
    nn::Linear,
    tensor::{DType, Device, Tensor, TensorData, activation::softmax, module},
};
use fast_ops::{join_heads, scale_of_scores, split_heads};

use super::check::relative_distance;

/// Error of a product ([`float32_product_error`]) above which its factors count as rounded: float32 is
/// off by 1e-7, TF32 by 3e-4.
pub const ROUNDED: f64 = 1e-5;

/// The matrix product of float32 tensors, in float32 on every device that has float64 or does not
/// round; of other types it is burn's.
///
/// The first product on a device tries it ([`float32_product_error`]).
///
/// # Shapes
///
/// As [`Tensor::matmul`].
///
/// # Panics
///
/// As [`Tensor::matmul`].
pub fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    let float32 = [left.dtype(), right.dtype()] == [DType::F32; 2];
    match float32 && rounds_factors(&left.device()) {
        true => product_in_float64(left, right),
        false => left.matmul(right),
    }
}

/// A linear layer whose product is [`product`].
///
/// # Shapes
///
/// As [`Linear::forward`].
///
/// # Panics
///
/// As [`Linear::forward`].
pub fn linear<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    if rounds_factors(&input.device()) {
        return linear_in_float64(layer, input);
    }
    let bias = layer.bias.as_ref().map(Param::val);
    fast_ops::linear(input, layer.weight.val(), bias)
}

/// [`fast_ops::self_attention`], whose products are [`product`].
///
/// # Shapes
///
/// As [`fast_ops::self_attention`].
///
/// # Panics
///
/// As [`fast_ops::self_attention`].
pub fn self_attention(packed: Tensor<3>, heads: usize, bias: Option<Tensor<4>>) -> Tensor<3> {
    if !rounds_factors(&packed.device()) {
        return fast_ops::self_attention(packed, heads, bias);
    }
    let [queries, keys, values] = split_heads(packed, heads);
    join_heads(product(attention_weights(queries, keys, bias), values))
}

/// The weights of [`self_attention`]: softmax over the keys of `queries · keysᵀ / √channels + bias`.
///
/// # Shapes
///
/// - `queries`: `[batch, heads, queries, channels]`
/// - `keys`: `[batch, heads, keys, channels]`
/// - output: `[batch, heads, queries, keys]`
pub fn attention_weights(
    queries: Tensor<4>,
    keys: Tensor<4>,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    let scale = scale_of_scores(queries.dims()[3]);
    let scores = product(queries * scale, keys.transpose());
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3)
}

/// Error of burn's own product of float32 matrices on a device, relative, as root mean squares: 1e-7
/// where it is computed in float32, 3e-4 where in TF32.
pub fn float32_product_error(device: &Device) -> f64 {
    error_of(device, Tensor::matmul)
}

/// The same error of [`product`].
pub fn product_error(device: &Device) -> f64 {
    error_of(device, product)
}

/// Whether products of float32 numbers on this device have to be computed in another type. Remembered.
fn rounds_factors(device: &Device) -> bool {
    static KNOWN: Mutex<Vec<(Device, bool)>> = Mutex::new(Vec::new());
    let device = device.clone().without_autodiff();
    // What is known stays right, whoever panicked meanwhile.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, rounds)) = known.iter().find(|(other, _)| *other == device) {
        return *rounds;
    }
    let rounds = device.supports_dtype(DType::F64) && float32_product_error(&device) > ROUNDED;
    known.push((device, rounds));
    rounds
}

/// The matrix product of float32 tensors, computed in float64 and rounded once, and so are its
/// gradients: what [`product`] does where float32 is rounded.
///
/// # Shapes
///
/// As [`Tensor::matmul`].
///
/// # Panics
///
/// As [`Tensor::matmul`], or if the device has no float64.
pub fn product_in_float64<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    let wide = left.cast(DType::F64).matmul(right.cast(DType::F64));
    wide.cast(DType::F32)
}

fn linear_in_float64<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    let bias = layer.bias.as_ref().map(|bias| bias.val().cast(DType::F64));
    let weight = layer.weight.val().cast(DType::F64);
    module::linear(input.cast(DType::F64), weight, bias).cast(DType::F32)
}

/// A product of `[ROWS, SIDE]` with `[SIDE, SIDE]` against that of the host.
fn error_of(device: &Device, product: fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> f64 {
    let device = &device.clone().without_autodiff();
    let factors = [factor(0, ROWS * SIDE), factor(1, SIDE * SIDE)];
    let [left, right] = [(&factors[0], ROWS), (&factors[1], SIDE)].map(|(values, rows)| {
        let data = TensorData::new(values.clone(), [rows, SIDE]);
        Tensor::<2>::from_data(data, (device, DType::F32))
    });
    let [left_values, right_values] = &factors;
    let expected = host_product(left_values, right_values);
    relative_distance(&expected, &product(left, right).into_data())
}

/// Rows of the left factor: below 512 burn tries its kernels without tensor cores too, and may take them.
const ROWS: usize = 512;

/// Columns of the left factor, rows and columns of the right one.
const SIDE: usize = 64;

/// Numbers in -0.5..0.5 that fill all 24 bits, as if drawn.
fn factor(which: u32, count: usize) -> Vec<f32> {
    let first = which * (ROWS * SIDE) as u32;
    let mixed = |i: u32| i.wrapping_mul(i.wrapping_mul(2_654_435_761).wrapping_add(40_503));
    let unit = |i| (mixed(i) >> 8) as f32 / (1 << 24) as f32;
    (first..first + count as u32)
        .map(|i| unit(i) - 0.5)
        .collect()
}

/// In float64.
fn host_product(left: &[f32], right: &[f32]) -> TensorData {
    let rows = left.len() / SIDE;
    let entry = |place: usize| {
        let (row, column) = (place / SIDE * SIDE, place % SIDE);
        let term = |k| f64::from(left[row + k]) * f64::from(right[k * SIDE + column]);
        (0..SIDE).map(term).sum()
    };
    let values: Vec<f64> = (0..rows * SIDE).map(entry).collect();
    TensorData::new(values, [rows, SIDE])
}

#[cfg(test)]
mod tests;
