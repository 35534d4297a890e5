//! How a program ends: signals, the last line, the exit code.

use std::{io, process::ExitCode};

use imagenet_s::terminal::{show, tell};

use pass_train::{Context, Error, Step, StopRequest};

use crate::{
    rank_threads::OfRank,
    ranks::{abort, finish, signature},
    refusal::{Refusal, refuses},
};

/// How `luss` and `luss-eval` end, for the help.
pub const EXIT_CODES: &str = "Exit codes of every command, also of luss-eval:
    0  done
    1  failed: an error, which is printed
    2  refused before any work: arguments, run file or data
   75  stopped as asked, with a checkpoint; the same command resumes
  130  ended at once by a signal";

/// Exit code where the arguments, the run file or the data are refused: also that of clap.
const REFUSED: u8 = 2;

/// Exit code of a training that stopped as asked and can go on: `EX_TEMPFAIL` of `sysexits.h`.
pub const STOPPED: u8 = 75;

/// Exit code when a signal ends a program at once: that of a shell for Ctrl-C.
#[cfg(unix)]
const AT_ONCE: i32 = 130;

/// Passes Ctrl-C, SIGTERM and SIGHUP on to the training under way; the second one, or the first
/// where no training is under way, ends the process.
#[cfg(unix)]
pub(crate) fn listen(stop: &StopRequest) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
    };

    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])
        .context("the handlers of Ctrl-C and SIGTERM cannot be set")?;
    let stop = stop.clone();
    std::thread::spawn(move || {
        for _signal in signals.forever() {
            if !stop.ask() {
                // Without what runs at the end of a process: a GPU's driver would go, and burn's
                // threads, which still work, would tell of it.
                signal_hook::low_level::exit(AT_ONCE);
            }
            tell(format_args!(
                "stopping after this iteration, with a checkpoint; once more ends at once, without"
            ));
        }
    });
    Ok(())
}

/// Elsewhere Ctrl-C ends a process at once: what the last checkpoint has is kept.
#[cfg(not(unix))]
pub(crate) fn listen(_stop: &StopRequest) -> anyhow::Result<()> {
    Ok(())
}

/// Says where a training left its weights, once for all processes.
///
/// # Errors
///
/// Of the standard output.
pub fn tell_weights(context: &Context, step: Step) -> io::Result<()> {
    if context.speaks() {
        show(format_args!(
            "weights: {}",
            context.run.weights(step).display()
        ))?;
    }
    Ok(())
}

/// Runs a program's work and turns its end into an exit code: 0 when done, 2 when the arguments, the run
/// file or the data are refused, 75 when a training stopped as asked, 1 after any other error.
///
/// Ranks end together: an error or a panic of one ends all.
pub fn outcome(work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let _guard = AbortOnPanic;
    let Err(error) = work() else {
        finish();
        return ExitCode::SUCCESS;
    };
    let (signature, error) = signed(error);
    match error.downcast_ref() {
        Some(Error::Stopped { .. }) => {
            tell(format_args!("{signature}{error}"));
            finish();
            ExitCode::from(STOPPED)
        }
        // The one with the reason ends this one too, but only after it has told it.
        Some(Error::AnotherRank) => {
            finish();
            ExitCode::FAILURE
        }
        _ => {
            let (code, error) = coded(error);
            tell(format_args!("{signature}Error: {error:?}"));
            abort();
            ExitCode::from(code)
        }
    }
}

/// An error and its exit code.
fn coded(error: anyhow::Error) -> (u8, anyhow::Error) {
    match error.downcast() {
        Ok(Refusal(error)) => (REFUSED, error),
        Err(error) if error.downcast_ref().is_some_and(refuses) => (REFUSED, error),
        Err(error) => (1, error),
    }
}

/// An error, and what precedes its message where there are several ranks. Of the threads of one
/// process rank 0 speaks for all, so its name says nothing.
fn signed(error: anyhow::Error) -> (String, anyhow::Error) {
    match error.downcast() {
        Ok(OfRank { rank: 0, error }) => (String::new(), error),
        Ok(OfRank { rank, error }) => (format!("rank {rank}: "), error),
        Err(error) => (signature(), error),
    }
}

/// The other processes would wait for one that panics.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            abort();
        }
    }
}
