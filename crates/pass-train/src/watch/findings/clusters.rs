//! Findings in the clusters: too few images for them, empty or crowded ones, restarts that disagree.

use super::{Advice, Found, ids, listed};
use crate::Step;

/// Fewer images than this in a cluster, in the mean, make no category.
const IMAGES_A_CLUSTER: usize = 10;

/// Mean NMI of restarts below which another seed would give other clusters.
const STABLE: f64 = 0.6;

/// In a number of images that are to be dealt out to so many clusters.
pub(crate) fn of_few_images(images: usize, clusters: usize) -> Option<Found> {
    let few = images < IMAGES_A_CLUSTER * clusters;
    few.then(|| {
        let what = format!(
            "{images} images for {clusters} clusters are fewer than {IMAGES_A_CLUSTER} each, of which no \
             categories can be learned"
        );
        Found::doubtful(Step::Cluster, what, Advice::FewerClasses)
    })
}

/// In the sizes of clusters, and in how far restarts agree (mean NMI); that images are few was known before.
pub(crate) fn of_clusters(sizes: &[usize], stability: Option<f64>) -> Vec<Found> {
    let images = sizes.iter().sum();
    of_empty_clusters(sizes)
        .into_iter()
        .chain(of_largest_cluster(sizes, images))
        .chain(of_instability(stability))
        .collect()
}

fn of_empty_clusters(sizes: &[usize]) -> Option<Found> {
    let empty = ids(sizes.iter().map(|&size| size == 0));
    let (count, all) = (empty.len(), sizes.len());
    (count > 0).then(|| {
        let what = format!(
            "{count} of {all} clusters hold no image ({}): too many images have the same embedding",
            listed("id", &empty)
        );
        Found::doubtful(Step::Cluster, what, Advice::FewerClasses)
    })
}

/// Where one holds more than half; of two clusters, more than three quarters.
fn of_largest_cluster(sizes: &[usize], images: usize) -> Option<Found> {
    let (cluster, &size) = sizes.iter().enumerate().max_by_key(|(_, size)| **size)?;
    let share = size as f64 / images.max(1) as f64;
    let most = f64::max(0.5, 1.5 / sizes.len() as f64);
    (share > most).then(|| {
        let mut others = sizes.to_vec();
        others.sort_unstable_by(|a, b| b.cmp(a));
        let what = format!(
            "cluster {} holds {size} of {images} images, {:.0} % ({}): most embeddings are nearly alike, \
             since the features tell little apart, or the images are alike",
            cluster + 1,
            100.0 * share,
            listed("sizes", &others)
        );
        Found::doubtful(Step::Cluster, what, Advice::LearnMore)
    })
}

fn of_instability(stability: Option<f64>) -> Option<Found> {
    let stability = stability.filter(|&nmi| nmi < STABLE)?;
    let what = format!(
        "restarts of k-means agree little (mean NMI {stability:.2}, of 1): another seed would find other \
         categories"
    );
    Some(Found::doubtful(Step::Cluster, what, Advice::FewerClasses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::findings::tests::assert_found;

    #[test]
    fn clusters_that_are_empty_crowded_or_too_many_are_found() {
        let of_sizes = |sizes: &[usize]| of_clusters(sizes, None);
        assert_found(&of_sizes(&[40, 30, 30]), &[]);
        assert_found(&of_sizes(&[60, 40]), &[]);
        assert_found(&of_sizes(&[100]), &[]);
        assert_found(
            of_few_images(24, 3).as_slice(),
            &["24 images for 3 clusters"],
        );
        assert_eq!(of_few_images(30, 3), None);
        assert_found(&of_sizes(&[8, 8, 8]), &[]);
        assert_found(
            &of_sizes(&[50, 0, 49, 0, 1]),
            &["2 of 5 clusters hold no image (id 2, 4)"],
        );
        let crowded = of_sizes(&[2, 95, 3]);
        assert_found(
            &crowded,
            &["cluster 2 holds 95 of 100 images, 95 % (sizes 95, 3, 2)"],
        );
        assert_found(&of_sizes(&[80, 20]), &["cluster 1 holds 80"]);
    }

    #[test]
    fn restarts_that_do_not_agree_are_found() {
        assert_found(&of_clusters(&[40, 30], Some(0.9)), &[]);
        let found = of_clusters(&[40, 30], Some(0.31));
        assert_found(&found, &["agree little (mean NMI 0.31"]);
    }
}
