//! Lines that outlive their reader: `head`, a closed connection, a pager that was left.

use std::{
    fmt,
    io::{ErrorKind, Write as _, stderr, stdout},
};

use anyhow::{Context as _, Result};

use crate::Failed;

/// Writes a line to standard error; what cannot be written is left out.
pub(crate) fn tell(line: fmt::Arguments) {
    let _ = stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Writes results to standard output. A reader that has gone has read enough.
pub(crate) fn show(text: &str) -> Result<()> {
    let mut output = stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.with_context(|| Failed("the standard output".into())),
    }
}
