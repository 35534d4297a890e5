//! Asks PyTorch itself.

use std::{env, ffi::OsStr, process::Command};

/// Runs `$PYTHON`, else `python3`. A test that does so is ignored, with the reason in its
/// attribute, and has `pytorch` in its name, or `python` where it needs other packages: by these CI finds it.
///
/// # Panics
///
/// If the program fails, with what it wrote.
#[track_caller]
pub fn run_python(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) {
    let python = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", python.display());
}
