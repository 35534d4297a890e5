//! `luss-eval` as its users meet it: folders in, files and exit codes out.

mod conventions;
mod folders;
mod formats;
mod golden;
mod options;
mod page;
mod pixel_scores;
mod refusals;
mod scores;
mod shards;
mod workplace;
