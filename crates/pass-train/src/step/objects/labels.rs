//! Labels of objects: each takes the nearest centroid, and is there where its score is above 0.

use imagenet_s::{
    Split,
    views::{Filter, resize_plane},
};
use luss_metrics::OTHER;
use ndarray::{Array2, ArrayView2};
use pixel_attention::{foreground::HalfWhitening, kmeans::assign, label_generation::FeatureLabels};

use super::{
    clustered::whitening,
    ensure_objects,
    found::{ABSENT, Found, MapShape, Objects},
};
use crate::{Context, Error};

/// Cells of labels along a cell of the map, as for the other ways.
const UPSAMPLING: usize = 4;

/// What labels the pictures of a split.
pub(crate) struct ObjectLabels {
    objects: Objects,
    whitening: HalfWhitening,
}

impl ObjectLabels {
    /// With the objects of a split, which are found now if they are not there.
    pub(crate) fn new(context: &Context, split: Split) -> Result<Self, Error> {
        Ok(Self {
            objects: ensure_objects(context, split)?,
            whitening: whitening(context)?,
        })
    }

    /// The labels of a picture. In place of the attention they have the greatest score, of which 0 is the
    /// threshold.
    pub(crate) fn of_picture(
        &self,
        picture: usize,
        centroids: ArrayView2<f32>,
    ) -> Result<FeatureLabels, Error> {
        let found = self.objects.of_picture(picture)?;
        let ids = self.ids(&found, centroids)?;
        let maps = found
            .iter()
            .map(|object| upsampled(object, &self.objects.shape));
        Ok(merged(&ids, maps, &self.objects.shape))
    }

    /// The id of each object, from 1.
    fn ids(&self, found: &[Found], centroids: ArrayView2<f32>) -> Result<Vec<u16>, Error> {
        let rows: Vec<f32> = found
            .iter()
            .flat_map(|of| self.whitening.apply(&of.embedding))
            .collect();
        let rows = Array2::from_shape_vec((found.len(), centroids.ncols()), rows);
        let clusters = assign(&rows.expect("a row an object").view(), centroids)?;
        let id = |cluster| u16::try_from(cluster + 1).expect("at most 999 clusters");
        Ok(clusters.into_iter().map(id).collect())
    }
}

fn upsampled(object: &Found, shape: &MapShape) -> Vec<f32> {
    let from = [shape.width, shape.height];
    resize_plane(
        &object.score,
        from,
        from.map(|side| UPSAMPLING * side),
        Filter::BICUBIC,
    )
}

/// Of every cell the object of the greatest score, the first of equals.
fn merged(ids: &[u16], maps: impl Iterator<Item = Vec<f32>>, shape: &MapShape) -> FeatureLabels {
    let [width, height] = [shape.width, shape.height].map(|side| UPSAMPLING * side);
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
