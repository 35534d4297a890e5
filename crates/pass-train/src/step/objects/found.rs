//! The objects of a split in one row file.
//!
//! Every picture has the same number of rows, [`MapShape::most`]: each is the embedding of an object,
//! then its scores, row-major. The first row of a picture is always there: where nothing stood out it is
//! the embedding of the whole map with scores below 0. Rows of objects that there are not are 0 with
//! scores below 0.

use std::path::Path;

use ndarray::{Array2, ArrayView3};
use pixel_attention::{
    foreground::{Object, embedding},
    row_file::RowFile,
    rows::Rows,
};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The score of a cell where there is no object.
pub(super) const ABSENT: f32 = -1.0;

/// `find_objects/map.json`: what the rows hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MapShape {
    /// Rows of cells.
    pub(super) height: usize,
    /// Columns of cells.
    pub(super) width: usize,
    /// Values of an embedding.
    pub(super) channels: usize,
    /// Rows of a picture.
    pub(super) most: usize,
}

impl MapShape {
    /// Values of a row.
    pub(super) fn columns(&self) -> usize {
        self.channels + self.height * self.width
    }
}

/// The rows of a picture, with what was found on it.
pub(super) fn record(map: ArrayView3<f32>, found: Vec<Object>, shape: &MapShape) -> Vec<f32> {
    let size = (shape.height, shape.width);
    let of_whole = || {
        embedding(
            map,
            &Object {
                score: Array2::ones(size),
            },
        )
    };
    let mut objects = found.into_iter().take(shape.most);
    let mut rows = match objects.next() {
        Some(object) => row(embedding(map, &object), &object.score),
        None => row(of_whole(), &Array2::from_elem(size, ABSENT)),
    };
    for object in objects {
        rows.extend(row(embedding(map, &object), &object.score));
    }
    let absent = row(vec![0.0; shape.channels], &Array2::from_elem(size, ABSENT));
    while rows.len() < shape.most * shape.columns() {
        rows.extend(&absent);
    }
    rows
}

fn row(mut embedding: Vec<f32>, score: &Array2<f32>) -> Vec<f32> {
    embedding.extend(score);
    embedding
}

/// The objects of the pictures of a split.
#[derive(Debug)]
pub(super) struct Objects {
    file: RowFile,
    pub(super) shape: MapShape,
}

/// An object of a picture.
pub(super) struct Found {
    /// Unit mean of the features over its cells.
    pub(super) embedding: Vec<f32>,
    /// `[height, width]`, above 0 where the object is.
    pub(super) score: Vec<f32>,
}

impl Found {
    fn is_there(&self) -> bool {
        self.score.iter().any(|&score| score > 0.0)
    }
}

impl Objects {
    /// Opens the file of `pictures` pictures.
    pub(super) fn open(path: &Path, shape: MapShape, pictures: usize) -> Result<Self, Error> {
        let file = RowFile::open(path)?;
        let (expected, found) = (
            (pictures * shape.most, shape.columns()),
            (file.count(), file.columns()),
        );
        if expected != found {
            return Err(Error::Damaged {
                path: path.into(),
                cause: format!(
                    "{found:?} rows and columns for {pictures} pictures, not {expected:?}"
                ),
            });
        }
        Ok(Self { file, shape })
    }

    /// Pictures.
    pub(super) fn pictures(&self) -> usize {
        self.file.count() / self.shape.most
    }

    /// What was found on a picture, in the order in which it was found; maybe nothing.
    pub(super) fn of_picture(&self, picture: usize) -> Result<Vec<Found>, Error> {
        let first = picture * self.shape.most;
        let rows = (first..first + self.shape.most).map(|row| self.row(row));
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        all.retain(Found::is_there);
        Ok(all)
    }

    /// The embeddings that are clustered: those of all objects, and that of the whole map of a picture
    /// on which nothing stood out.
    pub(super) fn embeddings(&self) -> Result<Embeddings<'_>, Error> {
        let (mut rows, mut firsts) = (Vec::new(), Vec::new());
        for picture in 0..self.pictures() {
            firsts.push(rows.len());
            let first = picture * self.shape.most;
            let others = self.of_picture(picture)?.len().saturating_sub(1);
            rows.extend(first..=first + others);
        }
        Ok(Embeddings {
            of: self,
            rows,
            firsts,
        })
    }

    /// How many objects there are, and how many pictures without any.
    pub(super) fn counts(&self) -> Result<(usize, usize), Error> {
        let (mut objects, mut without) = (0, 0);
        for picture in 0..self.pictures() {
            let found = self.of_picture(picture)?.len();
            objects += found;
            without += usize::from(found == 0);
        }
        Ok((objects, without))
    }

    fn row(&self, row: usize) -> Result<Found, Error> {
        let mut embedding = vec![0.0; self.shape.columns()];
        self.file.read(row, &mut embedding)?;
        let score = embedding.split_off(self.shape.channels);
        Ok(Found { embedding, score })
    }
}

/// The embeddings of the objects of all pictures, one after the other.
pub(super) struct Embeddings<'a> {
    of: &'a Objects,
    rows: Vec<usize>,
    /// The first row of each picture.
    pub(super) firsts: Vec<usize>,
}

impl Rows for Embeddings<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> usize {
        self.of.shape.channels
    }

    fn read(&self, first: usize, into: &mut [f32]) -> pixel_attention::error::Result<()> {
        let mut row = vec![0.0; self.of.shape.columns()];
        let columns = self.columns();
        for (&place, into) in self.rows[first..].iter().zip(into.chunks_mut(columns)) {
            self.of.file.read(place, &mut row)?;
            into.copy_from_slice(&row[..columns]);
        }
        Ok(())
    }
}
