//! Whether a head of step 1 beside the image's embeds all pictures alike.

use std::fmt;

use burn::tensor::Tensor;
use pass_model::{normalize::l2_normalize, queue::ASSIGNING_CROPS, ranks::Ranks};

use super::spread::means_and_variances;

/// A head that may collapse by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Head {
    /// The projector of P2P.
    P2p,
    /// The momentum encoder of PASS_p with its projector.
    Consistency,
    /// That of D2S on this stage.
    D2s(usize),
}

/// How far the outputs of a head lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSpread {
    pub(crate) head: Head,
    /// Among the pictures of one view, as the spread of embeddings.
    pub(crate) spread: f64,
}

impl Head {
    /// Its name in the log.
    pub(crate) fn measured(self) -> &'static str {
        match self {
            Self::P2p => "health/p2p_spread",
            Self::Consistency => "health/consistency_spread",
            Self::D2s(1) => "health/d2s_1_spread",
            Self::D2s(2) => "health/d2s_2_spread",
            Self::D2s(_) => "health/d2s_3_spread",
        }
    }

    /// Under which its collapse is told once.
    pub(crate) fn fault(self) -> &'static str {
        match self {
            Self::P2p => "collapsed_p2p",
            Self::Consistency => "collapsed_consistency",
            Self::D2s(1) => "collapsed_d2s_1",
            Self::D2s(2) => "collapsed_d2s_2",
            Self::D2s(_) => "collapsed_d2s_3",
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::P2p => write!(f, "the projector of P2P (`pretrain.p2p_weight`)"),
            Self::Consistency => write!(
                f,
                "the momentum encoder of the consistency (`pretrain.consistency.weight`)"
            ),
            Self::D2s(stage) => write!(
                f,
                "the head of D2S on stage {stage} (`pretrain.shallow_weights`)"
            ),
        }
    }
}

/// Of vectors `[2 · b, D, height, width]`, place by place, the mean over the places. Nothing where all
/// ranks have one picture. Collective.
pub(crate) fn spread_of_maps(maps: &Tensor<4>, ranks: &dyn Ranks) -> Option<f64> {
    let [rows, dim, height, width] = maps.dims();
    let places = height * width;
    let vectors = l2_normalize(maps.clone().inner(), 1).reshape([rows, dim * places]);
    Some(among_pictures(&vectors, ranks)? / places as f64)
}

/// Of embeddings of so many dimensions by their products with prototypes that are spread over the
/// sphere, `[2 · b, K]`. Collective.
pub(crate) fn spread_of_scores(scores: &Tensor<2>, dim: usize, ranks: &dyn Ranks) -> Option<f64> {
    let prototypes = scores.dims()[1];
    let sum = among_pictures(&scores.clone().inner(), ranks)?;
    Some(sum * dim as f64 / prototypes as f64)
}

/// The variance over all columns together, of the two views the mean.
fn among_pictures(rows: &Tensor<2>, ranks: &dyn Ranks) -> Option<f64> {
    let pictures = rows.dims()[0] / ASSIGNING_CROPS;
    let of_view =
        |view: usize| variance_of_ranks(&rows.clone().narrow(0, view * pictures, pictures), ranks);
    let several = pictures * ranks.size() > 1;
    several.then(|| (0..ASSIGNING_CROPS).map(of_view).sum::<f64>() / ASSIGNING_CROPS as f64)
}

/// The variance of the rows of all ranks, over all columns together: within ranks, and of their means.
fn variance_of_ranks(rows: &Tensor<2>, ranks: &dyn Ranks) -> f64 {
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
    use pass_model::ranks::Solo;

    use super::*;

    #[test]
    fn maps_that_differ_by_view_and_place_alone_have_no_spread() {
        // Two pictures in two views, two dimensions, one row of two places.
        let map = |vectors: [[f32; 4]; 4]| {
            let rows = Tensor::<2>::from_floats(vectors, &Device::default());
            spread_of_maps(&rows.reshape([4, 2, 1, 2]), &Solo).unwrap()
        };
        let [a, b] = [[3.0, 0.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]];
        assert!(map([a, a, b, b]).abs() < 1e-6);
        assert!((map([a, b, b, a]) - 0.5).abs() < 1e-6);
        let one = Tensor::<4>::ones([2, 2, 1, 2], &Device::default());
        assert_eq!(spread_of_maps(&one, &Solo), None);
    }

    #[test]
    fn scores_tell_the_spread_of_what_they_are_products_of() {
        let scores = |rows: [[f32; 2]; 4]| {
            let scores = Tensor::<2>::from_floats(rows, &Device::default());
            spread_of_scores(&scores, 2, &Solo).unwrap()
        };
        let [a, b] = [[1.0, 0.0], [0.0, 1.0]];
        assert!(scores([a, a, b, b]).abs() < 1e-6);
        assert!((scores([a, b, a, b]) - 0.5).abs() < 1e-6);
    }
}
