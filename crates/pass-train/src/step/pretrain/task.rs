//! A method of step 1 as a task of the loop.

use burn::{module::ParamId, tensor::Device};
use imagenet_s::views::MultiCropConfig;
use pass_model::{
    group::Group,
    method::{self, Chance, Memory, Method, Position, ViewBatch},
    optim::ParameterGroup,
};

use super::before_epoch::{BeforeEpoch, own_error};
use crate::{
    Error,
    health::{Assigning, HeadSpread, Vitals},
    probe::Probe,
    ranks::mean_over,
    run_file::RunFile,
    training::{Loss, Task, Terms, numbers},
    view_batch::{Views, share_without_overlap, view_batch},
    whole_pictures::WholePictures,
};

/// The crops of the run file that a method looks at.
pub(super) fn views_of_method<M: Method>(file: &RunFile) -> MultiCropConfig {
    let views = &file.pretrain.views;
    M::CROPS.map_or_else(|| views.clone(), |crops| views.first(crops))
}

/// A method in training.
pub(crate) struct Pretraining<M> {
    pub(crate) method: M,
    pub(super) file: RunFile,
    device: Device,
    /// The crops that the method looks at.
    views: MultiCropConfig,
    /// The class of each training picture, for a method that asks for it.
    pub(super) labels: Vec<usize>,
    /// The training pictures as they are, for what precedes an epoch.
    pub(super) pictures: Option<WholePictures>,
    /// What tells how good the embeddings are, for the log.
    pub(crate) probe: Option<Probe>,
    /// The processes that train together.
    pub(crate) ranks: Group,
}

impl<M: Method> Pretraining<M> {
    /// A training on a device with gradients.
    pub(crate) fn new(method: M, file: &RunFile, device: Device) -> Self {
        Self {
            method,
            file: file.clone(),
            device,
            views: views_of_method::<M>(file),
            labels: Vec::new(),
            pictures: None,
            probe: None,
            ranks: Group::default(),
        }
    }

    /// What the method sees of some pictures.
    pub(crate) fn batch(&self, views: &[Views]) -> ViewBatch {
        let alignment = self.method.alignment();
        let mut batch = view_batch(views, &self.file, &self.views, alignment, &self.device);
        if self.method.wants_labels() {
            batch.labels = batch.pictures.iter().map(|&it| self.labels[it]).collect();
        }
        batch
    }

    /// The loss of a batch, and what a look at it shows.
    pub(crate) fn loss_of(&mut self, mut batch: ViewBatch, seen: Option<&mut Vitals>) -> Loss {
        batch.watched = seen.is_some();
        let method::Loss {
            total,
            terms,
            signals,
        } = self.method.loss(batch, &self.ranks);
        if let Some(seen) = seen {
            let ranks = &self.ranks;
            let heads = signals.heads.iter();
            seen.heads = heads
                .filter_map(|head| HeadSpread::of(head, ranks))
                .collect();
            let swapped = signals.swapped.as_ref();
            seen.assigning = swapped.map(|swapped| Assigning::of(swapped, ranks));
        }
        let all = std::iter::once(("total".into(), total.clone())).chain(terms);
        Loss {
            terms: numbers(all.collect()),
            minimised: total,
        }
    }
}

impl<M: Method> Task for Pretraining<M> {
    type Item = Views;
    type Net = M::Net;

    fn before_epoch(&mut self, at: Position) -> Result<(), Error> {
        let Some(pictures) = &self.pictures else {
            return Ok(());
        };
        let mut pictures = BeforeEpoch {
            pictures,
            device: &self.device,
            ranks: &self.ranks,
        };
        let begun = self.method.before_epoch(at, &mut pictures, &self.ranks);
        begun.map_err(own_error)
    }

    fn begin(&mut self, at: Position) {
        self.method.before_step(at, &self.ranks);
    }

    fn after_update(&mut self, at: Position) {
        self.method.after_update(at, &self.ranks);
    }

    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        self.method.parameter_groups()
    }

    fn loss(&mut self, views: &[Views], mut seen: Option<&mut Vitals>) -> Loss {
        let batch = self.batch(views);
        if let Some(seen) = seen.as_deref_mut() {
            let looks_at_overlap = self.method.alignment().is_some();
            let share = || mean_over(&self.ranks, share_without_overlap(views));
            seen.no_overlap = looks_at_overlap.then(share);
        }
        self.loss_of(batch, seen)
    }

    fn frozen(&self, at: Position) -> Vec<ParamId> {
        self.method.frozen(at)
    }

    fn net(&self) -> &M::Net {
        self.method.net()
    }

    fn net_mut(&mut self) -> &mut M::Net {
        self.method.net_mut()
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        self.method.memory()
    }

    fn chance(&self) -> Option<Chance> {
        self.method.chance()
    }

    fn after_epoch(&self, epochs: usize) -> Result<Terms, Error> {
        let probe = self.probe.as_ref();
        probe.map_or(Ok(Vec::new()), |probe| {
            probe.after_epoch(self.method.backbone(), epochs)
        })
    }
}

#[cfg(test)]
mod tests;
