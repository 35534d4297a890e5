//! Attention as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::{
    gradients::{self, Attention},
    heads::{self, Bias, Heads, Shares},
};
use crate::{
    flex::{tensor, tracked, values},
    perhaps::Perhaps,
};

/// As [`crate::attention`].
pub(crate) fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    let [queries, keys, values] = [queries, keys, values].map(Tensor::into_dispatch);
    let bias = Perhaps::new(bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(Dispatch::fast_attention(queries, keys, values, bias))
}

#[backend_extension(Autodiff, Flex)]
trait FastAttention: Backend {
    fn fast_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        #[extension_type] bias: Perhaps<Self>,
    ) -> FloatTensor<Self>;

    /// The gradients of queries, keys, values and, if it is asked for, bias, from that of the output.
    fn attention_gradients(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        #[extension_type] bias: Perhaps<Self>,
        gradient: FloatTensor<Self>,
        of_bias: bool,
    ) -> Vec<FloatTensor<Self>>;
}

impl FastAttention for Flex {
    fn fast_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let [queries, keys, values] = [queries, keys, values].map(stepwise);
        let bias = bias.tensor().map(|bias| bias.to_contiguous());
        let shares = shares(&queries, &keys, bias.as_ref());
        let values = seen(&values);
        let [batch, heads, tokens, channels] = values.shape;
        let output = heads::output(&shares, values);
        // The layer behind it takes the heads of a token side by side.
        tensor(output, [batch, tokens, heads, channels]).transpose(1, 2)
    }

    fn attention_gradients(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: Perhaps<Self>,
        gradient: FloatTensor<Self>,
        of_bias: bool,
    ) -> Vec<FloatTensor<Self>> {
        let shape = queries.shape();
        let [queries, keys, values, gradient] = [queries, keys, values, gradient].map(stepwise);
        let bias = bias.tensor().map(|bias| bias.to_contiguous());
        let of = Attention {
            shares: shares(&queries, &keys, bias.as_ref()),
            values: seen(&values),
            gradient: seen(&gradient),
        };
        let found = gradients::gradients(&of, of_bias);
        let heads = [found.queries, found.keys, found.values];
        let heads = heads.map(|values| tensor(values, shape.clone()));
        let bias = found.bias.zip(bias);
        let bias = bias.map(|(found, bias)| tensor(found, bias.shape()));
        heads.into_iter().chain(bias).collect()
    }
}

/// Without steps backwards, that is.
fn stepwise(heads: FloatTensor<Flex>) -> FloatTensor<Flex> {
    match heads.layout().has_positive_strides() {
        true => heads,
        false => heads.to_contiguous(),
    }
}

fn seen(heads: &FloatTensor<Flex>) -> Heads<'_> {
    let layout = heads.layout();
    let step = |axis: usize| layout.strides()[axis] as usize;
    Heads {
        values: &heads.storage()[layout.start_offset()..],
        shape: layout.shape().dims(),
        steps: [0, 1, 2, 3].map(step),
    }
}

fn shares<'a>(
    queries: &'a FloatTensor<Flex>,
    keys: &'a FloatTensor<Flex>,
    bias: Option<&'a FloatTensor<Flex>>,
) -> Shares<'a> {
    let bias = bias.map(|bias| Bias {
        values: values(bias),
        shared: bias.shape()[0] == 1,
    });
    Shares {
        queries: seen(queries),
        keys: seen(keys),
        bias,
    }
}

impl<B: FastAttention, C: CheckpointStrategy> FastAttention for Autodiff<B, C> {
    fn fast_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys.node(), values.node()];
        let bias = bias.tensor();
        let bias_node = bias.as_ref().map(|bias| bias.node());
        let [q, k, v] = [queries, keys, values].map(|tensor| tensor.into_primitive());
        let bias = Perhaps::new(bias.map(|bias| bias.into_primitive()));
        let output = B::fast_attention(q.clone(), k.clone(), v.clone(), bias.clone());
        let state = (q, k, v, bias);
        match bias_node {
            None => tracked!(AttentionGradients, C, nodes, state, output),
            Some(bias) => {
                let [q, k, v] = nodes;
                tracked!(AttentionGradients, C, [q, k, v, bias], state, output)
            }
        }
    }

    /// Gradients of gradients are not computed.
    fn attention_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Perhaps<Self>,
        _: FloatTensor<Self>,
        _: bool,
    ) -> Vec<FloatTensor<Self>> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step for queries, keys, values and, where there is one, bias.
#[derive(Debug)]
struct AttentionGradients;

/// Queries, keys, values and bias.
type Kept<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Perhaps<B>);

impl<B: FastAttention, const N: usize> Backward<B, N> for AttentionGradients {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Kept<B>, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (queries, keys, values, bias) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let of_bias = ops.parents.get(3).is_some_and(Option::is_some);
        let found = B::attention_gradients(queries, keys, values, bias, gradient, of_bias);
        for (parent, found) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, found);
            }
        }
    }
}
