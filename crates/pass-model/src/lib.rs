//! Turns tensors into embeddings and losses: the networks, heads, losses and optimiser of PASS.
//!
//! The crate works on any device of burn and names no backend; it opens no picture. What happens to
//! a module is always said by the caller: [`norm::NormMode`] decides which statistics a pass uses,
//! `no_grad` which parameters learn, and `&mut self` shows that moving statistics may change.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pass_model::{backbone::ResNetConfig, norm::NormMode, pretrain_net::{NetworkConfig, PretrainNetConfig}};
//!
//! let device = Device::default();
//! let backbone = ResNetConfig { width: 4, ..ResNetConfig::small() }.into();
//! let config = PretrainNetConfig { network: NetworkConfig { backbone, hidden: 8, ..Default::default() }, ..Default::default() };
//! let mut net = config.init(31, &device);
//!
//! let crops = Tensor::ones([2 * 3, 3, 32, 32], &device); // two global crops of three pictures
//! let output = net.forward(vec![crops], None, NormMode::Batch);
//! assert_eq!(output.scores.dims(), [6, 500]);
//! ```
//!
//! | in the paper | here |
//! |---|---|
//! | the backbone: a ResNet, or another network of the paper's comparison | [`backbone`] |
//! | projections `P`, pixel MLP `H_s`, predictor `q` | [`heads`] |
//! | prototypes | [`prototypes`] |
//! | what step 1 can train: PASS_s, PASS_p, or a method of your own | [`method`] |
//! | step 1, pre-training | [`pretrain_net`]; for PASS_p [`pass_p_net`] |
//! | momentum encoder, pixel propagation of PASS_p | [`momentum_encoder`], [`propagation`] |
//! | swapped prediction, P2P, D2S and their sum | [`loss`] |
//! | Sinkhorn-Knopp, queue | [`sinkhorn`], [`queue`] |
//! | of other methods: backbone with projector, centre of DINO | [`encoder`], [`centre`] |
//! | pixels that two views share | [`overlap`] |
//! | step 3, fine-tuning | [`segmentation_net`], [`resize`] |
//! | LARS, cosine schedule | [`optim`] |
//! | several GPUs or machines | [`group`] |
//! | mixed precision | [`precision`] |
//! | published weights; weights for PyTorch | [`import`]; [`export`] |
//!
//! Below these lie batch normalisation ([`norm`]), initial weights that are the same on every device
//! ([`init`]), unit vectors and pooling ([`normalize`]) and weights files ([`checkpoint`]).

pub mod backbone;
pub mod checkpoint;
pub mod error;
pub mod export;
pub mod group;
pub mod heads;
pub mod import;
pub mod init;
pub mod loss;
pub mod method;
pub mod norm;
pub mod normalize;
pub mod optim;
mod parts;
pub mod pass_p_net;
pub mod precision;
pub mod pretrain_net;
pub mod resize;
pub mod segmentation_net;
pub mod values;

pub use error::Error;
pub use parts::{
    adversaries, centre, clusters, encoder, momentum_encoder, momentum_pair, overlap, propagation,
    prototypes, queue, ring, shuffle, sinkhorn,
};
