//! Attention whose scores never leave the cache, on all threads of the CPU.
//!
//! burn's gradient keeps and passes over the scores of all heads several times. Here a block of queries
//! meets all keys at once, and the backward pass computes its scores again (`heads.rs`).
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere it is put together from burn's
//! operations.
//!
//! Source: "Attention Is All You Need", <https://arxiv.org/abs/1706.03762>.

#[cfg(feature = "flex")]
mod gradients;
#[cfg(feature = "flex")]
mod heads;
#[cfg(feature = "flex")]
mod operation;
#[cfg(test)]
mod tests;

use burn::tensor::{DType, Tensor, activation};

/// `softmax(queries · keysᵀ + bias) · values`, where the softmax is over the keys, in float32 at least. The
/// queries are scaled already.
///
/// # Shapes
///
/// - `queries`, `keys`, `values`: `[batch, heads, tokens, channels]`
/// - `bias`: `[1 or batch, heads, tokens, tokens]`
/// - output: `[batch, heads, tokens, channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    let shape @ [batch, heads, tokens, _] = queries.dims();
    assert_eq!(
        [keys.dims(), values.dims()],
        [shape; 2],
        "shapes of queries, keys and values"
    );
    if let Some([of, rest @ ..]) = bias.as_ref().map(Tensor::dims) {
        let fits = (of == 1 || of == batch) && rest == [heads, tokens, tokens];
        assert!(fits, "a bias of {of} · {rest:?} for queries of {shape:?}");
    }
    #[cfg(feature = "flex")]
    if [&queries, &keys, &values]
        .into_iter()
        .chain(&bias)
        .all(crate::flex::applies)
    {
        return operation::attention(queries, keys, values, bias);
    }
    let dtype = queries.dtype();
    let scores = match dtype {
        DType::F64 => queries.matmul(keys.transpose()),
        _ => queries.matmul(keys.transpose()).cast(DType::F32),
    };
    let scores = match bias {
        Some(bias) => scores.clone() + bias.cast(scores.dtype()),
        None => scores,
    };
    activation::softmax(scores, 3).cast(dtype).matmul(values)
}
