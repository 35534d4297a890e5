//! What step 1 can train.
//!
//! A [`Method`] wires a backbone, heads and losses; the trainer brings views, optimiser, ranks,
//! checkpoints, log and health. Losses are functions without a state. What outlives an iteration
//! beside the weights is a [`Memory`], which the trainer saves and restores.
//!
//! | method | file |
//! |---|---|
//! | PASS_s, PASS_p | [`pass`] |
//! | supervised training | [`supervised`] |
//! | SimSiam, BYOL | [`simsiam`], [`byol`] |
//! | SwAV | [`swav`] |
//! | PixPro | [`pixpro`] |
//! | SimCLR, MoCo v3 | [`simclr`], [`moco_v3`] |
//! | MoCo v2, AdCo | [`moco_v2`], [`adco`] |
//! | PCL, DenseCL | [`pcl`], [`densecl`] |
//! | Barlow Twins, VICReg | [`barlow_twins`], [`vicreg`] |
//! | DINO | [`dino`] |
//! | EMP-SSL | [`emp_ssl`] |

pub mod adco;
pub mod barlow_twins;
pub mod byol;
pub mod densecl;
pub mod dino;
pub mod emp_ssl;
pub mod moco_v2;
pub mod moco_v3;
pub mod pass;
pub mod pcl;
pub mod pixpro;
pub mod simclr;
pub mod simsiam;
pub mod supervised;
pub mod swav;
pub mod vicreg;

mod epoch;

use std::{borrow::Cow, collections::BTreeMap};

pub use epoch::{Clusters, Embed, EpochError, KMeansSettings};

use burn::{
    module::{Module, ParamId},
    tensor::{Tensor, TensorData},
};

use crate::{
    backbone::Backbone,
    group::Group,
    optim::ParameterGroup,
    overlap::{AlignmentConfig, OverlapPoints},
    queue::{ASSIGNING_CROPS, MemoryError},
};

/// A method of pre-training, with the network that it trains.
pub trait Method {
    /// All that is trained, and what follows it, as a momentum encoder. Checkpoints hold it.
    type Net: Module;

    /// How many crops of a picture it looks at, the first ones of one size; none for all of them. No
    /// others are drawn.
    const CROPS: Option<usize> = None;

    /// The network.
    fn net(&self) -> &Self::Net;

    /// The same.
    fn net_mut(&mut self) -> &mut Self::Net;

    /// The backbone: all that the later steps may ask for.
    fn backbone(&self) -> &Backbone;

    /// What the step leaves behind: a module whose field `backbone` is the backbone. Pixel attention
    /// goes on with the fields `projection` and `prototypes` where it has them too.
    fn result(&self) -> impl Module {
        self.net().clone()
    }

    /// What precedes the first iteration of each epoch, before [`before_step`](Self::before_step).
    /// What it leaves behind for the epoch is [`memory`](Self::memory): a training that goes on within
    /// an epoch does not come here again. Collective.
    ///
    /// # Errors
    ///
    /// Those of [`Embed`], and what the method cannot do with these pictures.
    fn before_epoch(
        &mut self,
        _at: Position,
        _pictures: &mut dyn Embed,
        _group: &Group,
    ) -> Result<(), EpochError> {
        Ok(())
    }

    /// What precedes the forward pass of each iteration. Collective.
    fn before_step(&mut self, _at: Position, _group: &Group) {}

    /// The loss of this rank's share of a batch, or of an equal part of it. Collective.
    ///
    /// It sees the memory as the iterations before left it, and puts what is new into it when the loss
    /// is computed.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss;

    /// What follows the update of the network in each iteration. Collective.
    fn after_update(&mut self, _at: Position, _group: &Group) {}

