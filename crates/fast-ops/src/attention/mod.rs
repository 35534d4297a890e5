//! Attention whose scores never leave the cache, on all threads of the CPU.
//!
//! burn's gradient keeps and passes over the scores of all heads several times. Here a block of queries
//! meets all keys at once, and the backward pass computes its scores again (`heads.rs`). Queries, keys and
//! values are read where one linear layer has left them, side by side, and so are their gradients written.
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

/// Attention of several heads among all tokens: `softmax(queries · keysᵀ / √channels + bias) · values`
/// of each, where the softmax is over the keys, in float32 at least.
///
/// # Shapes
///
/// - `packed`: `[batch, tokens, 3 · heads · channels]`, as [`split_heads`] says
/// - `bias`: `[1 or batch, heads, tokens, tokens]`
/// - output: `[batch, tokens, heads · channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn self_attention(packed: Tensor<3>, heads: usize, bias: Option<Tensor<4>>) -> Tensor<3> {
    let [batch, tokens, width] = packed.dims();
    assert_eq!(width % (3 * heads), 0, "{width} channels for {heads} heads");
    if let Some([of, rest @ ..]) = bias.as_ref().map(Tensor::dims) {
        let fits = (of == 1 || of == batch) && rest == [heads, tokens, tokens];
        assert!(
            fits,
            "a bias of {of} · {rest:?} for {batch} pictures of {tokens} tokens and {heads} heads"
        );
    }
    #[cfg(feature = "flex")]
    if crate::flex::applies(&packed) && bias.iter().all(crate::flex::applies) {
        return operation::self_attention(packed, heads, bias);
    }
    let dtype = packed.dtype();
    let [queries, keys, values] = split_heads(packed, heads);
    let queries = queries * scale_of_scores(width / 3 / heads);
    let scores = match dtype {
        DType::F64 => queries.matmul(keys.transpose()),
        _ => queries.matmul(keys.transpose()).cast(DType::F32),
    };
    let scores = match bias {
        Some(bias) => scores.clone() + bias.cast(scores.dtype()),
        None => scores,
    };
    join_heads(activation::softmax(scores, 3).cast(dtype).matmul(values))
}

/// What scores are multiplied with before the softmax, `1 / √channels` of the channels of a head.
pub fn scale_of_scores(channels: usize) -> f64 {
    (channels as f64).powf(-0.5)
}

/// Queries, keys and values of each head.
///
/// # Shapes
///
/// - `packed`: `[batch, tokens, 3 · heads · channels]`, first the queries of all heads, then their keys,
///   then their values
/// - output: three of `[batch, heads, tokens, channels]`
pub fn split_heads(packed: Tensor<3>, heads: usize) -> [Tensor<4>; 3] {
    let [batch, tokens, width] = packed.dims();
    let packed = packed.reshape([batch, tokens, 3, heads, width / 3 / heads]);
    let packed = packed.permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|which| packed.clone().narrow(0, which, 1).squeeze_dim(0))
}

/// The reverse of [`split_heads`] for one of the three.
///
/// # Shapes
///
/// - `x`: `[batch, heads, tokens, channels]`
/// - output: `[batch, tokens, heads · channels]`
pub fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * channels])
}
