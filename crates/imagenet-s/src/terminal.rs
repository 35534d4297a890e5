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
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(named),
    }
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