    /// Parameters that the optimiser treats apart; of two groups with one parameter the last counts.
    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        Vec::new()
    }

    /// Why the loss of a batch is not the mean of the losses of its parts, in words that end a
    /// sentence: `accumulate` above 1 is then refused with it.
    fn across_batch(&self) -> Option<&'static str> {
        None
    }

    /// Whether [`ViewBatch::labels`] are needed.
    fn wants_labels(&self) -> bool {
        false
    }

    /// Parameters that keep still in this iteration.
    fn frozen(&self, _at: Position) -> Vec<ParamId> {
        Vec::new()
    }

    /// What outlives an iteration beside the network.
    fn memory(&mut self) -> Option<&mut dyn Memory> {
        None
    }

    /// How the overlap of the two global crops is sampled; none where the loss does not look at it.
    fn alignment(&self) -> Option<&AlignmentConfig> {
        None
    }

    /// The term of the loss that tells whether anything is learned, and its value when nothing is.
    fn chance(&self) -> Option<Chance> {
        None
    }
}

/// Values outside of the network that the next iterations depend on: a queue, a bank, a centre.
pub trait Memory {
    /// What all ranks hold together, by name; nothing before there is any. Collective.
    fn save(&self, group: &Group) -> BTreeMap<String, TensorData>;

    /// Takes up this rank's part of what [`save`](Self::save) gave.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or has another shape or type; the memory is then as it was.
    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        group: &Group,
    ) -> Result<(), MemoryError>;

    /// Rows that it holds for all ranks together, for the log.
    fn rows(&self) -> usize;
}

/// Where the training stands.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Iteration over all epochs, from 0.
    pub iteration: usize,
    /// Iterations of the whole training.
    pub iterations: usize,
    /// Learning rate of this iteration.
    pub lr: f64,
}

/// The augmented views of some pictures.
#[derive(Debug)]
pub struct ViewBatch {
    /// One tensor a resolution, `[crops · pictures, 3, side, side]`, all pictures of a crop together;
    /// the first holds the two global crops, or the one crop that there is.
    pub groups: Vec<Tensor<4>>,
    /// Crops that were drawn alike, in the order of the rows.
    pub crops: Vec<usize>,
    /// Where the two global crops lie in their pictures, `[2 · pictures, 4]`; of one crop
    /// `[pictures, 4]`; see
    /// [`positive_pairs`](crate::loss::positive_pairs).
    pub frames: Tensor<2>,
    /// Where the two global crops overlap, for a method that says how to sample it.
    pub overlap: Option<OverlapPoints>,
    /// The number of each picture among the training pictures.
    pub pictures: Vec<usize>,
    /// The number of each picture's class among the class folders, from 0, for a method that asks for
    /// them.
    pub labels: Vec<usize>,
    /// Whether the loss shall come with [`Signals`].
    pub watched: bool,
}

impl ViewBatch {
    /// The two global crops, each `[pictures, 3, side, side]`.
    ///
    /// # Panics
    ///
    /// If there is one crop only.
    pub fn pair(&self) -> [Tensor<4>; ASSIGNING_CROPS] {
        let pictures = self.pictures.len();
        [0, 1].map(|crop| self.groups[0].clone().narrow(0, crop * pictures, pictures))
    }
}

/// The loss of some pictures.
#[derive(Debug)]
pub struct Loss {
    /// What is minimised, `[1]`.
    pub total: Tensor<1>,
    /// What it consists of, each `[1]` and before weighting.
    pub terms: Vec<(Cow<'static, str>, Tensor<1>)>,
    /// What a look at the training is to see, if it was asked for.
    pub signals: Signals,
}

impl Loss {
    /// A loss of one term, which shows nothing to the health watch.
    ///
    /// # Shapes
    ///
    /// - `total`: `[1]`
    pub fn new(term: impl Into<Cow<'static, str>>, total: Tensor<1>) -> Self {
        Self {
            terms: vec![(term.into(), total.clone())],
            total,
            signals: Signals::default(),
        }
    }

