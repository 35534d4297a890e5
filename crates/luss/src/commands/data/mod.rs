//! Datasets: made, examined, packed, described, handed in.

mod doctor;
mod pack;
mod prepare;
mod statistics;
mod submit;
mod watcher;

use clap::Subcommand;
use imagenet_s::Manifest;
use std::path::Path;

use watcher::watcher;

/// Prepares, examines, packs, describes and hands in datasets.
///
/// Example: luss data doctor ~/luss/ImageNetS50
///
/// Leaves nothing but what its subcommands say.
#[derive(Subcommand)]
pub(crate) enum Data {
    Prepare(prepare::Prepare),
    Doctor(doctor::Doctor),
    Pack(pack::Pack),
    Statistics(statistics::Describe),
    Submit(submit::Submit),
}

impl Data {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Prepare(prepare) => prepare.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Pack(pack) => pack.run(),
            Self::Statistics(describe) => describe.run(),
            Self::Submit(submit) => submit.run(),
        }
    }
}

/// The manifest that was named, or the embedded one.
fn manifest(path: Option<&Path>) -> Result<Manifest, imagenet_s::Error> {
    path.map_or_else(|| Ok(Manifest::embedded()), Manifest::read)
}
