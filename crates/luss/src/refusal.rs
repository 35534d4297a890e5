//! What is refused before any work has begun.

use std::{error::Error as StdError, io};

use pass_train::Error;

/// An error of the arguments, the run file or the data: nothing has begun.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Refusal(pub(crate) anyhow::Error);

/// Tells errors of what precedes the work from errors of the work.
pub trait OrRefuse<T> {
    /// Makes an error a refusal, unless the system is at fault, as by a full disk, or another rank.
    ///
    /// # Errors
    ///
    /// The same error, with the exit code of a refusal.
    fn or_refuse(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            if is_of_others(&error) {
                return error;
            }
            Refusal(error).into()
        })
    }
}

fn is_of_others(error: &anyhow::Error) -> bool {
    let of_rank = matches!(error.downcast_ref(), Some(Error::AnotherRank));
    of_rank || error.is::<Refusal>() || error.chain().any(is_of_system)
}

/// Whether a disk or a connection is at fault. A path that leads nowhere is a wrong argument.
fn is_of_system(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    let of_data = [
        InvalidData,
        IsADirectory,
        NotADirectory,
        NotFound,
        UnexpectedEof,
    ];
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind.is_some_and(|kind| !of_data.contains(&kind))
}

/// Whether a step refuses what it is asked for, or what it finds, before it begins.
pub(crate) fn refuses(error: &Error) -> bool {
    matches!(
        error,
        Error::RunFile { .. }
            | Error::Setting { .. }
            | Error::Value { .. }
            | Error::AnotherRun { .. }
            | Error::NoRun { .. }
            | Error::StepMissing { .. }
            | Error::TooFewPictures { .. }
            | Error::Faults(_)
            | Error::NoMasks { .. }
            | Error::ChangedFile { .. }
            | Error::ChangedPictures(_)
            | Error::InUse { .. }
            | Error::BatchOfRanks { .. }
            | Error::ModelFile { .. }
    )
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn is_refused(kind: io::ErrorKind) -> bool {
        let error: io::Result<()> = Err(kind.into());
        let error = error.context("a folder").or_refuse().unwrap_err();
        error.is::<Refusal>()
    }

    #[test]
    fn a_wrong_path_is_refused_and_a_full_disk_is_a_failure() {
        assert!(is_refused(io::ErrorKind::NotFound));
        assert!(!is_refused(io::ErrorKind::StorageFull));
    }
}
