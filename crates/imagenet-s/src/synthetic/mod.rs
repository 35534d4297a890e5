//! The embedded dataset: small pictures drawn by a program, in the true ImageNet-S layout.
//!
//! It stands in for ImageNet-S where nothing may be downloaded: in tests, in the first run of a
//! newcomer, in CI. Categories differ in SHAPE and TEXTURE only. Colours, light/dark polarity,
//! position, size, rotation and lighting are drawn anew for each picture, and the background is a
//! patchwork of patches that knows nothing of the category. Neither a colour histogram nor the
//! background of a picture therefore solves the task.
//!
//! | item | file |
//! |---|---|
//! | [`SyntheticConfig`] | `config.rs` |
//! | outlines of the objects | `shape.rs` |
//! | surfaces of objects and background | `texture.rs` |
//! | objects with their ignored parts | `object.rs` |
//! | light and noise | `light.rs` |
//! | one picture with its mask | `scene.rs` |
//! | [`write_synthetic`] | `write.rs` |

mod config;
mod light;
mod object;
mod scene;
mod shape;
mod texture;
mod write;

pub use config::{MAX_SYNTHETIC_CLASSES, SyntheticConfig};
pub use write::{SYNTHETIC_MARKER, write_synthetic};
