//! Clusters of the training pictures with their concentrations: the prototypes of PCL (Li et al. 2021,
//! <https://arxiv.org/abs/2005.04966>, §3.3). They hold for an epoch.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::{
    loss::concentrations,
    method::Clusters,
    normalize::l2_normalize,
    queue::{MemoryError, named},
};

/// One clustering: prototypes, each divided by its concentration, and the cluster of each picture.
#[derive(Clone, Debug)]
pub struct PrototypeTable {
    /// `[K, dim]`
    prototypes: Tensor<2>,
    assignments: Vec<usize>,
}

impl PrototypeTable {
    /// The prototypes of a clustering of `rows`, whose concentrations have `temperature` as their mean.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[pictures, dim]`, of unit length
    pub fn new(rows: &Tensor<2>, clusters: Clusters, temperature: f64) -> Self {
        let Clusters {
            centroids,
            assignments,
        } = clusters;
        let [count, _] = centroids.dims();
        let centroids = centroids.inner();
        let own = centroids.clone().select(0, numbers(&assignments, rows));
        let distances = (rows.clone().inner() - own).square().sum_dim(1).sqrt();
        let distances: Vec<f64> = distances.into_data().iter().collect();
        let phi = concentrations(&distances, &assignments, count, temperature);
        let phi: Vec<f32> = phi.into_iter().map(|phi| phi as f32).collect();
        let phi = Tensor::from_data(TensorData::new(phi, [count, 1]), &centroids.device());
        Self {
            prototypes: l2_normalize(centroids, 1) / phi,
            assignments,
        }
    }

    /// Clusters.
    pub fn clusters(&self) -> usize {
        self.prototypes.dims()[0]
    }

    /// The clusters of some pictures.
    ///
    /// # Panics
    ///
    /// If one of them was not clustered.
    pub fn clusters_of(&self, pictures: &[usize]) -> Vec<usize> {
        pictures.iter().map(|&it| self.assignments[it]).collect()
    }

    /// The prototypes of some clusters, `[clusters, dim]`, divided by their concentrations.
    pub fn prototypes_of(&self, clusters: &[usize]) -> Tensor<2> {
        let chosen = numbers(clusters, &self.prototypes);
        self.prototypes.clone().select(0, chosen)
    }

    /// So many different clusters that are none of `own`, drawn by the stream `number` of a seed.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn others(&self, own: &[usize], count: usize, [seed, number]: [u64; 2]) -> Vec<usize> {
        let own: BTreeSet<_> = own.iter().copied().collect();
        let mut others: Vec<_> = (0..self.clusters())
            .filter(|it| !own.contains(it))
            .collect();
        assert!(
            count <= others.len(),
            "{count} negatives of {} clusters that are nobody's own",
            others.len()
        );
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        for place in 0..count {
            let left = (others.len() - place) as u64;
            others.swap(place, place + (random.next_u64() % left) as usize);
        }
        others.truncate(count);
        others
    }

    /// Everything a checkpoint needs, under names that begin with `name`.
    pub fn to_tensors(&self, name: &str) -> BTreeMap<String, TensorData> {
        let [prototypes, assignments] = names(name);
        let clusters: Vec<i64> = self.assignments.iter().map(|&it| it as i64).collect();
        let pictures = clusters.len();
        BTreeMap::from([
            (prototypes, self.prototypes.to_data()),
            (assignments, TensorData::new(clusters, [pictures])),
        ])
    }

    /// What [`to_tensors`](Self::to_tensors) saved of a table of this shape, `[K, dim]`; none if there is
    /// none of that name.
    ///
    /// # Errors
    ///
    /// If a tensor has another shape or type, or a cluster has no prototype.
    pub fn restored(
        name: &str,
        tensors: &BTreeMap<String, TensorData>,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<Option<Self>, MemoryError> {
        let [prototypes, assignments] = names(name);
        let Some(saved) = tensors.get(&assignments) else {
            return Ok(None);
        };
        let pictures = saved.shape().num_elements();
        let prototypes = named(tensors, &prototypes, &shape, DType::F32)?;
        let clusters = named(tensors, &assignments, &[pictures], DType::I64)?;
        Ok(Some(Self {
            prototypes: Tensor::from_data(prototypes.clone(), device),
            assignments: known(clusters, shape[0])?,
        }))
    }
}

