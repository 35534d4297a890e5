//! The cluster centres on disk: `centroids.npy`, float32 `[clusters, D]`.
//!
//! The format is the one of the published PASS weights, so their centroids can be read.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use luss_metrics::IGNORE;
use ndarray::{Array2, ArrayView2};
use ndarray_npy::{ReadNpyError, ReadNpyExt, WriteNpyExt};

use crate::{
    error::{Error, Result},
    products::squared_norm,
};

/// Reads centroids: float32, or float64 rounded to float32.
///
/// # Errors
///
/// A file that cannot be read or is no such array, no rows or columns, more rows than label ids,
/// a row with NaN or infinity.
pub fn read_centroids(path: &Path) -> Result<Array2<f32>> {
    let centroids = match read_npy::<f32>(path)? {
        Ok(centroids) => centroids,
        Err(ReadNpyError::WrongDescriptor(_)) => {
            let doubles = read_npy::<f64>(path)?.map_err(|e| npy_error(path, e))?;
            doubles.mapv(|value| value as f32)
        }
        Err(error) => return Err(npy_error(path, error)),
    };
    let centroids = centroids.as_standard_layout().into_owned();
    match check_centroids(centroids.view()) {
        Err(error @ Error::NotFinite { .. }) => Err(Error::RowFile {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
        checked => checked.map(|()| centroids),
    }
}

/// Writes centroids as float32; the file appears whole or not at all.
///
/// # Errors
///
/// As [`read_centroids`], so that nothing is written that could not be read.
pub fn write_centroids(path: &Path, centroids: ArrayView2<f32>) -> Result<()> {
    check_centroids(centroids)?;
    let written = whole_file::write(path, |file| {
        let rows = centroids.as_standard_layout();
        rows.write_npy(file).map_err(io::Error::other)
    });
    written.map_err(|e| Error::io("write", path, e))
}

/// Whether the rows can name label ids: 1 to 999 finite rows.
pub(crate) fn check_centroids(centroids: ArrayView2<f32>) -> Result<()> {
    let (clusters, columns) = centroids.dim();
    if clusters == 0 || columns == 0 {
        let reason =
            format!("{clusters} rows of {columns} columns; at least one of each is needed");
        return Err(Error::Shape {
            what: "centroids",
            reason,
        });
    }
    if clusters >= usize::from(IGNORE) {
        return Err(Error::TooManyClusters { clusters });
    }
    let rows = centroids.as_standard_layout();
    let mut rows = rows.rows().into_iter();
    let bad = rows.position(|row| !squared_norm(row.to_slice().expect("standard")).is_finite());
    bad.map_or(Ok(()), |row| {
        Err(Error::NotFinite {
            what: "centroid",
            row,
        })
    })
}

type Read<T> = std::result::Result<Array2<T>, ReadNpyError>;

fn read_npy<T: ndarray_npy::ReadableElement>(path: &Path) -> Result<Read<T>> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    Ok(Array2::read_npy(BufReader::new(file)))
}

fn npy_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Npy {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("centroids.npy");
        let centroids = array![[0.25f32, -1.5, 3.0], [1e-30, 0.0, 7.5]];
        write_centroids(&path, centroids.view()).unwrap();
        assert_eq!(read_centroids(&path).unwrap(), centroids);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary is left"
        );
    }

    #[test]
    fn column_major_and_float64_arrays_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.npy");
        let centroids = array![[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let mut file = File::create(&path).unwrap();
        centroids
            .t()
            .as_standard_layout()
            .t()
            .write_npy(&mut file)
            .unwrap();
        let read = read_centroids(&path).unwrap();
        assert_eq!(read, centroids.mapv(|value| value as f32));
        assert!(read.is_standard_layout());
    }

    #[test]
    fn a_file_that_is_no_float_matrix_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.npy");
        assert!(matches!(
            read_centroids(&path),
            Err(Error::Io { action: "read", .. })
        ));
        std::fs::write(&path, b"not an array").unwrap();
        assert!(matches!(read_centroids(&path), Err(Error::Npy { .. })));
        ndarray::arr1(&[1.0f32, 2.0])
            .write_npy(File::create(&path).unwrap())
            .unwrap();
        assert!(matches!(read_centroids(&path), Err(Error::Npy { .. })));
        array![[1i64, 2]]
            .write_npy(File::create(&path).unwrap())
            .unwrap();
        assert!(matches!(read_centroids(&path), Err(Error::Npy { .. })));
    }

    #[test]
    fn centroids_that_become_infinite_are_refused_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.npy");
        let double = array![[1.0f64, 2.0], [1e300, 0.0]];
        double.write_npy(File::create(&path).unwrap()).unwrap();
        let said = read_centroids(&path).unwrap_err().to_string();
        assert!(
            said.contains("c.npy") && said.contains("centroid 1"),
            "{said}"
        );
    }

    #[test]
    fn rows_that_cannot_name_labels_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.npy");
        let write = |centroids: Array2<f32>| write_centroids(&path, centroids.view());
        assert!(matches!(
            write(Array2::zeros((0, 3))),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            write(Array2::zeros((3, 0))),
            Err(Error::Shape { .. })
        ));
        let many = write(Array2::zeros((1000, 2)));
        assert!(matches!(
            many,
            Err(Error::TooManyClusters { clusters: 1000 })
        ));
        assert!(write(Array2::zeros((999, 2))).is_ok());
        let error = write(array![[1.0, 2.0], [f32::NAN, 0.0]]);
        assert!(matches!(error, Err(Error::NotFinite { row: 1, .. })));
    }
}
