//! The rule that labelled a run's pictures, on any other picture.

use burn::tensor::Device;
use image::RgbImage;
use imagenet_s::views::Normalization;
use pass_model::backbone::Backbone;
use pixel_attention::label_generation::FeatureLabels;

use super::{
    found::{Found, MapShape, split_rows},
    labels::Clusters,
    map_shape, records,
};
use crate::{
    Context, Error, Step,
    inference::{Shape, prepare, to_tensor},
    run_file::ObjectsSection,
    step::pretrain::pretrained_backbone,
    view_batch::normalization,
};

/// A frozen backbone, what finds objects on its map, and the clusters that they are named after.
pub struct ObjectModel {
    backbone: Backbone,
    section: ObjectsSection,
    shape: MapShape,
    clusters: Clusters,
    normalization: Normalization,
    device: Device,
}

impl ObjectModel {
    /// The threshold of [`FeatureLabels::to_mask`] below which a pixel of its labels is OTHER.
    pub const THRESHOLD: f32 = 0.0;

    /// That of a run of `cluster.way = "objects"`.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`] before step 2.2; a file that cannot be read.
    pub fn of_run(context: &Context) -> Result<Self, Error> {
        for step in [Step::FindObjects, Step::Cluster] {
            context.run.require(Step::Predict, step)?;
        }
        let section = context.file.objects.clone();
        let mut backbone = pretrained_backbone(context, &context.device)?;
        Ok(Self {
            shape: map_shape(&mut backbone, &section, &context.device)?,
            backbone,
            section,
            clusters: Clusters::of_run(context)?,
            normalization: normalization(&context.file),
            device: context.device.clone(),
        })
    }

    /// The labels of some pictures, of any sizes: those that `generate_labels` gives them, whatever other
    /// pictures they come with.
    ///
    /// # Errors
    ///
    /// Features that are not finite.
    pub fn label(&mut self, pictures: &[RgbImage]) -> Result<Vec<FeatureLabels>, Error> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let square = Shape::Square(self.section.size);
        let prepared = pictures.iter().enumerate();
        let prepared: Vec<_> = prepared
            .map(|(index, picture)| prepare(index, picture, square))
            .collect();
        let tensor = to_tensor(&prepared, &self.normalization, &self.device);
        let indices: Vec<usize> = (0..pictures.len()).collect();
        let rows = records(&mut self.backbone, &indices, tensor, &self.section)?;
        let found = split_rows(&rows, &self.shape, pictures.len());
        let label = |found: &Vec<Found>| self.clusters.label(found, &self.shape);
        found.iter().map(label).collect()
    }
}
