//! The steps of PASS, one file each: what they read, compute and leave in the run directory.

pub mod attention;
pub mod cluster;
pub mod distance;
pub mod evaluate;
pub mod finetune;
pub mod labels;
pub mod predict;
pub mod pretrain;
pub mod threshold;
