//! Lines for whoever started a program. They outlive their reader: `head`, a closed connection, a
//! pager that was left. `println!` and `eprintln!` would end the program by a panic.

use std::{
    fmt,
    io::{self, ErrorKind, Write, stderr, stdout},
};

/// Writes a line to standard error. What cannot be written is left out: no work ends for that.
pub fn tell(line: fmt::Arguments) {
    let _ = written(&mut stderr().lock(), line);
}

/// Writes a line of results to standard output. A reader that has gone has read enough.
///
/// # Errors
///
/// Every other failure, such as a full disk: the results are not where they were asked for.
pub fn show(line: fmt::Arguments) -> io::Result<()> {
    heard(written(&mut stdout().lock(), line))
}

/// At one go, so that lines of several threads do not mix.
fn written(sink: &mut dyn Write, line: fmt::Arguments) -> io::Result<()> {
    sink.write_all(format!("{line}\n").as_bytes())?;
    sink.flush()
}

fn heard(written: io::Result<()>) -> io::Result<()> {
    let named =
        |cause: io::Error| io::Error::new(cause.kind(), format!("standard output: {cause}"));
    match written {
        Err(cause) if is_gone(&cause) => Ok(()),
        other => other.map_err(named),
    }
}

/// Whether this tells of a closed pipe, or of a terminal whose connection has gone.
fn is_gone(cause: &io::Error) -> bool {
    const EIO: i32 = 5;
    let failed = cfg!(unix) && cause.raw_os_error() == Some(EIO);
    cause.kind() == ErrorKind::BrokenPipe || (failed && is_device())
}

/// Whether the standard output is a device, not a file whose disk fails.
#[cfg(unix)]
fn is_device() -> bool {
    use std::os::{fd::AsFd, unix::fs::FileTypeExt};
    let output = stdout().as_fd().try_clone_to_owned();
    let kind = output.and_then(|output| std::fs::File::from(output).metadata());
    kind.is_ok_and(|kind| kind.file_type().is_char_device())
}

#[cfg(not(unix))]
fn is_device() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
        let failed = |kind: ErrorKind| heard(Err(kind.into()));
        assert!(failed(ErrorKind::BrokenPipe).is_ok());
        let said = failed(ErrorKind::StorageFull).unwrap_err().to_string();
        assert!(said.starts_with("standard output: "), "{said}");
    }

    #[test]
    fn a_line_ends() {
        let mut sink = Vec::new();
        written(&mut sink, format_args!("{} of {}", 1, 2)).unwrap();
        assert_eq!(sink, b"1 of 2\n");
    }
}
