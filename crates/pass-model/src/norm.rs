//! Batch normalisation with explicit statistics.
//!
//! PASS needs three things that `burn::nn::BatchNorm` does not offer: norms without affine
//! parameters (the end of every projector), batch statistics on parameters that take no gradient
//! (pixel attention), and the unbiased running variance of the reference. Several processes can
//! share their statistics. Above all, the caller says which statistics to use ([`NormMode`]); no
//! device property and no hidden flag decides it.

use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Device, Tensor},
};
use fast_ops::{Normalized, batch_norm, batch_norm_of_ranks, batch_norm_train};

use crate::{group::Group, precision::widened};

/// Which statistics a forward pass normalises with.
#[derive(Debug, Clone, Copy)]
pub enum NormMode<'a> {
    /// Mean and variance of the batch; the moving ones are updated.
    Batch,
    /// Mean and variance of the batches of all ranks together, which are of one size; the moving
    /// ones are updated. With one rank the same as [`NormMode::Batch`], to the bit.
    Group(&'a Group),
    /// Mean and variance of each of so many equal parts of this rank's batch, for itself: what as many
    /// ranks would compute that share no statistics. The moving ones follow the first part of rank 0.
    Parts(usize, &'a Group),
    /// The moving mean and variance; nothing is updated.
    Moving,
}

/// Settings of [`BatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// Size of the input's second axis.
    pub channels: usize,
    /// Whether a learned scale and shift follow.
    pub affine: bool,
    /// Weight of the new batch in the moving statistics, in `0..=1`.
    pub momentum: f64,
    /// Added to the variance before the square root.
    pub epsilon: f64,
}

/// Batch normalisation over all axes but the second.
///
/// The moving statistics are parameters without gradient, so that they are saved, mapped and
/// moved with the module; a clone has its own copy.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Learned scale `[channels]`.
    pub gamma: Option<Param<Tensor<1>>>,
    /// Learned shift `[channels]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// Moving mean `[channels]`.
    pub running_mean: Param<Tensor<1>>,
    /// Moving unbiased variance `[channels]`.
    pub running_var: Param<Tensor<1>>,
    /// See [`BatchNormConfig::momentum`].
    pub momentum: f64,
    /// See [`BatchNormConfig::epsilon`].
    pub epsilon: f64,
}

