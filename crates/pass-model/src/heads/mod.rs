//! The heads on top of the backbone: what turns feature maps into embeddings.

mod consistency_projection;
mod mlp;
mod pixel_projection;
mod predictor;
mod projection;
mod shallow;
mod weight_norm;

pub use consistency_projection::{ConsistencyProjection, ConsistencyProjectionConfig};
pub use mlp::{Activation, InitialWeights, LayerConfig, LayerNorm, Mlp, MlpConfig, MlpLayer};
pub use pixel_projection::{PixelProjection, PixelProjectionConfig};
pub use predictor::{Predictor, PredictorConfig};
pub use projection::{ProjectionHead, ProjectionHeadConfig};
pub use shallow::{ShallowHead, ShallowHeadConfig};
pub use weight_norm::WeightNormLinear;
