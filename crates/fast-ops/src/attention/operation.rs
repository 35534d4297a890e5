//! Attention as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::{
    gradients::{self, Attention},
    heads::{self, Bias, Heads, Shares},
    scale_of_scores,
};
use crate::{
    backward::{parents_of, register, tracked},
    flex::{tensor, values},
    perhaps::Perhaps,
};

/// As [`crate::self_attention`].
pub(crate) fn self_attention(
    packed: Tensor<3>,
    heads: usize,
    bias: Option<Tensor<4>>,
) -> Tensor<3> {
    let bias = Perhaps::new(bias.map(Tensor::into_dispatch));
    let output = Dispatch::fast_attention(packed.into_dispatch(), heads, bias);
    Tensor::from_dispatch(output)
}

#[backend_extension(Autodiff, Flex)]
trait FastAttention: Backend {
    fn fast_attention(
        packed: FloatTensor<Self>,
        heads: usize,
        #[extension_type] bias: Perhaps<Self>,
    ) -> FloatTensor<Self>;

    /// The gradients of the input and, if it is asked for, of the bias, from that of the output.
    fn attention_gradients(
        packed: FloatTensor<Self>,
        heads: usize,
        #[extension_type] bias: Perhaps<Self>,
        gradient: FloatTensor<Self>,
        of_bias: bool,
    ) -> Vec<FloatTensor<Self>>;
}

impl FastAttention for Flex {
    fn fast_attention(
        packed: FloatTensor<Self>,
        heads: usize,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let packed = packed.to_contiguous();
        let bias = bias.tensor().map(|bias| bias.to_contiguous());
        let [queries, keys, values] = thirds(&packed, heads);
        let [batch, heads, tokens, channels] = values.shape;
        let output = heads::output(&shares(queries, keys, bias.as_ref()), values);
        tensor(output, [batch, tokens, heads * channels])
    }

    fn attention_gradients(
        packed: FloatTensor<Self>,
        heads: usize,
        bias: Perhaps<Self>,
        gradient: FloatTensor<Self>,
        of_bias: bool,
    ) -> Vec<FloatTensor<Self>> {
        let shape = packed.shape();
        let [packed, gradient] = [packed, gradient].map(|tensor| tensor.to_contiguous());
        let bias = bias.tensor().map(|bias| bias.to_contiguous());
        let [queries, keys, values] = thirds(&packed, heads);
        let of = Attention {
            shares: shares(queries, keys, bias.as_ref()),
            values,
            gradient: seen(&gradient, [0, shape[2] / 3], heads),
        };
        let (of_packed, found) = gradients::gradients(&of, of_bias);
        let bias = found.zip(bias);
        let bias = bias.map(|(found, bias)| tensor(found, bias.shape()));
        [tensor(of_packed, shape)].into_iter().chain(bias).collect()
    }
}

/// Queries, keys and values.
fn thirds(packed: &FloatTensor<Flex>, heads: usize) -> [Heads<'_>; 3] {
    let width = packed.shape()[2] / 3;
    [0, 1, 2].map(|which| seen(packed, [which * width, width], heads))
}

/// Of `[batch, tokens, …]`, some channels from a first one on, in heads.
fn seen(packed: &FloatTensor<Flex>, [first, width]: [usize; 2], heads: usize) -> Heads<'_> {
    let [batch, tokens, pitch] = packed.shape().dims();
    Heads {
        values: &values(packed)[first..],
        shape: [batch, heads, tokens, width / heads],
        pitch,
    }
}

fn shares<'a>(
    queries: Heads<'a>,
    keys: Heads<'a>,
    bias: Option<&'a FloatTensor<Flex>>,
) -> Shares<'a> {
    let bias = bias.map(|bias| Bias {
        values: values(bias),
        shared: bias.shape()[0] == 1,
    });
    Shares {
        queries,
        keys,
        scale: scale_of_scores(queries.shape[3]) as f32,
        bias,
    }
}

impl<B: FastAttention, C: CheckpointStrategy> FastAttention for Autodiff<B, C> {
    fn fast_attention(
        packed: FloatTensor<Self>,
        heads: usize,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let (node, packed) = (packed.node(), packed.into_primitive());
        let bias = bias.tensor();
        let bias_node = bias.as_ref().map(|bias| bias.node());
        let bias = Perhaps::new(bias.map(|bias| bias.into_primitive()));
        let output = B::fast_attention(packed.clone(), heads, bias.clone());
        let state = (packed, heads, bias);
        match bias_node {
            None => tracked!(AttentionGradients, C, [node], state, output),
            Some(bias) => tracked!(AttentionGradients, C, [node, bias], state, output),
        }
    }

    /// Gradients of gradients are not computed.
    fn attention_gradients(
        _: FloatTensor<Self>,
        _: usize,
        _: Perhaps<Self>,
        _: FloatTensor<Self>,
        _: bool,
    ) -> Vec<FloatTensor<Self>> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step for the input and, where there is one, the bias.
#[derive(Debug)]
struct AttentionGradients;

impl<B: FastAttention, const N: usize> Backward<B, N> for AttentionGradients {
    /// Input, heads and bias.
    type State = (FloatTensor<B>, usize, Perhaps<B>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let parents = parents_of(&ops);
        let (packed, heads, bias) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let of_bias = parents.get(1).is_some_and(Option::is_some);
        let found = B::attention_gradients(packed, heads, bias, gradient, of_bias);
        register::<B>(gradients, parents, found);
    }
}
