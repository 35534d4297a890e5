//! What a training step brings to the loop: a network, and what makes a loss of pictures.

use std::borrow::Cow;

use burn::{
    module::{Module, ParamId},
    tensor::Tensor,
};
use pass_model::{
    method::{Chance, Memory},
    optim::ParameterGroup,
};

use crate::{Error, health::Vitals};

pub(crate) use pass_model::method::Position;

/// A picture's place in the training: what its random streams are keyed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Epoch, from 0.
    pub(crate) epoch: u64,
    /// Index among the training samples.
    pub(crate) index: usize,
}

/// Named loss terms of an iteration; the first is the one that is minimised.
pub(crate) type Terms = Vec<(Cow<'static, str>, f64)>;

/// The value of a loss.
pub(crate) fn number(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}

/// The values of some losses, each `[1]`, read in one go.
pub(crate) fn numbers(losses: Vec<(Cow<'static, str>, Tensor<1>)>) -> Terms {
    let (names, losses): (Vec<_>, Vec<_>) = losses.into_iter().unzip();
    let losses = losses.into_iter().map(Tensor::inner).collect();
    let values = Tensor::cat(losses, 0).into_data();
    names.into_iter().zip(values.iter::<f64>()).collect()
}

/// The loss of some pictures.
pub(crate) struct Loss {
    /// What is minimised, `[1]`.
    pub(crate) minimised: Tensor<1>,
    /// It and its terms as numbers.
    pub(crate) terms: Terms,
}

/// What the loop trains.
pub(crate) trait Task {
    /// What the loader makes of a picture.
    type Item: Send + 'static;
    /// The network.
    type Net: Module;

    /// What precedes the first batch of an epoch. A training that goes on within an epoch does not come
    /// here again.
    fn before_epoch(&mut self, _at: Position) -> Result<(), Error> {
        Ok(())
    }

    /// What precedes the losses of a batch.
    fn begin(&mut self, _at: Position) {}

    /// What follows the update of the network.
    fn after_update(&mut self, _at: Position) {}

    /// Parameters that the optimiser treats apart.
    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        Vec::new()
    }

    /// The loss of a batch, or of an equal part of it. With `seen`, what this look is to tell.
    fn loss(&mut self, items: &[Self::Item], seen: Option<&mut Vitals>) -> Loss;

    /// Parameters that keep still in this iteration.
    fn frozen(&self, _at: Position) -> Vec<ParamId> {
        Vec::new()
    }

    /// The network as it stands.
    fn net(&self) -> &Self::Net;

    /// The same.
    fn net_mut(&mut self) -> &mut Self::Net;

    /// What outlives an iteration beside the network.
    fn memory(&mut self) -> Option<&mut dyn Memory> {
        None
    }

    /// The term that tells whether anything is learned, and its value when nothing is.
    fn chance(&self) -> Option<Chance> {
        None
    }

    /// What is to be logged after so many epochs; it must leave no trace in the training.
    fn after_epoch(&self, _epochs: usize) -> Result<Terms, Error> {
        Ok(Vec::new())
    }
}
