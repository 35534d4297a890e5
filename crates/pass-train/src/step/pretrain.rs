//! Step 1, representation learning, by the method of the run file or by one of your own.

mod before_epoch;
pub(crate) mod methods;
mod task;

use std::{path::Path, sync::Arc, time::Instant};

use burn::tensor::Device;
use imagenet_s::{Sample, Split, views::MultiCropConfig};
use pass_model::{
    backbone::Backbone,
    checkpoint::{load_field, load_module},
    loss::SwappedPredictionConfig,
    method::Method,
    overlap::{AlignmentConfig, EmptyPairs},
    pretrain_net::{PretrainNet, PretrainNetConfig},
    queue::SwavQueue,
};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    health::OverChance,
    probe::Probe,
    ranks::done_by_first,
    run_file::RunFile,
    training::{Learner, Task, leave, train},
    training_plan::Plan,
    view_batch::{Views, make_views},
    whole_pictures::WholePictures,
};

use methods::Method as Name;
pub(crate) use task::Pretraining;
use task::views_of_method;

/// What the step leaves in `done/pretrain.json`.
#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    pictures: usize,
    seconds: f64,
    /// The loss over its value by chance, the mean of the last epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_over_chance: Option<OverChance>,
}

/// Runs step 1 with the method of the run file and leaves `pretrain/weights.safetensors`.
///
/// # Errors
///
/// From the data, the disk, [`Error::Unhealthy`] if training goes wrong, or [`Error::Stopped`].
pub fn pretrain(context: &Context) -> Result<(), Error> {
    let device = context.device.clone().autodiff();
    context.file.pretrain.method.train(context, &device)
}

/// Runs step 1 with any method, whose parameters lie on a device with gradients. Views, optimiser and
/// schedule are those of the section `pretrain`; checkpoints, log and health are those of any run.
/// Leaves [`Method::result`] as `pretrain/weights.safetensors`.
///
/// # Errors
///
/// As [`pretrain`].
pub fn pretrain_with<M: Method>(context: &Context, method: M) -> Result<(), Error> {
    let started = Instant::now();
    check_of_ranks(context, method.alignment())?;
    check_accumulation(&context.file, &method)?;
    context.check_precision()?;
    let samples = training_samples(context)?;
    let device = context.device.clone().autodiff();
    let mut task = Pretraining::new(method, &context.file, device.clone());
    if task.method.wants_labels() {
        task.labels = labels(&samples)?;
    }
    done_by_first(&context.ranks, || context.run.begin(Step::Pretrain))?;
    task.pictures = Some(WholePictures::new(samples.clone(), &context.file, device));
    task.probe = Probe::new(context);
    task.ranks = context.ranks.clone();
    let mut learner = Learner::new(task, &context.file.pretrain.optim);
    let pictures = samples.len();
    let views = views_of_method::<M>(&context.file);
    let loss_over_chance = train_on_views(context, &mut learner, samples, views)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &learner.task.method.result(),
        Step::Pretrain,
        &Summary {
            epochs: context.file.pretrain.epochs,
            pictures,
            seconds,
            loss_over_chance,
        },
    )
}

/// Trains on such views of the pictures of step 1, and says what [`train`] does.
pub(crate) fn train_on_views<T: Task<Item = Views>>(
    context: &Context,
    learner: &mut Learner<T>,
    samples: Arc<[Sample]>,
    views: MultiCropConfig,
) -> Result<Option<OverChance>, Error> {
    let file = &context.file;
    let pictures = samples.len();
    let make = make_views(samples, views, file.data.odd_pictures, file.seed);
    let plan = Plan::new(
        Step::Pretrain,
        &context.file,
        pictures,
        learner.memory_rows(),
    );
    train(context, &plan, learner, make)
}

/// The pictures of step 1: those of `data.pretrain_pictures`, else the training pictures.
pub(crate) fn training_samples(context: &Context) -> Result<Arc<[Sample]>, Error> {
    let section = &context.file.data;
    let (run, classes) = (context.run.root(), context.data.classes());
    let Some(pictures) = section.open_pretrain_pictures(run, classes)? else {
        return Ok(context.data.samples(Split::Train).into());
    };
    let pictures = pictures.without(Split::Train, &context.left_out);
    Ok(pictures.samples(Split::Train).into())
}

/// How many class folders the pictures of step 1 lie in.
fn classes(context: &Context) -> Result<usize, Error> {
    let labels = labels(&training_samples(context)?)?;
    Ok(labels.into_iter().max().map_or(0, |last| last + 1))
}

