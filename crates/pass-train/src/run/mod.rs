//! A run: its directory, what it keeps and compares, and what every step is given.

pub(crate) mod check_data;
mod check_summary;
pub(crate) mod checksums;
pub(crate) mod context;
pub(crate) mod cursor;
pub(crate) mod dir;
mod enough;
mod lock;
mod mask_paths;
pub(crate) mod masks;
pub(crate) mod pictures;
pub(crate) mod settings;
pub(crate) mod starts;
mod sums;
