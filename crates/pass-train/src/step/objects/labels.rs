//! Labels of objects: each takes the nearest centroid, and is there where its score is above 0.

use image::RgbImage;
use imagenet_s::{
    Split,
    views::{Filter, Region, resize_bilinear, resize_plane},
};
use luss_metrics::OTHER;
use ndarray::{Array2, ArrayView3};
use pixel_attention::{
    centroids::read_centroids,
    foreground::HalfWhitening,
    kmeans::assign,
    label_generation::FeatureLabels,
    refine::{CrfConfig, refine},
};

use serde::{Deserialize, Serialize};

use super::{
    clustered::whitening,
    ensure_objects,
    found::{ABSENT, Found, MapShape, Objects},
};
use crate::{Context, Error, RunDir};

/// Cells of labels along a cell of the map, as for the other ways.
const UPSAMPLING: usize = 4;

/// Pixels of the picture, as the backbone sees it, along a cell of refined labels.
const REFINED_STRIDE: u32 = 2;

/// The score from which on a cell belongs to an object.
pub(crate) const THRESHOLD: f32 = 0.0;

/// The clusters that objects are named after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clusters {
    whitening: HalfWhitening,
    /// `[categories, dimensions]`, row by row.
    centroids: Vec<Vec<f32>>,
}