impl BatchNormConfig {
    /// Affine, momentum 0.1, epsilon 1e-5.
    pub fn new(channels: usize) -> Self {
        Self {
            channels,
            affine: true,
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }

    /// The same without scale and shift.
    pub fn without_affine(self) -> Self {
        Self {
            affine: false,
            ..self
        }
    }

    /// Scale 1, shift 0, moving mean 0, moving variance 1.
    ///
    /// # Panics
    ///
    /// If there is no channel, or momentum or epsilon is out of range.
    pub fn init(&self, device: &Device) -> BatchNorm {
        assert!(self.channels > 0, "a norm needs at least one channel");
        assert!(
            (0.0..=1.0).contains(&self.momentum),
            "momentum {} not in 0..=1",
            self.momentum
        );
        assert!(self.epsilon > 0.0, "epsilon {} not positive", self.epsilon);
        let zeros = || Tensor::zeros([self.channels], (device, DType::F32));
        let ones = || Tensor::ones([self.channels], (device, DType::F32));
        BatchNorm {
            gamma: self.affine.then(|| Param::from_tensor(ones())),
            beta: self.affine.then(|| Param::from_tensor(zeros())),
            running_mean: Param::initialized(ParamId::new(), zeros()),
            running_var: Param::initialized(ParamId::new(), ones()),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }

    /// [`init`](Self::init) with scale 0.
    ///
    /// # Panics
    ///
    /// As [`init`](Self::init).
    pub fn init_at_zero(&self, device: &Device) -> BatchNorm {
        let zeros = Tensor::zeros([self.channels], (device, DType::F32));
        let gamma = self.affine.then(|| Param::from_tensor(zeros));
        BatchNorm {
            gamma,
            ..self.init(device)
        }
    }
}

impl BatchNorm {
    /// Normalises each channel, in float32.
    ///
    /// # Shapes
    ///
    /// - `input` and output: `[batch, channels, ..]`, rank 2 or more, of the same type
    ///
    /// # Panics
    ///
    /// If the channels differ, if the batch has no such parts, or if batch statistics meet a single
    /// value per channel, whose variance does not exist.
    pub fn forward<const D: usize>(&mut self, input: Tensor<D>, mode: NormMode) -> Tensor<D> {
        let channels = self.running_mean.dims()[0];
        assert_eq!(
            input.dims()[1],
            channels,
            "channels of the input and of the norm"
        );
        let dtype = input.dtype();
        self.normalized(widened(input), mode).cast(dtype)
    }

    fn normalized<const D: usize>(&mut self, input: Tensor<D>, mode: NormMode) -> Tensor<D> {
        let (gamma, beta) = self.scale_and_shift();
        match mode {
            NormMode::Moving => {
                let moving = [self.running_mean.val(), self.running_var.val()];
                batch_norm(input, [gamma, beta], moving, self.epsilon)
            }
            NormMode::Group(ranks) if ranks.size() > 1 => {
                let samples = ranks.size() * samples_of(&input);
                check_samples(samples);
                let mean = |own| ranks.sum_tensor(own) / ranks.size() as f64;
                let result = batch_norm_of_ranks(input, gamma, beta, self.epsilon, mean);
                self.updated(result, samples)
            }
            NormMode::Parts(parts, ranks) if parts * ranks.size() > 1 => {
                self.by_parts(input, [gamma, beta], parts, ranks)
            }
            NormMode::Batch | NormMode::Group(_) | NormMode::Parts(..) => {
                let samples = samples_of(&input);
                check_samples(samples);
                let result = batch_norm_train(input, gamma, beta, self.epsilon);
                self.updated(result, samples)
            }
        }
    }

    fn by_parts<const D: usize>(
        &mut self,
        input: Tensor<D>,
        [gamma, beta]: [Tensor<1>; 2],
        parts: usize,
        ranks: &Group,
    ) -> Tensor<D> {
        let batch = input.dims()[0];
        assert!(
            parts > 0 && batch.is_multiple_of(parts),
            "a batch of {batch} has no {parts} equal parts"
        );
        let samples = samples_of(&input) / parts;
        check_samples(samples);
        let results = input
            .chunk(parts, 0)
            .into_iter()
            .map(|part| batch_norm_train(part, gamma.clone(), beta.clone(), self.epsilon));
        let mut results: Vec<_> = results.collect();
        let outputs = results.iter().map(|result| result.output.clone()).collect();
        let first = results.swap_remove(0);
        self.updated(
            Normalized {
                output: Tensor::cat(outputs, 0),
                mean: of_first(first.mean, ranks),
                variance: of_first(first.variance, ranks),
            },
            samples,
        )
    }

    /// Without affine parameters: ones and zeros.
    fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let like = self.running_mean.val().detach();
        let gamma = self.gamma.as_ref().map(Param::val);
        let beta = self.beta.as_ref().map(Param::val);
        (
            gamma.unwrap_or_else(|| like.ones_like()),
            beta.unwrap_or_else(|| like.zeros_like()),
        )
    }

    /// The output, once the moving statistics follow those of a batch of `samples` values per channel.
    fn updated<const D: usize>(&mut self, result: Normalized<D>, samples: usize) -> Tensor<D> {
        let unbiased = result.variance * (samples as f64 / (samples - 1) as f64);
        blend(&mut self.running_mean, result.mean, self.momentum);
        blend(&mut self.running_var, unbiased, self.momentum);
        result.output
    }
}

/// Each column with mean 0 and variance 1 over the rows of all ranks, without moving statistics.
///
/// The gradient is that of one process with the rows of all. Collective.
///
/// # Shapes
///
/// - `rows` and output: `[rows, columns]`
///
/// # Panics
///
/// If there is one row on one rank.
pub fn standardized(rows: Tensor<2>, epsilon: f64, group: &Group) -> Tensor<2> {
    let [count, columns] = rows.dims();
    check_samples(count * group.size());
    let ones = Tensor::ones([columns], &rows.device());
    let zeros = ones.zeros_like();
    if group.size() == 1 {
        return batch_norm_train(rows, ones, zeros, epsilon).output;
    }
    let mean = |own| group.sum_tensor(own) / group.size() as f64;
    batch_norm_of_ranks(rows, ones, zeros, epsilon, mean).output
}

/// The values of rank 0, which take no gradient.
fn of_first(own: Tensor<1>, ranks: &Group) -> Tensor<1> {
    let own = own.detach();
    ranks.sum_of(match ranks.is_first() {
        true => own,
        false => own.zeros_like(),
    })
}

/// Values of each channel.
fn samples_of<const D: usize>(input: &Tensor<D>) -> usize {
    input.shape().num_elements() / input.dims()[1]
}

#[track_caller]
fn check_samples(samples: usize) {
    assert!(
        samples > 1,
        "batch statistics need more than one value per channel, not {samples}"
    );
}

/// `buffer ← (1 - momentum)·buffer + momentum·new`, outside of any graph.
fn blend(buffer: &mut Param<Tensor<1>>, new: Tensor<1>, momentum: f64) {
    let old = buffer.val().detach();
    let blended = old * (1.0 - momentum) + new.detach() * momentum;
    *buffer = Param::initialized(buffer.id, blended.detach());
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, TensorData, Tolerance};

