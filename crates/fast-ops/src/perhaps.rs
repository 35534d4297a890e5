//! A tensor that an operation can go without.

use burn::backend::{Backend, ExtensionType, tensor::FloatTensor};

/// `Option` where operations of backends take their tensors.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum Perhaps<B: Backend> {
    Given(FloatTensor<B>),
    Absent,
}

impl<B: Backend> Perhaps<B> {
    pub(crate) fn new(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Absent, Self::Given)
    }

    pub(crate) fn tensor(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}
