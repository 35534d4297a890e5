//! Each backbone against figures that PyTorch computed in float64 with weights that anybody can make,
//! and its keys against the published ones. No file of weights is needed.

mod classifier;
mod convnext;
mod densenet;
mod efficientnet;
#[path = "../common/hashed.rs"]
mod hashed;
mod inception;
mod lite0;
mod oracle;
mod pytorch;
mod reduced;
mod res2net;
mod resnet;
mod shapes;
mod swin;
mod vit;
