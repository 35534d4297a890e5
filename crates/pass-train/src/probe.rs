//! The probe of step 1: do near embeddings belong to pictures of one class?
//!
//! The loss does not tell how good an embedding is. Where some pictures have labels, a k-NN vote
//! among them does. The number goes into the log and nowhere else: no weight, no threshold and no
//! choice of a checkpoint depends on it.

use std::sync::Arc;

use burn::{module::Module, tensor::Tensor};
use imagenet_s::{Sample, Split};
use pass_model::{
    backbone::Backbone,
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    precision::product,
};
use pixel_attention::distance_matching::{DistanceMatchingConfig, vote};

use crate::{
    Context, Error, run_file::ProbeSection, training::Terms, whole_pictures::WholePictures,
};

/// Labelled pictures that vote on each other's class.
pub(crate) struct Probe {
    pictures: WholePictures,
    /// The class of each, by its folder.
    classes: Vec<u16>,
    section: ProbeSection,
}

impl Probe {
    /// The probe that the run file asks for; none where it asks for none, or where fewer than two
    /// classes have labelled pictures: those of train-semi, else training pictures in folders.
    pub(crate) fn new(context: &Context) -> Option<Self> {
        let file = &context.file;
        let section = file.probe.clone();
        if section.every_epochs == 0 {
            return None;
        }
        let labelled = [Split::TrainSemi, Split::Train]
            .into_iter()
            .find_map(|split| {
                let samples = labelled(context.data.samples(split), section.pictures)?;
                Some((split, samples))
            });
        let Some((split, (samples, classes))) = labelled else {
            context.say("probe: left out, fewer than two classes have labelled pictures");
            return None;
        };
        let (count, name, every) = (samples.len(), split.name(), section.every_epochs);
        context.say(&format!(
            "probe: k-NN among {count} {name} pictures with labels every {every} epochs, for the \
             log alone"
        ));
        Some(Self {
            pictures: WholePictures::new(samples, file, context.device.clone()),
            classes,
            section,
        })
    }

    /// The share of pictures that the others vote into their class, where a probe is due after so
    /// many epochs; the backbone stays as it is.
    pub(crate) fn after_epoch(&self, backbone: &Backbone, epochs: usize) -> Result<Terms, Error> {
        if !epochs.is_multiple_of(self.section.every_epochs) {
            return Ok(Vec::new());
        }
        let embeddings = self.embeddings(backbone)?;
        let cosines = product(embeddings.clone(), embeddings.transpose());
        let cosines: Vec<f32> = cosines.into_data().iter::<f32>().collect();
        let accuracy = accuracy(&cosines, &self.classes, self.section.neighbours);
        Ok(vec![
            ("probe/knn".into(), accuracy),
            ("probe/chance".into(), share_of_commonest(&self.classes)),
        ])
    }

    /// Pooled features of stage 4, of unit length, `[pictures, channels]`.
    fn embeddings(&self, backbone: &Backbone) -> Result<Tensor<2>, Error> {
        // Without gradients, and a copy: moving statistics do not move.
        let mut backbone = backbone.valid();
        let mut rows = Vec::new();
        self.pictures
            .for_each_batch(0..self.pictures.count(), |pictures| {
                let features = backbone.forward(pictures, NormMode::Moving);
                rows.push(global_average_pool(features.into_last()));
                Ok(())
            })?;
        Ok(l2_normalize(Tensor::cat(rows, 0), 1))
    }
}

/// At most `most` samples, spread evenly over the list, and their classes; nothing unless there are
/// two classes.
fn labelled(samples: &[Sample], most: usize) -> Option<(Arc<[Sample]>, Vec<u16>)> {
    let count = samples.len().min(most);
    let chosen: Arc<[Sample]> = (0..count)
        .map(|i| samples[i * samples.len() / count].clone())
        .collect();
    let class = |sample: &Sample| u16::try_from(sample.folder?).ok();
    let classes: Vec<u16> = chosen.iter().map(class).collect::<Option<_>>()?;
    let several = classes.iter().any(|class| *class != classes[0]);
    several.then_some((chosen, classes))
}

/// The share of pictures whose class gets the vote of their `neighbours` nearest others, as in
/// distance matching.
///
/// # Shapes
///
/// - `cosines`: `[pictures, pictures]`
fn accuracy(cosines: &[f32], classes: &[u16], neighbours: usize) -> f64 {
    let config = DistanceMatchingConfig {
        neighbours,
        ..DistanceMatchingConfig::default()
    };
    let right = |(own, row): &(usize, &[f32])| {
        let mut row = row.to_vec();
        row[*own] = f32::NEG_INFINITY; // no neighbour of itself
        vote(&row, classes, &config) == Some(classes[*own])
    };
    let rows = cosines.chunks(classes.len()).enumerate();
    rows.filter(right).count() as f64 / classes.len() as f64
}

/// What always naming the commonest class would score.
fn share_of_commonest(classes: &[u16]) -> f64 {
    let count = |class: &u16| classes.iter().filter(|other| *other == class).count();
    let most = classes.iter().map(count).max().unwrap_or(0);
    most as f64 / classes.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on the circle, at these tenths of a turn.
    fn cosines(tenths: &[f64]) -> Vec<f32> {
        let turn = std::f64::consts::TAU / 10.0;
        let row = |a: &f64| {
            tenths
                .iter()
                .map(|b| ((a - b) * turn).cos() as f32)
                .collect()
        };
        tenths.iter().flat_map(|a| -> Vec<f32> { row(a) }).collect()
    }

    #[test]
    fn the_nearest_other_picture_decides_and_never_the_picture_itself() {
        // 0 and 0.2 are each other's nearest, and so are 5 and 5.1; 3 is nearest to 5.
        let points = cosines(&[0.0, 0.2, 3.0, 5.0, 5.1]);
        assert_eq!(accuracy(&points, &[0, 0, 1, 1, 1], 1), 1.0);
        assert_eq!(accuracy(&points, &[0, 0, 0, 1, 1], 1), 0.8);
        assert_eq!(accuracy(&points, &[0, 1, 2, 3, 4], 1), 0.0);
    }

    #[test]
    fn nearer_neighbours_weigh_more() {
        // Beside 0 lie one of its class and, much farther, two of the other.
        let points = cosines(&[0.0, 0.1, 2.0, 2.1]);
        assert_eq!(accuracy(&points, &[0, 0, 1, 1], 3), 1.0);
    }

    #[test]
    fn chance_is_the_share_of_the_commonest_class() {
        assert_eq!(share_of_commonest(&[2, 0, 2, 1]), 0.5);
    }
}
