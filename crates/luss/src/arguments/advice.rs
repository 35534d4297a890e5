//! What to type, where a library can only say what to call.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use anyhow::anyhow;
use pass_train::{Error, quoted};

/// Says what to type where a library can only say what to call.
pub(super) fn with_command(error: Error) -> anyhow::Error {
    match error {
        Error::AnotherRun { ref path, .. } => {
            anyhow!("{error}\nto go on: {} --run {}", command(), quoted(path))
        }
        Error::Faults(ref faults) if faults.may_be_skipped => anyhow!(
            "{error}\nto leave them out and list them: {} --skip-broken",
            command_line()
        ),
        Error::Data(imagenet_s::Error::LoosePicture { path }) => anyhow!(
            "{}: this picture lies outside the class folders of --data; move it into one, or use \
             --images and --classes in place of --data, which need no classes",
            path.display()
        ),
        Error::Data(imagenet_s::Error::TreeNotFolder { path, train }) => anyhow!(
            "{}: this is the root of an ImageNet-S tree, whose masks would be taken for pictures; \
             use --data {} in place of --images, or --images {}",
            path.display(),
            quoted(&path),
            quoted(&train)
        ),
        other => other.into(),
    }
}

/// The words that named this program and its subcommand.
fn command() -> String {
    let words = env::args_os().enumerate();
    let words = words.take_while(|(place, word)| *place == 0 || !is_option(word));
    joined(words.map(|(_, word)| word))
}

/// All words that started this program.
fn command_line() -> String {
    joined(env::args_os())
}

fn joined(words: impl Iterator<Item = OsString>) -> String {
    let words: Vec<String> = words.map(|word| quoted(Path::new(&word))).collect();
    words.join(" ")
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}
