//! The rule that labelled a run's pictures, on any other picture.

use burn::tensor::Device;
use imagenet_s::views::Normalization;
use pass_model::backbone::Backbone;
use pixel_attention::refine::CrfConfig;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    found::{MapShape, split_rows},
    labels::{Clusters, Edges, THRESHOLD},
    map_shape, records,
};
use crate::{
    Error, RunDir,
    apply::Labelled,
    inference::{Prepared, to_tensor},
    run_file::ObjectsSection,
};

/// How objects are found and what they are named after: all that decides labels beside backbone and pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRule {
    pub(crate) objects: ObjectsSection,
    clusters: Clusters,
}

impl ObjectRule {
    /// That of a run that has found its clusters.
    pub(crate) fn of_run(run: &RunDir, objects: ObjectsSection) -> Result<Self, Error> {
        let clusters = Clusters::of_run(run)?;
        Ok(Self { objects, clusters })
    }

    /// Categories without OTHER.
    pub(crate) fn categories(&self) -> usize {
        self.clusters.count()
    }
}

/// A frozen backbone, the rule, and how its labels follow the edges of a picture.
pub(crate) struct ObjectModel {
    backbone: Backbone,
    rule: ObjectRule,
    refine: Option<CrfConfig>,
    shape: MapShape,
    normalization: Normalization,
    device: Device,
}

impl ObjectModel {
    pub(crate) fn new(
        mut backbone: Backbone,
        rule: ObjectRule,
        refine: Option<CrfConfig>,
        normalization: Normalization,
        device: Device,
    ) -> Result<Self, Error> {
        Ok(Self {
            shape: map_shape(&mut backbone, &rule.objects, &device)?,
            backbone,
            rule,
            refine,
            normalization,
            device,
        })
    }

    /// The labels of pictures that are squares of the rule's size: those that `generate_labels` gives them,
    /// whatever other pictures they come with.
    pub(crate) fn label(&mut self, pictures: &[Prepared]) -> Result<Vec<Labelled>, Error> {
        let tensor = to_tensor(pictures, &self.normalization, &self.device);
        let indices: Vec<usize> = (0..pictures.len()).collect();
        let rows = records(&mut self.backbone, &indices, tensor, &self.rule.objects)?;
        let found = split_rows(&rows, &self.shape, pictures.len());
        let (clusters, shape) = (&self.rule.clusters, &self.shape);
        let refine = self.refine.as_ref();
        let each = pictures.par_iter().zip(&found).map(|(picture, found)| {
            let [width, height] = picture.original;
            let edges = refine.map(|crf| Edges {
                picture: &picture.pixels,
                crf,
            });
            let labels = clusters.label(found, shape, edges)?;
            let (confidence, of_ids) = clusters.confidence(found)?;
            Ok(Labelled {
                mask: labels.to_mask(width, height, THRESHOLD),
                confidence,
                of_ids,
            })
        });
        each.collect()
    }
}
