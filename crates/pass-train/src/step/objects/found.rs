//! The objects of a split in one row file.
//!
//! A row is an object: the number of its picture, its embedding, then its scores, row-major. A picture on
//! which nothing stood out has one row all the same: the embedding of its whole map, and scores below 0.

use std::{ops::Range, path::Path};

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
}

impl MapShape {
    /// Values of a row.
    pub(super) fn columns(&self) -> usize {
        1 + self.channels + self.height * self.width
    }
}

/// The rows of a picture, with what was found on its map.
pub(super) fn record(picture: usize, map: ArrayView3<f32>, found: Vec<Object>) -> Vec<f32> {
    let (height, width, _) = map.dim();
    let row = |embedding: Vec<f32>, score: &Array2<f32>| {
        // Exact up to sixteen million pictures.
        let mut row = vec![picture as f32];
        row.extend(embedding);
        row.extend(score);
        row
    };
    if found.is_empty() {
        let score = Array2::ones((height, width));
        let whole = embedding(map, &Object { score });
        return row(whole, &Array2::from_elem((height, width), ABSENT));
    }
    let rows = found
        .iter()
        .map(|object| row(embedding(map, object), &object.score));
    rows.flatten().collect()
}

/// The picture of a row.
pub(super) fn picture_of(row: &[f32]) -> usize {
    row[0] as usize
}

/// The objects of each of so many pictures, from the rows of all of them.
pub(super) fn split_rows(rows: &[f32], shape: &MapShape, pictures: usize) -> Vec<Vec<Found>> {
    let mut found: Vec<Vec<Found>> = (0..pictures).map(|_| Vec::new()).collect();
    for row in rows.chunks(shape.columns()) {
        let object = Found::of_row(row.to_vec(), shape);
        if object.is_there() {
            found[picture_of(row)].push(object);
        }
    }
    found
}

/// The objects of the pictures of a split.
#[derive(Debug)]
pub(super) struct Objects {
    file: RowFile,
    pub(super) shape: MapShape,
    /// Where the rows of each picture start, and last their number.
    starts: Vec<usize>,
}

/// An object of a picture.
pub(super) struct Found {
    /// Unit mean of the features over its cells.
    pub(super) embedding: Vec<f32>,
    /// `[height, width]`, above 0 where the object is.
    pub(super) score: Vec<f32>,
}

impl Found {
    fn of_row(mut row: Vec<f32>, shape: &MapShape) -> Self {
        let score = row.split_off(1 + shape.channels);
        let embedding = row.split_off(1);
        Self { embedding, score }
    }

    fn is_there(&self) -> bool {
        self.score.iter().any(|&score| score > 0.0)
    }
}

impl Objects {
    /// Opens the file of `pictures` pictures.
    ///
    /// # Errors
    ///
    /// A file that cannot be read; one that is not of these pictures.
    pub(super) fn open(path: &Path, shape: MapShape, pictures: usize) -> Result<Self, Error> {
        let file = RowFile::open(path)?;
        let damaged = |cause: String| Error::Damaged {
            path: path.into(),
            cause,
        };
        if file.columns() != shape.columns() {
            let (found, expected) = (file.columns(), shape.columns());
            return Err(damaged(format!("{found} columns, not {expected}")));
        }
        let starts = starts(&file)?;
        match starts.len() - 1 {
            found if found == pictures => Ok(Self {
                file,
                shape,
                starts,
            }),
            found => Err(damaged(format!(
                "objects of {found} pictures, not {pictures}"
            ))),
        }
    }

    /// Pictures.
    pub(super) fn pictures(&self) -> usize {
        self.starts.len() - 1
    }

    /// What was found on a picture, in the order in which it was found; maybe nothing.
    pub(super) fn of_picture(&self, picture: usize) -> Result<Vec<Found>, Error> {
        let rows = self.rows_of(picture).map(|row| self.row(row));
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        all.retain(Found::is_there);
        Ok(all)
    }

    /// The embeddings that are clustered: of all objects, and of the whole map of a picture on which
    /// nothing stood out.
    pub(super) fn embeddings(&self) -> Embeddings<'_> {
        Embeddings { of: self }
    }

    /// The first row of each picture.
    pub(super) fn firsts(&self) -> &[usize] {
        &self.starts[..self.pictures()]
    }

    /// How many objects there are, and how many pictures without any.
    pub(super) fn counts(&self) -> Result<(usize, usize), Error> {
        let found = (0..self.pictures()).map(|picture| Ok(self.of_picture(picture)?.len()));
        let found = found.collect::<Result<Vec<_>, Error>>()?;
        let without = found.iter().filter(|&&objects| objects == 0);
        Ok((found.iter().sum(), without.count()))
    }

    /// The share of the values of all embeddings that are negative, `0..=1`.
    pub(super) fn negative_share(&self) -> Result<f64, Error> {
        let rows = self.embeddings();
        let (mut row, mut negative) = (vec![0.0; rows.columns()], 0);
        for place in 0..rows.count() {
            rows.read(place, &mut row)?;
            negative += row.iter().filter(|value| **value < 0.0).count();
        }
        Ok(negative as f64 / (rows.count() * rows.columns()) as f64)
    }

    fn rows_of(&self, picture: usize) -> Range<usize> {
        self.starts[picture]..self.starts[picture + 1]
    }

    fn row(&self, row: usize) -> Result<Found, Error> {
        let mut values = vec![0.0; self.shape.columns()];
        self.file.read(row, &mut values)?;
        Ok(Found::of_row(values, &self.shape))
    }
}

/// Where the rows of each picture start, and last their number.
fn starts(file: &RowFile) -> Result<Vec<usize>, Error> {
    let mut row = vec![0.0; file.columns()];
    let mut starts = Vec::new();
    for place in 0..file.count() {
        file.read(place, &mut row)?;
        if picture_of(&row) == starts.len() {
            starts.push(place);
        }
    }
    starts.push(file.count());
    Ok(starts)
}

/// The embeddings of the objects of all pictures, one after the other.
pub(super) struct Embeddings<'a> {
    of: &'a Objects,
}

impl Rows for Embeddings<'_> {
    fn count(&self) -> usize {
        self.of.file.count()
    }

    fn columns(&self) -> usize {
        self.of.shape.channels
    }

    fn read(&self, first: usize, into: &mut [f32]) -> pixel_attention::error::Result<()> {
        let mut row = vec![0.0; self.of.shape.columns()];
        let columns = self.columns();
        for (place, into) in (first..).zip(into.chunks_mut(columns)) {
            self.of.file.read(place, &mut row)?;
            into.copy_from_slice(&row[1..=columns]);
        }
        Ok(())
    }
}