fn known(clusters: &TensorData, count: usize) -> Result<Vec<usize>, MemoryError> {
    let known = |cluster: i64| {
        let valid = usize::try_from(cluster).ok().filter(|it| *it < count);
        valid.ok_or(MemoryError::Cluster { cluster, count })
    };
    clusters.iter::<i64>().map(known).collect()
}

fn names(name: &str) -> [String; 2] {
    ["prototypes", "assignments"].map(|part| format!("{name}.{part}"))
}

fn numbers(of: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let of: Vec<i64> = of.iter().map(|&it| it as i64).collect();
    let count = of.len();
    Tensor::from_data(
        TensorData::new(of, [count]),
        &like.device().without_autodiff(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    /// Two pictures around each of two centroids of length one half, and an empty cluster.
    fn table() -> PrototypeTable {
        let device = Device::default();
        let rows: Tensor<2> =
            Tensor::from_floats([[0.6, 0.8], [0.6, -0.8], [-1.0, 0.0], [-0.6, 0.8]], &device);
        let clusters = Clusters {
            centroids: Tensor::from_floats([[0.5, 0.0], [-0.8, 0.4], [0.0, 0.5]], &device),
            assignments: vec![0, 0, 1, 1],
        };
        PrototypeTable::new(&rows, clusters, 0.2)
    }

    /// Distances √0.65 and √0.2, over ln 12; the third cluster takes the larger.
    #[test]
    fn prototypes_are_unit_vectors_over_their_concentrations() {
        let lengths = table().prototypes_of(&[0, 1, 2]).square().sum_dim(1).sqrt();
        let [far, near] = [0.65f32.sqrt(), 0.2f32.sqrt()];
        // Sorted: near, far, far. The tenth percentile lies a fifth of the way.
        let near = near + 0.2 * (far - near);
        let mean = (2.0 * far + near) / 3.0;
        let phi = [far, near, far].map(|raw| [mean / (0.2 * raw)]);
        assert_near(lengths, phi, [1e-5, 0.0]);
    }

    #[test]
    fn others_are_different_and_none_of_the_own() {
        let table = table();
        for number in 0..8 {
            let mut others = table.others(&[1, 1], 2, [3, number]);
            others.sort_unstable();
            assert_eq!(others, [0, 2]);
        }
        let one = |number| table.others(&[1], 1, [3, number]);
        assert!((0..8).any(|number| one(number) != one(8)));
        assert_eq!(one(2), one(2));
    }

    #[test]
    #[should_panic(expected = "2 negatives of 1 clusters")]
    fn more_negatives_than_clusters_are_a_bug() {
        table().others(&[0, 2], 2, [0, 0]);
    }

    #[test]
    fn a_restored_table_is_the_saved_one() {
        let (saved, device) = (table().to_tensors("t"), Device::default());
        let restored = PrototypeTable::restored("t", &saved, [3, 2], &device);
        let restored = restored.unwrap().unwrap();
        assert_eq!(restored.to_tensors("t"), saved);
        assert_eq!(restored.clusters_of(&[3, 0]), [1, 0]);
        let absent = PrototypeTable::restored("u", &saved, [3, 2], &device);
        assert!(absent.unwrap().is_none());
    }

    #[test]
    fn another_number_of_clusters_is_refused() {
        let mut saved = table().to_tensors("t");
        let refused = |saved: &_, shape| {
            let error = PrototypeTable::restored("t", saved, shape, &Device::default());
            error.unwrap_err().to_string()
        };
        let error = refused(&saved, [4, 2]);
        assert!(
            error.contains("[3, 2]") && error.contains("[4, 2]"),
            "{error}"
        );
        saved.insert("t.assignments".into(), TensorData::from([0i64, 3]));
        let error = refused(&saved, [3, 2]);
        assert!(error.contains("cluster 3 of 3"), "{error}");
    }
}
