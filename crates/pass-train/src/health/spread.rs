//! How far apart the embeddings of different pictures lie.
//!
//! Crops of two sizes, or two views of one size, may differ although all pictures are embedded alike.
//! So rows are compared in which the picture alone differs: those of one view.

use std::ops::Range;

use burn::tensor::Tensor;

/// Variances and means of a block of rows, by dimension: of one rank, or as means over ranks.
pub(super) const STATISTICS: usize = 3;

/// For each size of crops its blocks of rows in which the picture alone differs.
///
/// `crops` are the crops of each size; `rows` are those of a rank, crop-major. Where all ranks
/// together have one picture, the crops of a size make a block; where there is one of each, all do.
pub(super) fn blocks(crops: &[usize], rows: usize, ranks: usize) -> Vec<Vec<Range<usize>>> {
    let pictures = rows / crops.iter().sum::<usize>();
    let mut end = 0;
    let mut sizes: Vec<Vec<Range<usize>>> = Vec::with_capacity(crops.len());
    for &count in crops {
        let start = end;
        end += count * pictures;
        let step = match pictures * ranks {
            1 => count,
            _ => pictures,
        };
        let starts = (start..end).step_by(step.max(1));
        sizes.push(starts.map(|row| row..row + step).collect());
    }
    // A row alone has no spread.
    sizes.retain(|blocks| blocks.first().is_some_and(|block| block.len() * ranks > 1));
    if sizes.is_empty() {
        sizes.push(vec![Range {
            start: 0,
            end: rows,
        }]);
    }
    sizes
}

/// The statistics of each block of this rank's rows, one behind the other.
pub(super) fn statistics(embeddings: &Tensor<2>, blocks: &[Vec<Range<usize>>]) -> Vec<f64> {
    let of_block = |block: &Range<usize>| {
        let rows = embeddings.clone().inner();
        let [means, variances] = means_and_variances(&rows.narrow(0, block.start, block.len()));
        let squares = means.iter().map(|mean| mean * mean).collect();
        [variances, squares, means].concat()
    };
    blocks.iter().flatten().flat_map(of_block).collect()
}

/// The variances of the dimensions among the pictures of all ranks, of the size that has least of it;
/// over its views their mean. `statistics` are the means over ranks.
pub(super) fn least_variances(
    blocks: &[Vec<Range<usize>>],
    dim: usize,
    statistics: &[f64],
) -> Vec<f64> {
    let mut of_blocks = statistics.chunks_exact(STATISTICS * dim);
    let sizes = blocks.iter().map(|blocks| {
        let mut mean = vec![0.0; dim];
        for _ in blocks {
            let of_block = of_blocks.next().expect("as many as there are blocks");
            for (mean, variance) in mean.iter_mut().zip(variances_of_ranks(of_block, dim)) {
                *mean += variance / blocks.len() as f64;
            }
        }
        mean
    });
    let spread = |variances: &Vec<f64>| variances.iter().sum::<f64>();
    let least = sizes.min_by(|a, b| spread(a).total_cmp(&spread(b)));
    least.expect("there is a size")
}

/// The variances of the rows of all ranks.
fn variances_of_ranks(statistics: &[f64], dim: usize) -> impl Iterator<Item = f64> {
    let [within, squares, means] = [0, 1, 2].map(|part| &statistics[part * dim..(part + 1) * dim]);
    let between = squares
        .iter()
        .zip(means)
        .map(|(square, mean)| (square - mean * mean).max(0.0));
    within
        .iter()
        .zip(between)
        .map(|(within, between)| within + between)
}

/// The mean and the variance of each column over the rows.
pub(super) fn means_and_variances(rows: &Tensor<2>) -> [Vec<f64>; 2] {
    let means = rows.clone().mean_dim(0);
    let centred = rows.clone() - means.clone();
    [means, centred.powi_scalar(2).mean_dim(0)].map(|of| of.into_data().iter::<f64>().collect())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The spread of embeddings of two crops of one size and one of another, in two dimensions.
    fn spread(rows: &[[f32; 2]]) -> f64 {
        let tensor = Tensor::from_floats(
            burn::tensor::TensorData::new(rows.concat(), [rows.len(), 2]),
            &Device::default(),
        );
        let blocks = blocks(&[2, 1], rows.len(), 1);
        let statistics = statistics(&tensor, &blocks);
        least_variances(&blocks, 2, &statistics).iter().sum()
    }

    const A: [f32; 2] = [1.0, 0.0];
    const B: [f32; 2] = [0.0, 1.0];
    const C: [f32; 2] = [0.6, 0.8];

    #[test]
    fn sizes_and_views_that_differ_are_no_spread() {
        assert_eq!(spread(&[A, A, A, A, B, B]), 0.0);
        assert_eq!(spread(&[A, A, C, C, B, B]), 0.0);
        assert_eq!(
            spread(&[A, B, C, A, B, B]),
            0.0,
            "the small crops are alike"
        );
    }

    #[test]
    fn pictures_that_differ_in_some_view_of_each_size_are() {
        assert!((spread(&[A, B, C, C, B, A]) - 0.25).abs() < 1e-6);
        assert!((spread(&[A, B, A, B, B, A]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn one_picture_is_compared_by_its_crops() {
        assert_eq!(spread(&[A, A, B]), 0.0);
        assert!((spread(&[A, B, B]) - 0.5).abs() < 1e-6);
        let two_sizes = |ranks: usize| {
            let blocks = blocks(&[1, 1], 2, ranks);
            let ends = blocks
                .iter()
                .flatten()
                .map(|block| (block.start, block.end));
            ends.collect::<Vec<_>>()
        };
        assert_eq!(two_sizes(1), [(0, 2)]);
        assert_eq!(two_sizes(2), [(0, 1), (1, 2)]);
    }
}