impl Clusters {
    /// Those of a run that has found them.
    pub(super) fn of_run(run: &RunDir) -> Result<Self, Error> {
        let centroids = read_centroids(&run.unchanged(&run.centroids())?)?;
        Ok(Self {
            whitening: whitening(run)?,
            centroids: centroids.outer_iter().map(|row| row.to_vec()).collect(),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.centroids.len()
    }

    /// How like its cluster an object is, 0..=1: the cosine of embedding and centroid, or 0 where that is
    /// below. The mean over all objects, 0 without one, and over those of each id from 0 on.
    pub(super) fn confidence(&self, found: &[Found]) -> Result<(f64, Vec<Option<f64>>), Error> {
        let mut of_ids = vec![Vec::new(); self.count() + 1];
        let mut all = Vec::new();
        for (id, object) in self.ids(found)?.into_iter().zip(found) {
            let row = self.whitening.apply(&object.embedding);
            let confidence = cosine(&row, &self.centroids[usize::from(id) - 1]).max(0.0);
            of_ids[usize::from(id)].push(confidence);
            all.push(confidence);
        }
        let means = of_ids.iter().map(|values| mean(values)).collect();
        Ok((mean(&all).unwrap_or(0.0), means))
    }

    /// The labels of a picture with these objects. In place of the attention they have the greatest
    /// score, of which 0 is the threshold.
    pub(super) fn label(
        &self,
        found: &[Found],
        shape: &MapShape,
        edges: Option<Edges>,
    ) -> Result<FeatureLabels, Error> {
        let ids = self.ids(found)?;
        let size = match &edges {
            None => [shape.width, shape.height].map(|side| UPSAMPLING * side),
            Some(edges) => edges.cells(),
        };
        let maps: Vec<_> = found
            .iter()
            .map(|object| upsampled(object, shape, size))
            .collect();
        let maps = match &edges {
            None => maps,
            Some(edges) => edges.refine(maps),
        };
        Ok(merged(&ids, maps, size))
    }

    /// The id of each object, from 1.
    fn ids(&self, found: &[Found]) -> Result<Vec<u16>, Error> {
        let rows = found
            .iter()
            .flat_map(|object| self.whitening.apply(&object.embedding));
        let columns = self.whitening.dimensions();
        let matrix = |rows: Vec<f32>| {
            let shape = (rows.len() / columns, columns);
            Array2::from_shape_vec(shape, rows).expect("rows of one length")
        };
        let clusters = assign(
            &matrix(rows.collect()).view(),
            matrix(self.centroids.concat()).view(),
        )?;
        let id = |cluster| u16::try_from(cluster + 1).expect("at most 999 clusters");
        Ok(clusters.into_iter().map(id).collect())
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths > 0.0 {
        (product(a, b) / lengths).min(1.0)
    } else {
        0.0
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// What labels the pictures of a split.
pub(crate) struct ObjectLabels {
    objects: Objects,
    clusters: Clusters,
}

impl ObjectLabels {
    /// With the objects of a split, which are found now if they are not there.
    pub(crate) fn new(context: &Context, split: Split) -> Result<Self, Error> {
        Ok(Self {
            objects: ensure_objects(context, split)?,
            clusters: Clusters::of_run(&context.run)?,
        })
    }

    /// The labels of a picture.
    pub(crate) fn of_picture(
        &self,
        picture: usize,
        edges: Option<Edges>,
    ) -> Result<FeatureLabels, Error> {
        let found = self.objects.of_picture(picture)?;
        self.clusters.label(&found, &self.objects.shape, edges)
    }
}

/// A picture, as the backbone sees it, whose edges its labels follow.
pub(crate) struct Edges<'a> {
    pub(crate) picture: &'a RgbImage,
    pub(crate) crf: &'a CrfConfig,
}

impl Edges<'_> {
    /// Columns and rows of labels.
    fn cells(&self) -> [usize; 2] {
        let (width, height) = self.picture.dimensions();
        [width, height].map(|side| side.div_ceil(REFINED_STRIDE) as usize)
    }

    fn refine(&self, maps: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let [width, height] = self.cells();
        let whole = Region::whole(self.picture.width(), self.picture.height());
        let small = resize_bilinear(self.picture, whole, width as u32, height as u32);
        let rgb =
            ArrayView3::from_shape((height, width, 3), small.as_raw()).expect("three colours");
        let scores = maps.into_iter().map(|map| {
            Array2::from_shape_vec((height, width), map).expect("a score for each cell")
        });
        let refined = refine(rgb, &scores.collect::<Vec<_>>(), self.crf);
        refined
            .into_iter()
            .map(|map| map.into_iter().collect())
            .collect()
    }
}

fn upsampled(object: &Found, shape: &MapShape, to: [usize; 2]) -> Vec<f32> {
    let from = [shape.width, shape.height];
    resize_plane(&object.score, from, to, Filter::BICUBIC)
}

/// Of every cell the object of the greatest score, the first of equals.
fn merged(ids: &[u16], maps: Vec<Vec<f32>>, [width, height]: [usize; 2]) -> FeatureLabels {
    let mut labels = FeatureLabels {
        width,
        height,
        ids: vec![OTHER + 1; width * height],
        attention: vec![f32::NEG_INFINITY; width * height],
    };
    for (id, map) in ids.iter().zip(maps) {
        let cells = labels.ids.iter_mut().zip(&mut labels.attention);
        for ((cell, greatest), score) in cells.zip(map) {
            if score > *greatest {
                (*cell, *greatest) = (*id, score);
            }
        }
    }
    if ids.is_empty() {
        labels.attention.fill(ABSENT);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_goes_to_the_object_of_the_greatest_score() {
        let of = |ids: &[u16], scores: &[f32]| {
            let maps = scores.iter().map(|&score| vec![score; 16]);
            merged(ids, maps.collect(), [4, 4])
        };
        let labels = of(&[3, 7, 5], &[0.5, 2.0, 2.0]);
        assert_eq!((labels.ids[9], labels.attention[9]), (7, 2.0));
        assert_eq!(of(&[3], &[-2.0]).to_mask(1, 1, 0.0).labels(), [OTHER]);
        assert_eq!(of(&[], &[]).to_mask(1, 1, 0.0).labels(), [OTHER]);
    }

    /// The score ends two cells before or behind the dark half; refined, the labels end with it, give or take the
    /// cell in which both halves meet.
    #[test]
    fn refined_labels_end_where_the_picture_has_an_edge() {
        let dark = |x| image::Rgb([if x < 48 { 30 } else { 220 }; 3]);
        let (picture, crf) = (
            RgbImage::from_fn(80, 80, |x, _| dark(x)),
            CrfConfig::default(),
        );
        let edges = Edges {
            picture: &picture,
            crf: &crf,
        };
        let size = edges.cells();
        assert_eq!(size, [40, 40]);
        for end in [22, 26] {
            let map = (0..1600).map(|cell| if cell % 40 < end { 1.0 } else { -1.0 });
            let refined = merged(&[1], edges.refine(vec![map.collect()]), size);
            let mask = refined.to_mask(40, 40, THRESHOLD);
            for row in mask.labels().chunks(40) {
                let inside = row.iter().take_while(|id| **id == 1).count();
                assert!(inside.abs_diff(24) <= 1, "{end}: {row:?}");
                assert!(
                    row[inside..].iter().all(|id| *id == OTHER),
                    "{end}: {row:?}"
                );
            }
        }
    }
}