    const SHAPE: [usize; 4] = [3, 5, 2, 7];

    #[track_caller]
    fn assert_close<const D: usize>(actual: Tensor<D>, expected: impl Into<TensorData>) {
        let expected = expected.into();
        actual
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-4));
    }

    fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-2.0, 3.0), device)
    }

    fn devices() -> [Device; 2] {
        [Device::default(), Device::default().autodiff()]
    }

    #[test]
    fn the_moving_variance_is_unbiased() {
        for device in devices() {
            let mut norm = BatchNormConfig::new(1).init(&device);
            norm.forward(
                Tensor::<2>::from_floats([[1.0], [3.0]], &device),
                NormMode::Batch,
            );
            assert_close(norm.running_mean.val(), [0.2f32]);
            assert_close(norm.running_var.val(), [1.1f32]); // .9·1 + .1·2; biased would give 1.0
        }
    }

    #[test]
    fn a_batch_normalised_by_itself_has_mean_zero_and_variance_one() {
        for device in devices() {
            let mut norm = BatchNormConfig::new(5).without_affine().init(&device);
            let y = norm.forward(random(SHAPE, &device), NormMode::Batch);
            let rows = y.swap_dims(0, 1).reshape([5, -1]);
            assert_close(rows.clone().mean_dim(1), [[0.0f32]; 5]);
            assert_close((rows.clone() * rows).mean_dim(1), [[1.0f32]; 5]);
        }
    }

    #[test]
    fn moving_mode_applies_and_keeps_the_moving_statistics() {
        for device in devices() {
            let mut norm = BatchNormConfig::new(2).without_affine().init(&device);
            norm.running_mean = norm
                .running_mean
                .map(|_| Tensor::from_floats([1.0, -1.0], &device));
            norm.running_var = norm
                .running_var
                .map(|_| Tensor::from_floats([4.0, 0.25], &device));
            let y = norm.forward(
                Tensor::<2>::from_floats([[3.0, 0.0], [1.0, -2.0], [0.0, -1.0]], &device),
                NormMode::Moving,
            );
            assert_close(y, [[1.0f32, 2.0], [0.0, -2.0], [-0.5, 0.0]]);
            assert_close(norm.running_mean.val(), [1.0f32, -1.0]);
        }
    }

    #[test]
    fn rank_two_and_rank_four_agree() {
        let device = Device::default();
        let x = random([6, 3], &device);
        let mut norm = BatchNormConfig::new(3).init(&device);
        let mut twin = norm.clone();
        let y = norm.forward(x.clone(), NormMode::Batch);
        let y4 = twin.forward(x.reshape([6, 3, 1, 1]), NormMode::Batch);
        assert_close(y4.reshape([6, 3]), y.into_data());
        assert_close(twin.running_var.val(), norm.running_var.val().into_data());
    }

    #[test]
    fn a_clone_keeps_its_statistics_when_the_original_trains() {
        let device = Device::default().autodiff();
        let mut norm = BatchNormConfig::new(5).init(&device);
        let clone = norm.clone();
        norm.forward(random(SHAPE, &device), NormMode::Batch);
        assert_close(clone.running_mean.val(), [0.0f32; 5]);
    }

    #[test]
    fn gradients_reach_input_and_affine_parameters_but_no_buffer() {
        let device = Device::default().autodiff();
        for mode in [NormMode::Batch, NormMode::Moving] {
            let mut norm = BatchNormConfig::new(5).init(&device);
            let x = random(SHAPE, &device).require_grad();
            let y = norm.forward(x.clone(), mode);
            let gradients = (y.clone() * y * x.clone().detach()).sum().backward();
            assert!(x.grad(&gradients).is_some());
            assert!(
                norm.gamma
                    .as_ref()
                    .unwrap()
                    .val()
                    .grad(&gradients)
                    .is_some()
            );
            assert!(norm.running_mean.val().grad(&gradients).is_none());
            assert!(!norm.running_var.is_require_grad());
        }
    }

    #[test]
    fn frozen_parameters_still_move_the_statistics() {
        let device = Device::default().autodiff();
        let mut norm = BatchNormConfig::new(5).init(&device).no_grad();
        let x = random(SHAPE, &device).require_grad();
        let gradients = norm
            .forward(x.clone(), NormMode::Batch)
            .powi_scalar(3)
            .sum()
            .backward();
        assert!(x.grad(&gradients).is_some());
        assert!(
            norm.gamma
                .as_ref()
                .unwrap()
                .val()
                .grad(&gradients)
                .is_none()
        );
        assert!(norm.running_mean.val().abs().sum().into_scalar::<f32>() > 0.0);
    }

    /// Each part alone, and the moving statistics of the first.
    #[test]
    fn parts_are_normalised_each_for_itself() {
        for device in devices() {
            let x = random([6, 5, 2, 3], &device);
            let mut norm = BatchNormConfig::new(5).init(&device);
            let mut alone = norm.clone();
            let y = norm.forward(x.clone(), NormMode::Parts(2, &Group::default()));
            let [first, second] = [0, 3].map(|row| x.clone().narrow(0, row, 3));
            let first = alone.forward(first, NormMode::Batch);
            assert_close(
                norm.running_mean.val(),
                alone.running_mean.val().into_data(),
            );
            assert_close(norm.running_var.val(), alone.running_var.val().into_data());
            let second = alone.forward(second, NormMode::Batch);
            assert_close(y, Tensor::cat(vec![first, second], 0).into_data());
        }
    }

    #[test]
    #[should_panic(expected = "a batch of 4 has no 3 equal parts")]
    fn unequal_parts_are_a_bug() {
        let device = Device::default();
        let mut norm = BatchNormConfig::new(2).init(&device);
        let rows = Tensor::<2>::zeros([4, 2], &device);
        norm.forward(rows, NormMode::Parts(3, &Group::default()));
    }

    #[test]
    #[should_panic(expected = "more than one value per channel")]
    fn one_sample_has_no_batch_statistics() {
        let device = Device::default();
        let mut norm = BatchNormConfig::new(4).init(&device);
        norm.forward(Tensor::<2>::zeros([1, 4], &device), NormMode::Batch);
    }
}
