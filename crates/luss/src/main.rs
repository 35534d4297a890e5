//! The program: runs and their steps, data, weights, labels, features of other models.

mod commands;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    luss::outcome(|| commands::Luss::parse().run())
}
