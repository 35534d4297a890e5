//! Labels of objects: each takes the nearest centroid, and is there where its score is above 0.

use imagenet_s::{
    Split,
    views::{Filter, resize_plane},
};
use luss_metrics::OTHER;
use ndarray::Array2;
use pixel_attention::{
    centroids::read_centroids, foreground::HalfWhitening, kmeans::assign,
    label_generation::FeatureLabels,
};

use super::{
    clustered::whitening,
    ensure_objects,
    found::{ABSENT, Found, MapShape, Objects},
};
use crate::{Context, Error};

/// Cells of labels along a cell of the map, as for the other ways.
const UPSAMPLING: usize = 4;

/// The clusters that objects are named after.
pub(super) struct Clusters {
    whitening: HalfWhitening,
    centroids: Array2<f32>,
}

impl Clusters {
    /// Those of a run that has found them.
    pub(super) fn of_run(context: &Context) -> Result<Self, Error> {
        let centroids = context.run.unchanged(&context.run.centroids())?;
        Ok(Self {
            whitening: whitening(context)?,
            centroids: read_centroids(&centroids)?,
        })
    }

    /// The labels of a picture with these objects. In place of the attention they have the greatest
    /// score, of which 0 is the threshold.
    pub(super) fn label(&self, found: &[Found], shape: &MapShape) -> Result<FeatureLabels, Error> {
        let ids = self.ids(found)?;
        let maps = found.iter().map(|object| upsampled(object, shape));
        Ok(merged(&ids, maps, shape))
    }

    /// The id of each object, from 1.
    fn ids(&self, found: &[Found]) -> Result<Vec<u16>, Error> {
        let rows = found
            .iter()
            .flat_map(|object| self.whitening.apply(&object.embedding));
        let rows = Array2::from_shape_vec((found.len(), self.centroids.ncols()), rows.collect());
        let rows = rows.expect("a row an object");
        let clusters = assign(&rows.view(), self.centroids.view())?;
        let id = |cluster| u16::try_from(cluster + 1).expect("at most 999 clusters");
        Ok(clusters.into_iter().map(id).collect())
    }
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
            clusters: Clusters::of_run(context)?,
        })
    }

    /// The labels of a picture.
    pub(crate) fn of_picture(&self, picture: usize) -> Result<FeatureLabels, Error> {
        let found = self.objects.of_picture(picture)?;
        self.clusters.label(&found, &self.objects.shape)
    }
}

fn upsampled(object: &Found, shape: &MapShape) -> Vec<f32> {
    let from = [shape.width, shape.height];
    let to = from.map(|side| UPSAMPLING * side);
    resize_plane(&object.score, from, to, Filter::BICUBIC)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_goes_to_the_object_of_the_greatest_score() {
        let shape = MapShape {
            height: 1,
            width: 1,
            channels: 1,
        };
        let of = |ids: &[u16], scores: &[f32]| {
            let maps = scores.iter().map(|&score| vec![score; 16]);
            merged(ids, maps, &shape)
        };
        let labels = of(&[3, 7, 5], &[0.5, 2.0, 2.0]);
        assert_eq!((labels.ids[9], labels.attention[9]), (7, 2.0));
        assert_eq!(of(&[3], &[-2.0]).to_mask(1, 1, 0.0).labels(), [OTHER]);
        assert_eq!(of(&[], &[]).to_mask(1, 1, 0.0).labels(), [OTHER]);
    }
}
