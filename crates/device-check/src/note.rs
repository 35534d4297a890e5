//! What a computation left behind on one device, ready to compare.

use burn::tensor::TensorData;

/// What a number of a computation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A result of the forward pass or of an update.
    Value,
    /// The gradient of the objective with respect to an input or a weight.
    Gradient,
}

/// A tensor that was read back.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Nothing if no gradient arrived, which is a failure on either device.
    pub(crate) tensor: Option<Values>,
}

/// The numbers of a tensor.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Vec<f64>,
}

impl Values {
    pub(crate) fn read(data: &TensorData) -> Self {
        Self {
            shape: data.shape().to_vec(),
            numbers: data.iter::<f64>().collect(),
        }
    }

    /// Root of the mean square.
    pub(crate) fn size(&self) -> f64 {
        root_mean_square(self.numbers.iter().copied())
    }

    /// Root of the mean square of the difference; infinite when there is none to speak of.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        if self.shape != other.shape {
            return f64::INFINITY;
        }
        let differences = self.numbers.iter().zip(&other.numbers).map(|(a, b)| a - b);
        let distance = root_mean_square(differences);
        if distance.is_nan() {
            f64::INFINITY
        } else {
            distance
        }
    }
}

fn root_mean_square(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len().max(1) as f64;
    (numbers.map(|number| number * number).sum::<f64>() / count).sqrt()
}
