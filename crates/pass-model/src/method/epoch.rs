//! What a method may ask for before an epoch: embeddings of all training pictures, and their clusters.

use burn::tensor::Tensor;

/// What goes wrong before an epoch: an error of the trainer, or of the method itself.
pub type EpochError = Box<dyn std::error::Error + Send + Sync>;

/// The training pictures as they are, without augmentation. It does nothing unless it is asked.
pub trait Embed {
    /// How many pictures there are.
    fn count(&self) -> usize;

    /// What `encode` makes of each training picture, in the order of
    /// [`ViewBatch::pictures`](super::ViewBatch::pictures). Collective: each rank encodes its share,
    /// and gets all.
    ///
    /// # Shapes
    ///
    /// - `encode`: from `[batch, 3, side, side]`, normalised, to `[batch, D]`
    /// - output: `[pictures, D]`, without a gradient
    ///
    /// # Errors
    ///
    /// If a picture cannot be read.
    fn embed(
        &mut self,
        encode: &mut dyn FnMut(Tensor<4>) -> Tensor<2>,
    ) -> Result<Tensor<2>, EpochError>;

    /// k-means of rows, by the Euclidean distance. All ranks give the same rows and get the same
    /// clusters.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[N, D]`
    ///
    /// # Errors
    ///
    /// If there are fewer rows than clusters, or a number is not finite.
    fn k_means(
        &mut self,
        rows: Tensor<2>,
        settings: &KMeansSettings,
    ) -> Result<Clusters, EpochError>;
}

/// How rows are clustered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KMeansSettings {
    /// Clusters, K.
    pub clusters: usize,
    /// Iterations of each restart, at most.
    pub iterations: usize,
    /// Restarts, of which the best counts.
    pub restarts: usize,
    /// Keys the first centroids.
    pub seed: u64,
}

/// What k-means finds.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Means of the clusters, `[K, D]`, not normalised.
    pub centroids: Tensor<2>,
    /// The cluster of each row, in `0..K`.
    pub assignments: Vec<usize>,
}
