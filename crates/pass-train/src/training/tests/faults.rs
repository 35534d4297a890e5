//! Planted faults: each is found within a stated number of iterations, with the right diagnosis.

use burn::{module::ParamId, tensor::Tensor};
use pass_model::{method::Memory, pretrain_net::PretrainNet};

use super::*;
use crate::health::Fault;

/// Iterations from one look to the next.
const LOOK: usize = 3;

/// The training of step 1 with a fault in it.
pub(super) struct Planted {
    pub(super) inner: Pretraining<Pass>,
    /// Iteration whose pictures are not numbers.
    poisoned: Option<usize>,
    /// What befalls the network before each batch.
    plant: fn(&mut PretrainNet),
    /// What the gradients of an iteration are multiplied with.
    factor: fn(usize) -> f64,
    iteration: usize,
}

impl Planted {
    /// Gradients multiplied with a factor that depends on the iteration.
    pub(super) fn with_factor(context: &Context, factor: fn(usize) -> f64) -> Self {
        Self {
            inner: pretraining(context).task,
            poisoned: None,
            plant: nothing,
            factor,
            iteration: 0,
        }
    }
}

impl Task for Planted {
    type Item = Views;
    type Net = PretrainNet;

    fn begin(&mut self, at: Position) {
        self.iteration = at.iteration;
        self.inner.begin(at);
        (self.plant)(self.inner.net_mut());
    }

    fn loss(&mut self, views: &[Views], seen: Option<&mut Vitals>) -> Loss {
        if self.poisoned != Some(self.iteration) {
            let loss = self.inner.loss(views, seen);
            return Loss {
                minimised: loss.minimised * (self.factor)(self.iteration),
                ..loss
            };
        }
        let mut batch = self.inner.batch(views);
        let groups = batch.groups.into_iter();
        batch.groups = groups.map(|crops| crops * f64::NAN).collect();
        self.inner.loss_of(batch, seen)
    }

    fn frozen(&self, at: Position) -> Vec<ParamId> {
        self.inner.frozen(at)
    }

    fn net(&self) -> &PretrainNet {
        self.inner.net()
    }

    fn net_mut(&mut self) -> &mut PretrainNet {
        self.inner.net_mut()
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        self.inner.memory()
    }
}

/// Trains with a fault and returns what was found, and in which iteration.
pub(super) fn found(
    poisoned: Option<usize>,
    plant: fn(&mut PretrainNet),
    change: impl FnOnce(&mut RunFile),
) -> (usize, Fault) {
    let root = tempfile::tempdir().unwrap();
    let look = format!("health.every_iterations={LOOK}");
    let mut context = open(root.path(), &["pretrain.epochs=10", &look]);
    change(&mut context.file);
    let planted = Planted {
        poisoned,
        plant,
        ..Planted::with_factor(&context, |_| 1.0)
    };
    let error = train_on_views(&context, &mut learner(planted, &context)).unwrap_err();
    println!("{error}");
    match error {
        Error::Unhealthy {
            iteration, fault, ..
        } => (iteration, fault),
        other => panic!("{other}"),
    }
}

/// A task with a fault in it, and the optimiser of the run.
pub(super) fn learner(planted: Planted, context: &Context) -> Learner<Planted> {
    Learner::new(planted, &context.file.pretrain.optim)
}

pub(super) fn nothing(_: &mut PretrainNet) {}

#[test]
fn a_batch_that_is_not_numbers_is_found_in_its_iteration() {
    let (iteration, fault) = found(Some(7), nothing, |_| ());
    assert!(
        matches!(fault, Fault::NotFinite { value, .. } if value.is_nan()),
        "{fault}"
    );
    assert_eq!(iteration, 7);
}

#[test]
fn a_zero_learning_rate_is_found_at_the_second_look() {
    let (iteration, fault) = found(None, nothing, |file| {
        file.pretrain.optim.base_lr = 0.0;
        file.pretrain.optim.final_lr = 0.0;
    });
    let right = |fault: &Fault| match fault {
        Fault::NothingMoves { lr, gradient_norm } => *lr == 0.0 && *gradient_norm > 0.0,
        _ => false,
    };
    assert!(right(&fault), "{fault}");
    assert!(fault.to_string().contains("base_lr"));
    assert_eq!(iteration, 2 * LOOK - 1);
}

#[test]
fn equal_prototypes_are_found_at_the_first_look() {
    let equal = |net: &mut PretrainNet| {
        net.prototypes.weight = net.prototypes.weight.clone().map(|weight| {
            let [count, _] = weight.dims();
            let first: Tensor<2> = weight.detach().narrow(0, 0, 1);
            first.repeat_dim(0, count).detach().require_grad()
        });
    };
    let (iteration, fault) = found(None, equal, |_| ());
    assert!(matches!(fault, Fault::EqualPrototypes { .. }), "{fault}");
    assert_eq!(iteration, LOOK - 1);
}

#[test]
fn a_collapsed_encoder_is_found_at_the_second_look() {
    let blind = |net: &mut PretrainNet| {
        let backbone = net.backbone.as_resnet_mut().unwrap();
        let weight = backbone.conv1.weight.clone();
        backbone.conv1.weight = weight.map(|weight| {
            let zeros: Tensor<4> = weight.detach().zeros_like();
            zeros.require_grad()
        });
    };
    let (iteration, fault) = found(None, blind, |_| ());
    assert!(matches!(fault, Fault::Collapsed { .. }), "{fault}");
    assert_eq!(iteration, 2 * LOOK - 1);
}

#[test]
fn a_healthy_training_raises_nothing_and_logs_what_it_sees() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "pretrain.epochs=8",
        "health.every_iterations=1",
        "checkpoints.iterations=23",
    ];
    let context = open(root.path(), &settings);
    let folder = context.run.step_dir(Step::Pretrain);
    train_on_views(&context, &mut pretraining(&context)).unwrap();
    let newest = Checkpoints::new(folder, &context.file.checkpoints)
        .newest_sound(|line| panic!("{line}"))
        .unwrap();
    let state = LoopState::restore(&newest.unwrap()).unwrap();
    assert_eq!(state.health, Default::default());

    let log = read_log(&root.path().join("log.jsonl")).unwrap();
    println!("first {:?}\nlast {:?}", log[0].values, log[23].values);
    assert_eq!(log.len(), 24);
    for record in &log {
        let value = |name: &str| record.values[&format!("health/{name}")];
        assert!(record.values.values().all(|value| value.is_finite()));
        assert!((1.0..=10.0).contains(&value("prototypes_used")));
        assert!((1.0..=10.0 + 1e-4).contains(&value("prototype_perplexity")));
        assert!((0.0..=1.0).contains(&value("no_overlap")));
        assert!(value("feature_spread") > 0.01 && value("prototype_spread") > 0.5);
        assert!(value("gradient_norm") > 0.0 && value("update_norm") > 0.0);
    }
}
