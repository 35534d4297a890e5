//! The evaluator: from pairs of masks to a [`Report`].

use serde::{Deserialize, Serialize};

use crate::{
    Areas, ClassScore, Error, LabelMask, Protocol, Report, SizeGroup, SizeScore,
    boundary::{boundary_map_under, boundary_thickness},
    counts::ImageCounts,
    f_measure::{FBeta, FBetaSum},
    image_accuracy::is_label_correct,
    iou::{all_labels, class_iou, mean_iou, mean_iou_of_true_labels},
    mask::check_pair,
    object_size::add_by_size,
};

/// Sums up pictures; [`Evaluator::report`] divides once, at the end.
///
/// All of its state is integers, so it is the same whatever the order of the pictures and however
/// they are split over evaluators that are [merged](Evaluator::merge): one for each thread, or
/// for each machine, its state stored with serde in between (in a format with 128-bit integers,
/// such as JSON).
///
/// # Cost
///
/// O(pixels) for each picture, whatever the number of classes and the boundary thickness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedEvaluator")]
pub struct Evaluator {
    protocol: Protocol,
    images: u64,
    images_with_correct_label: u64,
    f_beta: FBetaSum,
    areas: Areas,
    /// Indexed by [`SizeGroup`].
    sizes: [Areas; 4],
}

impl Evaluator {
    /// An evaluator without pictures.
    ///
    /// # Panics
    ///
    /// If the protocol fails [`Protocol::check`]; call that first on one that comes from a file.
    pub fn new(protocol: Protocol) -> Self {
        protocol.check().unwrap_or_else(|error| panic!("{error}"));
        Self {
            protocol,
            images: 0,
            images_with_correct_label: 0,
            f_beta: FBetaSum::default(),
            areas: Areas::new(protocol.classes),
            sizes: SizeGroup::ALL.map(|_| Areas::new(protocol.classes)),
        }
    }

    /// Adds one picture; the prediction holds class ids (see [`crate::Matching::apply`]).
    ///
    /// # Errors
    ///
    /// [`Error::SizeMismatch`] with both sizes, [`Error::PredictionOutOfRange`] or
    /// [`Error::TruthOutOfRange`] with the first stray id and its place. The evaluator is then
    /// unchanged.
    pub fn add(&mut self, prediction: &LabelMask, truth: &LabelMask) -> Result<(), Error> {
        check_pair(prediction, truth, self.protocol.classes)?;
        let image = self.count(prediction, truth);
        self.add_counts(&image);
        Ok(())
    }

    /// One picture's table, boundaries included.
    fn count(&self, prediction: &LabelMask, truth: &LabelMask) -> ImageCounts {
        let Protocol {
            boundary_ratio,
            boundary_ignore,
            ..
        } = self.protocol;
        let thickness_px = boundary_thickness(truth.width(), truth.height(), boundary_ratio);
        let boundary = |mask| boundary_map_under(boundary_ignore, mask, truth, thickness_px);
        let (of_truth, of_prediction) = (boundary(truth), boundary(prediction));
        ImageCounts::new(prediction, truth, |pixel| {
            (of_truth[pixel], of_prediction[pixel])
        })
    }

    /// Adds what was counted in one picture.
    fn add_counts(&mut self, image: &ImageCounts) {
        self.images += 1;
        self.images_with_correct_label += u64::from(is_label_correct(image));
        self.f_beta.add(FBeta::of(image));
        image.cells().iter().for_each(|cell| self.areas.add(cell));
        add_by_size(&mut self.sizes, image);
    }

    /// Adds the pictures of another evaluator, as if they had been added here.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the protocols differ; the evaluator is then unchanged.
    pub fn merge(&mut self, other: &Evaluator) -> Result<(), Error> {
        if self.protocol != other.protocol {
            let (ours, theirs) = (
                format!("{:?}", self.protocol),
                format!("{:?}", other.protocol),
            );
            return Err(Error::Unmergeable {
                what: "evaluators",
                ours,
                theirs,
            });
        }
        self.images += other.images;
        self.images_with_correct_label += other.images_with_correct_label;
        self.f_beta.merge(&other.f_beta);
        self.areas.merge(&other.areas);
        self.sizes
            .iter_mut()
            .zip(&other.sizes)
            .for_each(|(ours, theirs)| ours.merge(theirs));
        Ok(())
    }

    /// The settings.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Pictures added.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The exact pixel counts behind mIoU and boundary mIoU.
    pub fn areas(&self) -> &Areas {
        &self.areas
    }

    /// The exact pixel counts behind the scores of one size group.
    pub fn areas_of(&self, group: SizeGroup) -> &Areas {
        &self.sizes[group as usize]
    }

    /// All scores of the pictures added so far.
    pub fn report(&self) -> Report {
        let Protocol {
            classes,
            absent_class,
            ..
        } = self.protocol;
        let Areas { mask, boundary } = &self.areas;
        Report {
            protocol: self.protocol,
            images: self.images,
            miou: mean_iou(mask, all_labels(classes), absent_class),
            miou_without_other: mean_iou(mask, 1..classes + 1, absent_class),
            boundary_miou: mean_iou(boundary, all_labels(classes), absent_class),
            image_accuracy: self.images_with_correct_label as f64 / self.images.max(1) as f64,
            f_beta: self.f_beta.mean(self.images),
            sizes: SizeGroup::ALL.map(|group| size_score(group, self.areas_of(group))),
            per_class: all_labels(classes)
                .map(|class| class_score(class, &self.areas))
                .collect(),
        }
    }
}

fn size_score(group: SizeGroup, areas: &Areas) -> SizeScore {
    SizeScore {
        group,
        miou: mean_iou_of_true_labels(&areas.mask),
        boundary_miou: mean_iou_of_true_labels(&areas.boundary),
        classes: areas.mask.truth()[1..]
            .iter()
            .filter(|pixels| **pixels > 0)
            .count() as u64,
    }
}

fn class_score(class: u16, areas: &Areas) -> ClassScore {
    let label = usize::from(class);
    ClassScore {
        class,
        iou: class_iou(&areas.mask, class),
        boundary_iou: class_iou(&areas.boundary, class),
        truth_pixels: areas.mask.truth()[label],
        prediction_pixels: areas.mask.prediction()[label],
        intersection_pixels: areas.mask.intersection()[label],
    }
}

/// The stored form of an evaluator, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedEvaluator {
    protocol: Protocol,
    images: u64,
    images_with_correct_label: u64,
    f_beta: FBetaSum,
    areas: Areas,
    sizes: [Areas; 4],
}

impl TryFrom<UncheckedEvaluator> for Evaluator {
    type Error = Error;

    fn try_from(stored: UncheckedEvaluator) -> Result<Self, Error> {
        let UncheckedEvaluator {
            protocol,
            images,
            f_beta,
            areas,
            sizes,
            ..
        } = stored;
        let images_with_correct_label = stored.images_with_correct_label;
        protocol.check()?;
        areas.check(protocol.classes)?;
        sizes
            .iter()
            .try_for_each(|areas| areas.check(protocol.classes))?;
        Ok(Self {
            protocol,
            images,
            images_with_correct_label,
            f_beta,
            areas,
            sizes,
        })
    }
}

#[cfg(test)]
mod tests;
