//! Weights from and for PyTorch programs.

mod export;
mod import;

use clap::Subcommand;

/// Exchanges weights of networks with PyTorch programs.
///
/// Example: luss weights export --run runs/mine --backbone backbone.safetensors
///
/// Leaves nothing but what its subcommands say.
#[derive(Subcommand)]
pub(crate) enum Weights {
    Import(import::Import),
    Export(export::Export),
}

impl Weights {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Import(import) => import.run(),
            Self::Export(export) => export.run(),
        }
    }
}
