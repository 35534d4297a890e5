//! A trivial method: the embeddings of different pictures are to be at right angles.

use burn::{module::Module, tensor::Tensor};

use super::{Loss, Method, ViewBatch};
use crate::{
    backbone::Backbone,
    group::Group,
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
};

/// What is trained.
#[derive(Module, Debug)]
pub struct SpreadNet {
    /// The backbone.
    pub backbone: Backbone,
}

/// The method in training.
#[derive(Debug)]
pub struct Spread(pub SpreadNet);

impl Method for Spread {
    type Net = SpreadNet;

    fn net(&self) -> &SpreadNet {
        &self.0
    }

    fn net_mut(&mut self) -> &mut SpreadNet {
        &mut self.0
    }

    fn backbone(&self) -> &Backbone {
        &self.0.backbone
    }

    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let pictures = views.groups[0].clone();
        let maps = self.0.backbone.forward(pictures, NormMode::Group(group));
        let rows = l2_normalize(global_average_pool(maps.into_last()), 1);
        let cosines = rows.clone().matmul(rows.transpose());
        let own = Tensor::<2>::eye(cosines.dims()[0], &cosines.device());
        Loss::new("spread", (cosines - own).square().mean())
    }
}
