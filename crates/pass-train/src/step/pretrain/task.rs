//! A method of step 1 as a task of the loop.

use burn::{module::ParamId, tensor::Device};
use pass_model::{
    group::Group,
    method::{self, Chance, Memory, Method, Position, ViewBatch},
};

use crate::{
    Error,
    health::{Assigning, HeadSpread, Vitals},
    probe::Probe,
    ranks::mean_over,
    run_file::RunFile,
    training::{Loss, Task, Terms, numbers},
    view_batch::{Views, share_without_overlap, view_batch},
};

/// A method in training.
pub(crate) struct Pretraining<M> {
    pub(crate) method: M,
    pub(super) file: RunFile,
    device: Device,
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
            probe: None,
            ranks: Group::default(),
        }
    }

    /// What the method sees of some pictures.
    pub(crate) fn batch(&self, views: &[Views]) -> ViewBatch {
        view_batch(views, &self.file, self.method.alignment(), &self.device)
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

    fn begin(&mut self, at: Position) {
        self.method.before_step(at, &self.ranks);
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