    /// A loss of several terms.
    ///
    /// # Shapes
    ///
    /// - `total` and each of `terms`: `[1]`
    pub fn of_terms<const N: usize>(
        total: Tensor<1>,
        terms: [(&'static str, Tensor<1>); N],
    ) -> Self {
        let terms = terms.map(|(name, value)| (name.into(), value));
        Self {
            total,
            terms: terms.into(),
            signals: Signals::default(),
        }
    }

    /// The same with what the health watch looks at.
    pub fn with_heads(mut self, heads: Vec<HeadSignal>) -> Self {
        self.signals.heads = heads;
        self
    }
}

/// The tensors that tell whether a training is sound.
#[derive(Debug, Default)]
pub struct Signals {
    /// Of swapped prediction, where the method has one.
    pub swapped: Option<SwappedSignal>,
    /// Outputs that may all become alike, each by itself.
    pub heads: Vec<HeadSignal>,
}

/// What swapped prediction looked at, and what came of it.
#[derive(Debug)]
pub struct SwappedSignal {
    /// `[rows, K]`
    pub scores: Tensor<2>,
    /// `[rows, D]`, of unit length, all pictures of a crop together
    pub embeddings: Tensor<2>,
    /// As [`ViewBatch::crops`].
    pub crops: Vec<usize>,
    /// `[K, D]`, of unit length
    pub prototypes: Tensor<2>,
    /// Each `[pictures, K]`
    pub assignments: [Tensor<2>; ASSIGNING_CROPS],
    /// τ
    pub temperature: f64,
    /// Its loss, `[1]`.
    pub loss: Tensor<1>,
}

/// An output that may become the same for all pictures.
#[derive(Debug)]
pub struct HeadSignal {
    /// Its name in the log.
    pub name: Cow<'static, str>,
    /// What it is, and the setting that it depends on most.
    pub description: String,
    /// The output of the two global crops.
    pub output: HeadOutput,
}

impl HeadSignal {
    /// Of vectors, where they are watched.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[2 · pictures, D]`
    pub fn of_embeddings(
        watched: bool,
        name: &'static str,
        description: &str,
        embeddings: impl FnOnce() -> Tensor<2>,
    ) -> Vec<Self> {
        let head = || Self {
            name: name.into(),
            description: description.to_owned(),
            output: HeadOutput::Embeddings(embeddings()),
        };
        watched.then(head).into_iter().collect()
    }
}

/// What a head gives for the two global crops.
#[derive(Debug)]
pub enum HeadOutput {
    /// A vector at each place, `[2 · pictures, D, height, width]`.
    Maps(Tensor<4>),
    /// A vector, `[2 · pictures, D]`.
    Embeddings(Tensor<2>),
    /// Products of vectors of `dim` numbers with prototypes, `[2 · pictures, K]`.
    Scores {
        /// The products.
        scores: Tensor<2>,
        /// D.
        dim: usize,
    },
}

/// What a term of the loss is when nothing is learned, or when all outputs have become alike. A loss
/// that is as low then as it is at best has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The name of the term.
    pub term: &'static str,
    /// Its value.
    pub value: f64,
    /// The value in a word, as `ln K`.
    pub called: &'static str,
    /// What has helped where the term stayed there, for a warning.
    pub remedy: &'static str,
    /// Whether the term starts below and rises towards its value before it falls, as that of MoCo
    /// does while its ring fills.
    pub rises_first: bool,
}

impl Chance {
    /// Of swapped prediction between `prototypes` (K) prototypes: ln K.
    pub fn of_swapped_prediction(prototypes: usize) -> Self {
        Self {
            term: "swapped",
            value: (prototypes as f64).ln(),
            called: "ln K",
            remedy: "another `seed`, more updates (more `epochs`, a smaller `batch`), a higher \
                     `freeze_prototypes_iterations`, milder `views.jitter`, fewer prototypes than \
                     pictures in batch and queue",
            rises_first: false,
        }
    }
}
