//! Gradients of a batch that goes through the network in parts, and norms over a whole network.

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};

/// The gradient of the mean loss over equal parts of a batch.
pub(crate) struct Accumulation<M> {
    parts: usize,
    sum: GradientsAccumulator<M>,
    /// What losses are multiplied with, and gradients divided by: a power of 2.
    pub(crate) scale: Option<f64>,
}

impl<M: Module> Accumulation<M> {
    /// For a batch of `parts` equal parts.
    pub(crate) fn new(parts: usize) -> Self {
        Self {
            parts,
            sum: GradientsAccumulator::new(),
            scale: None,
        }
    }

    /// Adds the gradient of one part's loss.
    pub(crate) fn add(&mut self, loss: Tensor<1>, net: &M) {
        let share = if self.parts == 1 {
            loss
        } else {
            loss / self.parts as f64
        };
        let share = self.scale.map_or(share.clone(), |scale| share * scale);
        let gradients = GradientsParams::from_grads(share.backward(), net);
        self.sum.accumulate(net, gradients);
    }

    /// The gradient of the batch.
    pub(crate) fn gradients(&mut self, net: &M) -> GradientsParams {
        let gradients = self.sum.grads();
        let Some(scale) = self.scale else {
            return gradients;
        };
        let factor = scale.recip();
        let mut multiplied = Multiplied { gradients, factor };
        net.visit(&mut multiplied);
        multiplied.gradients
    }
}

/// The gradients but those of parameters that keep still.
pub(crate) fn without_frozen<M: Module>(
    net: &M,
    gradients: GradientsParams,
    frozen: &[ParamId],
) -> GradientsParams {
    if frozen.is_empty() {
        return gradients;
    }
    let mut thawed = Thawed { gradients, frozen };
    net.visit(&mut thawed);
    thawed.gradients
}

struct Thawed<'a> {
    gradients: GradientsParams,
    frozen: &'a [ParamId],
}

impl ModuleVisitor for Thawed<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if self.frozen.contains(&parameter.id) {
            self.gradients.remove::<D>(parameter.id);
        }
    }
}

/// Multiplies all gradients of a network.
struct Multiplied {
    gradients: GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Multiplied {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            let product = gradient * self.factor;
            self.gradients.register(parameter.id, product);
        }
    }
}

/// Euclidean norm of all gradients of `net` together.
pub(crate) fn gradient_norm<M: Module>(net: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = GradientSquares {
        gradients,
        sums: Vec::new(),
    };
    net.visit(&mut squares);
    root_of_sum(squares.sums)
}

/// Euclidean norms of the change from `before` to `after`, and of `after`, over what is trained.
pub(crate) fn update_and_weight_norm<M: Module>(before: &M, after: &M) -> [f64; 2] {
    let mut weights = Weights::default();
    before.visit(&mut weights);
    let mut changes = ChangeSquares {
        before: weights.flat.into_iter(),
        updates: Vec::new(),
        weights: Vec::new(),
    };
    after.visit(&mut changes);
    [changes.updates, changes.weights].map(root_of_sum)
}

/// One read-back for all of them.
fn root_of_sum(squares: Vec<Tensor<1>>) -> f64 {
    if squares.is_empty() {
        return 0.0;
    }
    let squares = Tensor::cat(squares, 0).into_data();
    squares.iter::<f64>().sum::<f64>().sqrt()
}

fn square_sum<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    tensor.powi_scalar(2).sum()
}

struct GradientSquares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for GradientSquares<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(parameter.id);
        self.sums.extend(gradient.map(square_sum));
    }
}

/// The trained parameters in the order of the fields.
#[derive(Default)]
struct Weights {
    flat: Vec<Tensor<1>>,
}

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if parameter.is_require_grad() {
            self.flat.push(parameter.val().inner().flatten(0, D - 1));
        }
    }
}

struct ChangeSquares {
    before: std::vec::IntoIter<Tensor<1>>,
    updates: Vec<Tensor<1>>,
    weights: Vec<Tensor<1>>,
}

impl ModuleVisitor for ChangeSquares {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if parameter.is_require_grad() {
            let before = self.before.next().expect("two states of one network");
            let after = parameter.val().inner().flatten(0, D - 1);
            self.updates.push(square_sum(after.clone() - before));
            self.weights.push(square_sum(after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{
        nn::{Linear, LinearConfig},
        tensor::Device,
    };

    fn net() -> Linear {
        let device = Device::default().autodiff();
        let mut net = LinearConfig::new(2, 1).init(&device);
        net.weight = net.weight.map(|_| {
            let weight = Tensor::<2>::from_floats([[3.0], [4.0]], &device);
            weight.require_grad()
        });
        net
    }

    fn loss(net: &Linear, rows: [[f32; 2]; 2]) -> Tensor<1> {
        let rows = Tensor::<2>::from_floats(rows, &net.weight.val().device());
        net.forward(rows).powi_scalar(2).mean()
    }

    fn weight_gradient(net: &Linear, gradients: &GradientsParams) -> Vec<f32> {
        let gradient = gradients.get::<2>(net.weight.id).unwrap();
        gradient.try_into_vec_as().unwrap()
    }

    /// By hand: the outputs y are 3, 4, 7 and 11, and the mean of their squares over the batch has the
    /// gradient 2/4 Σ y·x.
    #[test]
    fn the_gradient_of_the_parts_is_that_of_the_mean_over_the_batch() {
        let mut net = net();
        net.bias = None;
        let mut parts = Accumulation::new(2);
        parts.add(loss(&net, [[1.0, 0.0], [0.0, 1.0]]), &net);
        parts.add(loss(&net, [[1.0, 1.0], [1.0, 2.0]]), &net);
        assert_eq!(
            weight_gradient(&net, &parts.gradients(&net)),
            [(3.0 + 7.0 + 11.0) / 2.0, (4.0 + 7.0 + 22.0) / 2.0]
        );
    }

    #[test]
    fn a_scale_of_the_loss_is_not_seen_in_the_gradients() {
        let net = net();
        let [plain, scaled] = [None, Some(1024.0)].map(|scale| {
            let mut whole = Accumulation::new(1);
            whole.scale = scale;
            whole.add(loss(&net, [[0.3, 0.7], [1.1, -0.2]]), &net);
            weight_gradient(&net, &whole.gradients(&net))
        });
        assert_eq!(plain, scaled);
    }

    #[test]
    fn norms_are_those_of_all_parameters_together() {
        let mut net = net();
        net.bias = None;
        let mut whole = Accumulation::new(1);
        whole.add(loss(&net, [[1.0, 0.0], [0.0, 1.0]]), &net);
        assert_eq!(gradient_norm(&net, &whole.gradients(&net)), 5.0); // (3, 4)
        let mut moved = net.clone();
        moved.weight = moved.weight.map(|weight| weight.inner() * 3.0);
        moved.weight = moved.weight.map(|weight| weight.autodiff().require_grad());
        assert_eq!(update_and_weight_norm(&net, &moved), [10.0, 15.0]);
    }
}
