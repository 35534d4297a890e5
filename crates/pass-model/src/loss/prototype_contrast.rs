//! ProtoNCE: each picture has to find the prototype of its cluster (PCL; Li et al. 2021,
//! <https://arxiv.org/abs/2005.04966>, §3.2 and §3.3).

use burn::tensor::{Tensor, assert_shape};

use super::info_nce::{log_sum_exp_of_products, paired_products};

/// Added to the members of a cluster in the logarithm, so that small ones do not look dense.
const SMOOTHING: f64 = 10.0;
/// Shares of the concentrations below and above which they are cut off.
const CUT_OFF: [f64; 2] = [0.1, 0.9];

/// Each query has to find the prototype of its picture's cluster among those of the batch and negative
/// ones; each product is divided by the concentration of its prototype. The mean over queries.
///
/// Two pictures of a cluster see their prototype once as their own and once as a negative. The gradient
/// flows into the queries only.
///
/// # Shapes
///
/// - `queries`: `[pictures, dim]`, of unit length
/// - `own`: `[pictures, dim]`, the prototype of each picture, divided by its concentration
/// - `negatives`: `[r, dim]`, other prototypes, divided by theirs
/// - output: `[1]`; `ln(pictures + r)` where all are alike
///
/// # Panics
///
/// If the shapes do not fit.
pub fn prototype_contrast(queries: Tensor<2>, own: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
    let [_, dim] = queries.dims();
    assert_shape!(negatives, [_, dim]);
    let positive = paired_products(queries.clone(), own.clone());
    (log_sum_exp_of_products(queries, &[own, negatives]) - positive).mean()
}

/// The concentration φ of each cluster: the mean distance of its members from the centroid over
/// `ln(members + 10)`; a cluster of at most one member gets the largest.
///
/// They are cut off at their 10th and 90th percentile, then scaled so that their mean is `temperature`.
/// In float64.
///
/// # Panics
///
/// If there is no cluster, or an assignment names none. If no cluster has two members, or all their
/// distances are zero, all get `temperature`.
pub fn concentrations(
    distances: &[f64],
    assignments: &[usize],
    clusters: usize,
    temperature: f64,
) -> Vec<f64> {
    let raw = raw_concentrations(distances, assignments, clusters);
    let mut sorted = raw.clone();
    sorted.sort_by(f64::total_cmp);
    let [least, most] = CUT_OFF.map(|share| percentile(&sorted, share));
    let cut: Vec<f64> = raw.iter().map(|phi| phi.clamp(least, most)).collect();
    let mean = cut.iter().sum::<f64>() / clusters as f64;
    match mean > 0.0 {
        true => cut.iter().map(|phi| temperature * phi / mean).collect(),
        false => vec![temperature; clusters],
    }
}

fn raw_concentrations(distances: &[f64], assignments: &[usize], clusters: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u64); clusters];
    for (distance, &cluster) in distances.iter().zip(assignments) {
        let (sum, members) = &mut sums[cluster];
        *sum += distance;
        *members += 1;
    }
    let of = |&(sum, members): &(f64, u64)| {
        let members = members as f64;
        (members > 1.0).then(|| sum / members / (members + SMOOTHING).ln())
    };
    let known: Vec<Option<f64>> = sums.iter().map(of).collect();
    let largest = known.iter().flatten().copied().fold(0.0, f64::max);
    known.iter().map(|phi| phi.unwrap_or(largest)).collect()
}

/// Between the two nearest of sorted numbers, linearly.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squared distances of five clusters; the second and the last have at most one member.
    const SQUARES: [&[f64]; 5] = [
        &[0.04, 0.09, 0.16],
        &[0.25],
        &[0.01, 0.01, 0.04, 0.09, 0.16],
        &[0.36, 0.49],
        &[],
    ];

    fn members() -> (Vec<f64>, Vec<usize>) {
        let each = SQUARES.iter().enumerate();
        each.flat_map(|(cluster, squares)| squares.iter().map(move |s| (s.sqrt(), cluster)))
            .unzip()
    }

    #[track_caller]
    fn assert_close(actual: &[f64], expected: &[f64]) {
        let far = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-7;
        let differ = actual.len() != expected.len() || actual.iter().zip(expected).any(far);
        assert!(!differ, "{actual:?} instead of {expected:?}");
    }

    #[test]
    fn concentrations_are_mean_distances_over_the_logarithm_of_members() {
        let (distances, assignments) = members();
        let raw = raw_concentrations(&distances, &assignments, 5);
        let largest = 0.261_579_24;
        assert_close(
            &raw,
            &[0.116_961_37, largest, 0.081_239_26, largest, largest],
        );
        let mut sorted = raw;
        sorted.sort_by(f64::total_cmp);
        let cut = CUT_OFF.map(|share| percentile(&sorted, share));
        assert_close(&cut, &[0.095_528_106_7, 0.261_579_242_8]);
    }

    #[test]
    fn they_are_cut_off_and_have_the_temperature_as_mean() {
        let (distances, assignments) = members();
        let phi = concentrations(&distances, &assignments, 5, 0.2);
        let largest = 0.262_306_56;
        assert_close(
            &phi,
            &[0.117_286_58, largest, 0.095_793_72, largest, largest],
        );
        assert!((phi.iter().sum::<f64>() / 5.0 - 0.2).abs() < 1e-12);
    }

    #[test]
    fn clusters_without_a_distance_have_the_temperature() {
        assert_eq!(concentrations(&[0.0, 0.0], &[1, 1], 3, 0.2), [0.2; 3]);
        assert_eq!(concentrations(&[0.3], &[0], 2, 0.2), [0.2; 2]);
    }
}
