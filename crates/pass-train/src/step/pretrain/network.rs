//! The two networks that step 1 can train.

use burn::{module::Module, tensor::Tensor};
use pass_model::{
    loss::{pixel_consistency_loss, positive_pairs},
    norm::NormMode,
    overlap::OverlapPoints,
    pass_p_net::{PassPNet, PassPOutput},
    pretrain_net::{PretrainNet, PretrainOutput},
};

/// What a network sees of a batch.
pub(crate) struct PretrainBatch {
    /// One tensor a resolution, the two global crops first.
    pub(crate) groups: Vec<Tensor<4>>,
    /// Where P2P looks, if it takes part.
    pub(super) points: Option<OverlapPoints>,
    /// Where the two global crops lie, `[2 · batch, 4]`; see [`positive_pairs`].
    pub(super) frames: Tensor<2>,
    /// See [`positive_pairs`].
    pub(super) positive_ratio: f64,
}

/// The consistency of pixels, of PASS_p alone.
pub(crate) struct Consistency {
    /// Its loss.
    pub(super) loss: Tensor<1>,
    /// What the momentum encoder gives as targets, as [`PassPOutput::target`].
    pub(super) target: Tensor<4>,
}

/// A network of step 1: that of PASS_s, or one that contains it.
pub(crate) trait PretrainNetwork: Module {
    /// The part that the later steps use.
    fn base(&self) -> &PretrainNet;

    /// The same.
    fn base_mut(&mut self) -> &mut PretrainNet;

    /// What precedes each batch: a momentum encoder follows and keeps this share of itself.
    fn begin(&mut self, _momentum: f64) {}

    /// One pass with the statistics of `mode`: what the losses of PASS_s need, and the consistency.
    fn forward_train(
        &mut self,
        batch: PretrainBatch,
        mode: NormMode,
    ) -> (PretrainOutput, Option<Consistency>);
}

impl PretrainNetwork for PretrainNet {
    fn base(&self) -> &PretrainNet {
        self
    }

    fn base_mut(&mut self) -> &mut PretrainNet {
        self
    }

    fn forward_train(
        &mut self,
        batch: PretrainBatch,
        mode: NormMode,
    ) -> (PretrainOutput, Option<Consistency>) {
        let output = self.forward_at(batch.groups, batch.points, mode);
        (output, None)
    }
}

impl PretrainNetwork for PassPNet {
    fn base(&self) -> &PretrainNet {
        &self.base
    }

    fn base_mut(&mut self) -> &mut PretrainNet {
        &mut self.base
    }

    fn begin(&mut self, momentum: f64) {
        self.follow(momentum);
    }

    fn forward_train(
        &mut self,
        batch: PretrainBatch,
        mode: NormMode,
    ) -> (PretrainOutput, Option<Consistency>) {
        let PassPOutput {
            base,
            propagated,
            target,
        } = self.forward(batch.groups, batch.points, mode);
        let [_, _, height, width] = target.dims();
        let pairs = positive_pairs(batch.frames, [height, width], batch.positive_ratio);
        let loss = pixel_consistency_loss(propagated, target.clone(), pairs);
        (base, Some(Consistency { loss, target }))
    }
}