/// The class of each picture, by its folder.
fn labels(samples: &[Sample]) -> Result<Vec<usize>, Error> {
    let label = |sample: &Sample| {
        let folder = sample.folder.map(|folder| folder as usize);
        folder.ok_or_else(|| Error::Value {
            place: "run.toml".into(),
            key: "pretrain.method".into(),
            value: "supervised".into(),
            rule: format!(
                "it learns the class folders of the pictures, and {} lies in none; sort them into \
                 folders, or take another method",
                sample.picture.display()
            ),
        })
    };
    samples.iter().map(label).collect()
}

/// Refuses parts of a batch where they would change the loss.
fn check_accumulation<M: Method>(file: &RunFile, method: &M) -> Result<(), Error> {
    let parts = file.pretrain.accumulate;
    match method.across_batch().filter(|_| parts > 1) {
        None => Ok(()),
        Some(reason) => Err(Error::Value {
            place: "run.toml".into(),
            key: "pretrain.accumulate".into(),
            value: parts.to_string(),
            rule: format!("must be 1 with this method: {reason}"),
        }),
    }
}

/// The queue of a training with swapped prediction, for parts of so many pictures.
pub(crate) fn swav_queue(
    swapped: &SwappedPredictionConfig,
    length: usize,
    [batch, dim]: [usize; 2],
    device: &Device,
) -> SwavQueue {
    SwavQueue::new(length, [batch, dim], swapped.queue_from_epoch, device)
}

/// The network of PASS_s, with the initial weights of the run's seed.
pub(crate) fn pretrain_net(file: &RunFile, device: &Device) -> PretrainNet {
    let mut net = net_config(file).init(file.seed, device);
    if file.pretrain.method == Name::Swav {
        file.pretrain.swav.shape(&mut net);
    }
    net
}

fn net_config(file: &RunFile) -> PretrainNetConfig {
    PretrainNetConfig {
        network: file.network.clone(),
        shallow: file.pretrain.shallow.clone(),
        p2p: file.pretrain.p2p,
        p2p_projection: file.pretrain.alignment.projection,
    }
}

/// The network of PASS_s as step 1 left it.
pub(crate) fn pretrained_net(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    load_module(&mut net, &context.run.unchanged_weights(Step::Pretrain)?)?;
    Ok(net)
}

/// The backbone as step 1 left it, by whatever method.
pub(crate) fn pretrained_backbone(context: &Context, device: &Device) -> Result<Backbone, Error> {
    let file = &context.file;
    let mut backbone = file.network.backbone.init(file.seed, device);
    let weights = context.run.unchanged_weights(Step::Pretrain)?;
    load_backbone(&mut backbone, &weights)?;
    Ok(backbone)
}

/// Backbone, projection and prototypes as step 1 left them; what its method does not have keeps the
/// initial weights of the run's seed.
pub(crate) fn pretrained_heads(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    let weights = context.run.unchanged_weights(Step::Pretrain)?;
    load_backbone(&mut net.backbone, &weights)?;
    let has_projection = load_field(&mut net.projection, "projection", &weights)?;
    let has_prototypes = load_field(&mut net.prototypes, "prototypes", &weights)?;
    for (part, is_there) in [
        ("projection", has_projection),
        ("prototypes", has_prototypes),
    ] {
        if !is_there {
            context.say(&format!(
                "{}: step 1 left no {part}, which begins from the seed",
                Step::TuneAttention.name()
            ));
        }
    }
    Ok(net)
}

fn load_backbone(backbone: &mut Backbone, weights: &Path) -> Result<(), Error> {
    if load_field(backbone, "backbone", weights)? {
        return Ok(());
    }
    Err(Error::Damaged {
        path: weights.into(),
        cause: "it has no tensor whose name begins with `backbone.`".into(),
    })
}

/// Refuses what differs from one process: with pictures left out, ranks compare different numbers of
/// them, and the norms behind count all ranks alike.
fn check_of_ranks(context: &Context, alignment: Option<&AlignmentConfig>) -> Result<(), Error> {
    let leaves_out = alignment.is_some_and(|of| of.empty_pairs == EmptyPairs::LeaveOut);
    if leaves_out && context.ranks.size() > 1 {
        return Err(Error::Value {
            place: "run.toml".into(),
            key: "pretrain.alignment.empty_pairs".into(),
            value: "\"leave_out\"".into(),
            rule:
                "with several ranks each would be left with another number of pictures; train in \
                   one process, or count them"
                    .into(),
        });
    }
    Ok(())
}
