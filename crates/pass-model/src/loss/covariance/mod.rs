//! Losses on covariances over the batch: embeddings of two views agree, and their coordinates differ.
//!
//! | loss | file |
//! |---|---|
//! | Barlow Twins | [`barlow_twins_loss`] |
//! | VICReg | [`vicreg_loss`] |
//! | coding rate of EMP-SSL | [`coding_rate`] |

mod barlow_twins;
mod coding_rate;
mod vicreg;

pub use barlow_twins::{BarlowTerms, barlow_twins_loss};
pub use coding_rate::coding_rate;
pub use vicreg::{VarianceShare, VicRegTerms, VicRegWeights, vicreg_loss};
