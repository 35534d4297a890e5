//! What a training step brings to the loop: a network, and what makes a loss of pictures.

use std::path::Path;

use burn::{module::Module, optim::GradientsParams, tensor::Tensor};

use crate::{Error, health::Vitals};

/// A picture's place in the training: what its random streams are keyed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Epoch, from 0.
    pub(crate) epoch: u64,
    /// Index among the training samples.
    pub(crate) index: usize,
}

/// Where the training stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Epoch, from 0.
    pub(crate) epoch: usize,
    /// Iteration over all epochs, from 0.
    pub(crate) iteration: usize,
    /// Iterations of the whole training.
    pub(crate) iterations: usize,
    /// Learning rate of this iteration.
    pub(crate) lr: f64,
}

/// Named loss terms of an iteration; the first is the one that is minimised.
pub(crate) type Terms = Vec<(&'static str, f64)>;

/// The loss of some pictures.
pub(crate) struct Loss {
    /// What is minimised, `[1]`.
    pub(crate) minimised: Tensor<1>,
    /// It and its terms as numbers.
    pub(crate) terms: Terms,
}

/// A network in training.
pub(crate) trait Trainee {
    /// What the loader makes of a picture.
    type Item: Send + 'static;
    /// The network.
    type Net: Module;

    /// What precedes the losses of a batch.
    fn begin(&mut self, _at: Position) {}

    /// The loss of a batch, or of an equal part of it. With `seen`, what this look is to tell.
    fn loss(&mut self, items: &[Self::Item], seen: Option<&mut Vitals>) -> Loss;

    /// Takes away the gradients that are not to be followed.
    fn restrain(&self, _gradients: &mut GradientsParams, _at: Position) {}

    /// Length of the queue, where the step has one.
    fn queue_length(&self) -> Option<usize> {
        None
    }

    /// Number of prototypes K, where their swapped prediction is to be learned.
    fn prototypes(&self) -> Option<usize> {
        None
    }

    /// The network as it stands.
    fn net(&self) -> &Self::Net;

    /// One step of the optimiser.
    fn update(&mut self, lr: f64, gradients: GradientsParams);

    /// What is to be logged after so many epochs; it must leave no trace in the training.
    fn after_epoch(&self, _epochs: usize) -> Result<Terms, Error> {
        Ok(Vec::new())
    }

    /// Writes all that the next iterations depend on into the folder.
    fn save(&self, dir: &Path) -> Result<(), Error>;

    /// Takes part in the [`Trainee::save`] of rank 0.
    fn contribute(&self) {}

    /// Takes up what [`Trainee::save`] wrote.
    fn restore(&mut self, dir: &Path) -> Result<(), Error>;
}
