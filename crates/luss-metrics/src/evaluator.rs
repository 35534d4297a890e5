//! The evaluator: from pairs of masks to a [`Report`].

use serde::{Deserialize, Serialize};

use crate::{
    AbsentClass, Areas, ClassScore, Error, ImageCounts, MaskView, Protocol, Report, SizeGroup,
    SizeScore,
    counts::{
        checked::{check_at_most, check_limit, check_same, sum},
        image_counts::check_labels,
    },
    scores::{
        f_measure::{FBeta, FBetaSum},
        image_accuracy::is_label_correct,
        iou::{all_labels, class_iou, mean_boundary_iou, mean_iou, mean_iou_of_true_labels},
        object_size::add_by_size,
        pixel_accuracy::{
            all_accuracy, dice, frequency_weighted_iou, mean_accuracy, precision, recall,
        },
    },
};

/// Sums up pictures; [`Evaluator::report`] divides once, at the end.
///
/// All of its state is integers, so it is the same whatever the order of the pictures and however
/// they are split over evaluators that are [merged](Evaluator::merge): one for each thread, or
/// for each machine, its state stored with serde in between.
///
/// # Cost
///
/// O(pixels) for each picture, whatever the number of classes and the boundary thickness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedEvaluator")]
pub struct Evaluator {
    protocol: Protocol,
    images: u64,
    /// With a pixel that is not "other" in the truth or the prediction.
    images_with_foreground: u64,
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
            images_with_foreground: 0,
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
    /// [`Error::TruthOutOfRange`] with the first stray id and its place, or
    /// [`Error::PictureTooLarge`]. The evaluator is then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        let classes = self.protocol.classes;
        let image = ImageCounts::new(prediction, truth, classes, &self.protocol)?;
        self.add_times(&image, 1);
        Ok(())
    }

    /// Adds a picture that was counted before, under the same protocol; its predicted labels are
    /// class ids (see [`ImageCounts::matched`]).
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a label above the classes (predicted ones may be dropped, as
    /// the protocol says); the evaluator is then unchanged.
    pub fn add_counts(&mut self, image: &ImageCounts) -> Result<(), Error> {
        self.check_counts(image)?;
        self.add_times(image, 1);
        Ok(())
    }

    pub(crate) fn check_counts(&self, image: &ImageCounts) -> Result<(), Error> {
        let classes = self.protocol.classes;
        check_labels(image, self.protocol.largest_id(classes), classes)
    }

    /// Adds what was counted in one picture, as if it had been met `times` times.
    pub(crate) fn add_times(&mut self, image: &ImageCounts, times: u64) {
        let correct = is_label_correct(image, self.protocol.classes);
        self.images += times;
        self.images_with_foreground += u64::from(image.has_foreground()) * times;
        self.images_with_correct_label += u64::from(correct) * times;
        self.f_beta.add(FBeta::of(image), times);
        let cells = image.cells().iter();
        cells.for_each(|cell| self.areas.add(cell, times));
        add_by_size(&mut self.sizes, image, times);
    }

    /// Adds the pictures of another evaluator, as if they had been added here.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the protocols differ, [`Error::CountOverflow`] when a state was
    /// tampered with; the evaluator is then unchanged.
    pub fn merge(&mut self, other: &Evaluator) -> Result<(), Error> {
        let settings = |it: &Self| format!("{:?}", it.protocol);
        check_same("evaluators", settings(self), settings(other))?;
        let [s, ms, ml, l] = SizeGroup::ALL.map(|g| self.areas_of(g).sum(other.areas_of(g)));
        *self = Self {
            protocol: self.protocol,
            images: sum(self.images, other.images)?,
            images_with_foreground: sum(self.images_with_foreground, other.images_with_foreground)?,
            images_with_correct_label: sum(
                self.images_with_correct_label,
                other.images_with_correct_label,
            )?,
            f_beta: self.f_beta.sum(&other.f_beta),
            areas: self.areas.sum(&other.areas)?,
            sizes: [s?, ms?, ml?, l?],
        };
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
        let (mask, labels) = (&self.areas.mask, || self.protocol.labels());
        let pictures = self.scored_pictures();
        let correct = self.images_with_correct_label as f64;
        Report {
            protocol: self.protocol,
            images: self.images,
            miou: mean_iou(mask, labels(), absent_class),
            miou_without_other: mean_iou(mask, 1..classes + 1, absent_class),
            boundary_miou: mean_boundary_iou(&self.areas, labels(), absent_class),
            image_accuracy: pictures.map(|pictures| correct / pictures as f64),
            f_beta: pictures.map(|pictures| self.f_beta.mean(pictures)),
            aacc: all_accuracy(mask, labels()),
            macc: mean_accuracy(mask, labels()),
            fwiou: frequency_weighted_iou(mask, labels()),
            sizes: SizeGroup::ALL.map(|group| self.size_score(group)),
            per_class: all_labels(classes)
                .map(|class| class_score(class, &self.areas))
                .collect(),
        }
    }

    /// How many pictures a mean over pictures runs over; `None` when none has foreground.
    fn scored_pictures(&self) -> Option<u64> {
        let pictures = match self.protocol.absent_class {
            AbsentClass::Zero => self.images,
            AbsentClass::Skip => self.images_with_foreground,
        };
        (self.images_with_foreground > 0).then_some(pictures)
    }

    fn size_score(&self, group: SizeGroup) -> SizeScore {
        let (areas, labels) = (self.areas_of(group), || self.protocol.labels());
        let classes = areas.mask.truth()[1..].iter();
        SizeScore {
            group,
            miou: mean_iou_of_true_labels(&areas.mask, labels()),
            boundary_miou: mean_iou_of_true_labels(&areas.boundary, labels()),
            classes: classes.filter(|pixels| **pixels > 0).count() as u64,
        }
    }
}

fn class_score(class: u16, areas: &Areas) -> ClassScore {
    let label = usize::from(class);
    ClassScore {
        class,
        iou: class_iou(&areas.mask, class),
        boundary_iou: class_iou(&areas.boundary, class),
        precision: precision(&areas.mask, class),
        recall: recall(&areas.mask, class),
        dice: dice(&areas.mask, class),
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
    images_with_foreground: u64,
    images_with_correct_label: u64,
    f_beta: FBetaSum,
    areas: Areas,
    sizes: [Areas; 4],
}

impl TryFrom<UncheckedEvaluator> for Evaluator {
    type Error = Error;

    fn try_from(stored: UncheckedEvaluator) -> Result<Self, Error> {
        let classes = stored.protocol.classes;
        let (images, correct) = (stored.images, stored.images_with_correct_label);
        let foreground = stored.images_with_foreground;
        stored.protocol.check()?;
        check_limit(images)?;
        check_at_most("number of pictures with foreground", foreground, images)?;
        check_at_most("number of correct labels", correct, foreground)?;
        stored.f_beta.check(foreground)?;
        stored.areas.check(classes)?;
        stored
            .sizes
            .iter()
            .try_for_each(|areas| areas.check(classes))?;
        Ok(Self {
            protocol: stored.protocol,
            images,
            images_with_foreground: foreground,
            images_with_correct_label: correct,
            f_beta: stored.f_beta,
            areas: stored.areas,
            sizes: stored.sizes,
        })
    }
}

#[cfg(test)]
mod tests;
