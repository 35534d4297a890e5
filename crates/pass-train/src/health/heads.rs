//! Whether a head of step 1 beside the image's embeds all pictures alike.

use std::{borrow::Cow, fmt};

use burn::tensor::Tensor;
use pass_model::{
    group::Group,
    method::{HeadOutput, HeadSignal},
    normalize::l2_normalize,
    queue::ASSIGNING_CROPS,
};

use super::spread::means_and_variances;

/// A head that may collapse by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name in the log.
    name: Cow<'static, str>,
    description: String,
}

/// How far the outputs of a head lie apart.
#[derive(Clone, Debug)]
pub(crate) struct HeadSpread {
    pub(crate) head: Head,
    /// Among the pictures of one view, as the spread of embeddings.
    pub(crate) spread: f64,
}

impl HeadSpread {
    /// The spread of what a head gave; nothing for a single picture. Collective.
    pub(crate) fn of(signal: &HeadSignal, ranks: &Group) -> Option<Self> {
        let spread = match &signal.output {
            HeadOutput::Maps(maps) => spread_of_maps(maps, ranks),
            HeadOutput::Embeddings(rows) => {
                among_pictures(&l2_normalize(rows.clone().inner(), 1), ranks)
            }
            HeadOutput::Scores { scores, dim } => spread_of_scores(scores, *dim, ranks),
        }?;
        let head = Head::new(signal.name.clone(), signal.description.clone());
        Some(Self { head, spread })
    }
}

impl Head {
    /// A head by its name in the log, and what it is.
    pub(super) fn new(name: impl Into<Cow<'static, str>>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
        }
    }

    /// The name of its spread in the log.
    pub(crate) fn measured(&self) -> String {
        format!("health/{}_spread", self.name)
    }

    /// Under which its collapse is told once.
    pub(crate) fn fault(&self) -> String {
        format!("collapsed_{}", self.name)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// Of vectors `[2 · b, D, height, width]`, place by place, the mean over the places. Nothing where all
/// ranks have one picture. Collective.
fn spread_of_maps(maps: &Tensor<4>, ranks: &Group) -> Option<f64> {
    let [rows, dim, height, width] = maps.dims();
    let places = height * width;
    let vectors = l2_normalize(maps.clone().inner(), 1).reshape([rows, dim * places]);
    Some(among_pictures(&vectors, ranks)? / places as f64)
}

/// Of embeddings of so many dimensions by their products with prototypes that are spread over the
/// sphere, `[2 · b, K]`. Collective.
fn spread_of_scores(scores: &Tensor<2>, dim: usize, ranks: &Group) -> Option<f64> {
    let prototypes = scores.dims()[1];
    let sum = among_pictures(&scores.clone().inner(), ranks)?;
    Some(sum * dim as f64 / prototypes as f64)
}

/// The variance over all columns together, of the two views the mean.
fn among_pictures(rows: &Tensor<2>, ranks: &Group) -> Option<f64> {
    let pictures = rows.dims()[0] / ASSIGNING_CROPS;
    let of_view =
        |view: usize| variance_of_ranks(&rows.clone().narrow(0, view * pictures, pictures), ranks);
    let several = pictures * ranks.size() > 1;
    several.then(|| (0..ASSIGNING_CROPS).map(of_view).sum::<f64>() / ASSIGNING_CROPS as f64)
}

/// The variance of the rows of all ranks, over all columns together: within ranks, and of their means.
fn variance_of_ranks(rows: &Tensor<2>, ranks: &Group) -> f64 {
    let [means, variances] = means_and_variances(rows);
    let square = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>();
    let own = vec![variances.iter().sum(), square(&means)];
    let mut shared = [own, means].concat();
    ranks.sum_f64(&mut shared);
    shared
        .iter_mut()
        .for_each(|sum| *sum /= ranks.size() as f64);
    let between = shared[1] - square(&shared[2..]);
    shared[0] + between.max(0.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use pass_model::group::Group;

    use super::*;

    #[test]
    fn maps_that_differ_by_view_and_place_alone_have_no_spread() {
        // Two pictures in two views, two dimensions, one row of two places.
        let map = |vectors: [[f32; 4]; 4]| {
            let rows = Tensor::<2>::from_floats(vectors, &Device::default());
            spread_of_maps(&rows.reshape([4, 2, 1, 2]), &Group::default()).unwrap()
        };
        let [a, b] = [[3.0, 0.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]];
        assert!(map([a, a, b, b]).abs() < 1e-6);
        assert!((map([a, b, b, a]) - 0.5).abs() < 1e-6);
        let one = Tensor::<4>::ones([2, 2, 1, 2], &Device::default());
        assert_eq!(spread_of_maps(&one, &Group::default()), None);
    }

    #[test]
    fn scores_tell_the_spread_of_what_they_are_products_of() {
        let scores = |rows: [[f32; 2]; 4]| {
            let scores = Tensor::<2>::from_floats(rows, &Device::default());
            spread_of_scores(&scores, 2, &Group::default()).unwrap()
        };
        let [a, b] = [[1.0, 0.0], [0.0, 1.0]];
        assert!(scores([a, a, b, b]).abs() < 1e-6);
        assert!((scores([a, b, a, b]) - 0.5).abs() < 1e-6);
    }
}
