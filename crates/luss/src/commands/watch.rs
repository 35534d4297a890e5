//! A look at a run, also while it is under way.

use std::{
    io::{self, ErrorKind, Write, stdout},
    path::PathBuf,
    thread,
    time::Duration,
};

use clap::Args;
use luss::OrRefuse;
use pass_train::terminal_view::{is_over, terminal_view};

/// Prints what a run has finished and every number of its log as a small curve.
///
/// Example: luss watch --run runs/mine --every 5
///
/// With --every it draws again until the run is over. The same numbers are in DIR/log.jsonl, and for
/// TensorBoard in DIR/tensorboard: tensorboard --logdir DIR/tensorboard.
///
/// Leaves nothing, so it may run beside the training.
#[derive(Args)]
pub(crate) struct Watch {
    /// The run directory.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// Draw again every so many seconds, until the run is over.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

impl Watch {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let first = terminal_view(&self.run).or_refuse()?;
        let Some(seconds) = self.every else {
            draw(&first)?;
            return Ok(());
        };
        loop {
            let over = is_over(&self.run);
            // Clears the screen and goes to its first line.
            let seen = draw(&format!("\x1b[2J\x1b[H{}", terminal_view(&self.run)?))?;
            if over || !seen {
                return Ok(());
            }
            thread::sleep(Duration::from_secs(seconds));
        }
    }
}

/// Whether someone still looks.
fn draw(text: &str) -> io::Result<bool> {
    let mut terminal = stdout().lock();
    let drawn = terminal.write_all(text.as_bytes());
    match drawn.and_then(|()| terminal.flush()) {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}
