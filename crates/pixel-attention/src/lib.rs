//! Turns feature maps into clusters and labels: pixel attention, k-means, pseudo labels, distance
//! matching.
//!
//! These are the steps 2.1 to 2.4 of PASS (*Large-scale Unsupervised Semantic Segmentation*) and
//! the evaluation protocol that needs no fine-tuning.
//!
//! | term of the paper | item |
//! |---|---|
//! | pixel attention `A`, threshold `τ` | [`attention::PixelAttention`] |
//! | attended image embedding | [`pooling`] |
//! | fine-tuning with pixel attention (step 2.1) | [`attention_net::AttentionNet`] |
//! | embeddings in a file, written as they are computed | [`row_file`], [`rows`] |
//! | clustering, cluster centres (2.2) | [`kmeans::fit`], [`centroids`] |
//! | how many clusters there may be | [`kmeans::suggest::suggest`] |
//! | what the clusters are like | [`cluster_report::ClusterReport`] |
//! | pseudo labels `Y` (2.3, 2.4) | [`label_generation::generate`], [`label_store`] |
//! | image-level labels, CAM inference (equations 15, 16) | [`cam`] |
//! | objects on a frozen map, without training | [`foreground::Foreground`] |
//! | masks that follow the edges of a picture | [`refine::refine`] |
//! | distance matching | [`distance_matching::SupportSet`] |
//!
//! The first two work on tensors of any burn device; distance matching works on the host's arrays,
//! and so does clustering unless a device is given ([`kmeans::device`]). From a feature map to a mask:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ndarray::array;
//! use pixel_attention::label_generation::generate;
//!
//! let device = Device::default();
//! // One picture, two channels, a map of 1 x 2 pixels.
//! let features = Tensor::<4>::from_floats([[[[0.9, 0.1]], [[0.0, 0.7]]]], &device);
//! let attention = Tensor::<4>::from_floats([[[[0.8, 0.3]]]], &device);
//! let centroids = array![[0.0f32, 0.5], [0.5, 0.0]];
//!
//! let labels = generate(features, attention, centroids.view())?;
//! assert_eq!(labels[0].ids, [2, 1]);
//! let mask = labels[0].to_mask(4, 2, 0.5);
//! assert_eq!(mask.labels(), [2, 2, 0, 0, 2, 2, 0, 0]);
//! # Ok::<(), pixel_attention::Error>(())
//! ```

pub mod attention;
pub mod attention_net;
pub mod cam;
pub mod centroids;
pub mod cluster_report;
pub mod distance_matching;
pub mod error;
pub mod foreground;
pub mod kmeans;
pub mod label_generation;
pub mod label_store;
pub mod pooling;
pub mod refine;
pub mod row_file;
pub mod rows;

mod eigen;
mod partial_file;
mod products;
mod read_at;
mod resample;

pub use error::Error;
