//! A method of one's own in the ordinary training, with its views, checkpoints, log and later steps.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation::log_softmax};
use pass_model::method::{Loss, Method, ViewBatch};
use pass_model::normalize::{global_average_pool, l2_normalize};
use pass_model::{backbone::Backbone, group::Group, norm::NormMode};
use pass_train::{Context, Error, RunFile, Verbosity, step::pretrain::pretrain_with};

/// What is trained; checkpoints hold it.
#[derive(Module, Debug)]
pub(crate) struct Net {
    backbone: Backbone,
}

/// Contrast: each first view is to find, of all second views, that of its own picture.
pub(crate) struct Contrast(Net);

impl Method for Contrast {
    type Net = Net;

    fn net(&self) -> &Net {
        &self.0
    }

    fn net_mut(&mut self) -> &mut Net {
        &mut self.0
    }

    fn backbone(&self) -> &Backbone {
        &self.0.backbone
    }

    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let (pictures, mode) = (views.pictures.len(), NormMode::Group(group));
        let maps = self.0.backbone.forward(views.groups[0].clone(), mode);
        let rows = l2_normalize(global_average_pool(maps.into_last()), 1);
        let [first, second] = [0, 1].map(|view| rows.clone().narrow(0, view * pictures, pictures));
        let found = log_softmax(first.matmul(second.transpose()) / 0.2, 1);
        let own = Tensor::<2>::eye(pictures, &found.device());
        Loss::new("contrast", -(found * own).sum() / pictures as f64)
    }
}

/// Trains it on the pictures of a run.
pub(crate) fn train(context: &Context) -> Result<(), Error> {
    let (file, device) = (&context.file, context.device.clone().autodiff());
    let backbone = file.network.backbone.init(file.seed, &device);
    pretrain_with(context, Contrast(Net { backbone }))
}

fn main() -> Result<(), Error> {
    let file = RunFile::read("examples/configs/small.toml".as_ref(), &[])?;
    let run = "runs/own_method".as_ref();
    train(&Context::open(run, file, Device::flex(), Verbosity::Auto)?)
}
