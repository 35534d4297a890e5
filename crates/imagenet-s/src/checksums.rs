//! MD5 sums of files, and lists of them as `md5sum` reads and writes them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use md5::{Digest, Md5};

use crate::error::Error;

/// Bytes read at a time.
const BLOCK: usize = 1 << 18;

/// The MD5 sum of these bytes, 32 lower-case hexadecimal digits.
pub fn md5_of(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes))
}

/// The MD5 sum of a file, read in blocks.
///
/// # Errors
///
/// [`Error::Io`].
pub fn md5_of_file(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut sum = Md5::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).map_err(Error::io(path))? {
            0 => return Ok(hexadecimal(&sum.finalize())),
            read => sum.update(&block[..read]),
        }
    }
}

/// Sums by path below a tree's root, with `/` between its parts.
///
/// The file is what `md5sum` writes, so `md5sum -c checksums.md5` in the root checks it too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums(BTreeMap<String, String>);

impl Checksums {
    /// Reads a list; an absent file is an empty list.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and [`Error::ChecksumLine`] for a line of another form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let parsed = |(line, text): (usize, &str)| {
            parse_line(text).ok_or_else(|| Error::ChecksumLine {
                path: path.to_owned(),
                line: line + 1,
            })
        };
        let sums = text.lines().enumerate().map(parsed);
        Ok(Self(sums.collect::<Result<_, _>>()?))
    }

    /// The list as text, sorted by path.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (path, sum) in &self.0 {
            writeln!(text, "{sum}  {path}").expect("a string takes all text");
        }
        text
    }

    /// Adds or replaces the sum of a path.
    pub fn insert(&mut self, path: String, sum: String) {
        self.0.insert(path, sum);
    }

    /// The sum of a path.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// All paths and sums, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, sum)| (path.as_str(), sum.as_str()))
    }
}

/// `SUM  PATH`, or `SUM *PATH` as `md5sum -b` writes.
fn parse_line(line: &str) -> Option<(String, String)> {
    let (sum, path) = line.split_once(' ')?;
    let path = path.strip_prefix([' ', '*'])?;
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_sum = sum.len() == 32 && sum.bytes().all(is_digit);
    is_sum.then(|| (path.to_owned(), sum.to_owned()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321, appendix A.5.
    #[test]
    fn sums_are_those_of_the_standard() {
        assert_eq!(md5_of(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_of(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn a_file_has_the_sum_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes = vec![7; BLOCK + 3];
        fs::write(&path, &bytes).unwrap();
        assert_eq!(md5_of_file(&path).unwrap(), md5_of(&bytes));
    }

    #[test]
    fn a_list_reads_back_sorted_and_an_absent_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        assert_eq!(Checksums::read(&path).unwrap(), Checksums::default());
        let mut sums = Checksums::default();
        sums.insert("b/ä b.png".to_owned(), md5_of(b"b"));
        sums.insert("a.png".to_owned(), md5_of(b"a"));
        fs::write(&path, sums.to_text()).unwrap();
        assert_eq!(Checksums::read(&path).unwrap(), sums);
        assert_eq!(sums.iter().next().unwrap().0, "a.png");
    }

    #[test]
    fn a_line_of_another_form_is_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, format!("{}  a\nxyz  b\n", md5_of(b"a"))).unwrap();
        let message = Checksums::read(&path).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
    }
}
