mod precision;

use burn::{
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use image::{Rgb, RgbImage};
use pass_model::{
    backbone::Backbone,
    method::pass::{Pass, PassNet},
    pass_p_net::PassPNet,
};

use super::*;
use crate::{
    gradients::without_frozen, run_file::Method as Name, step::pretrain, training::Learner,
    view_batch::views_of,
};

type Training<N> = Learner<Pretraining<Pass<N>>>;

const SMALL: &str = r#"
[network]
hidden = 6
feature_dim = 4
prototypes = 5
backbone = { block = "basic", depths = [1, 1, 1, 1], width = 2, max_pool = false }

[pretrain]
batch = 3
freeze_prototypes_iterations = 2
shallow = [3, 2]
shallow_weights = [1.0, 1.0]
views.groups = [{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0 }]
swapped = { queue_length = 3, queue_from_epoch = 0 }
consistency = { hidden = 5, dim = 3, momentum = 0.5 }
"#;

fn file(overrides: &[&str]) -> RunFile {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    RunFile::parse(SMALL, "small", &overrides).unwrap()
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn training<N: PassNet>(method: Pass<N>, file: &RunFile) -> Training<N> {
    let task = Pretraining::new(method, file, device());
    Learner::new(task, &file.pretrain.optim)
}

fn pass_s(file: &RunFile) -> Training<pass_model::pretrain_net::PretrainNet> {
    training(pretrain::methods::pass_s(file, &device()), file)
}

fn pass_p(file: &RunFile) -> Training<PassPNet> {
    assert_eq!(file.pretrain.method, Name::PassP);
    training(pretrain::methods::pass_p(file, &device()), file)
}

/// The views of three pictures, drawn anew in each iteration.
fn views(file: &RunFile, iteration: usize) -> Vec<Views> {
    let picture = RgbImage::from_fn(40, 36, |x, y| {
        let wave = |k: u32| (120.0 + 100.0 * ((x * k + y * (5 - k)) as f32 / 9.0).sin()) as u8;
        Rgb([wave(1), wave(2), wave(3)])
    });
    (0..file.pretrain.batch as u64)
        .map(|index| views_of(&picture, &file.pretrain.views, 1, iteration as u64, index))
        .collect()
}

fn steps<N: PassNet>(training: &mut Training<N>, iterations: std::ops::Range<usize>) -> Vec<Terms> {
    let one = |iteration| {
        let at = Position {
            epoch: iteration,
            iteration,
            iterations: 9,
            lr: 0.05,
        };
        let task = &mut training.task;
        let views = views(&task.file, iteration);
        task.begin(at);
        let loss = task.loss(&views, None);
        let gradients = GradientsParams::from_grads(loss.minimised.backward(), task.net());
        let gradients = without_frozen(task.net(), gradients, &task.frozen(at));
        training.update_at(at.lr, gradients);
        loss.terms
    };
    iterations.map(one).collect()
}

fn prototypes<N: PassNet>(training: &Training<N>) -> TensorData {
    let net = training.task.net().base();
    net.prototypes.weights().into_data()
}

#[test]
fn prototypes_keep_still_for_the_iterations_of_the_freeze_and_learn_then() {
    let file = file(&[]);
    let mut training = pass_s(&file);
    training.task.net_mut().prototypes.normalize();
    let start = prototypes(&training);
    steps(&mut training, 0..2);
    // The frozen rows are scaled to length 1 again and again, which may move their last bit.
    let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-6);
    prototypes(&training).assert_approx_eq(&start, tolerance);
    steps(&mut training, 2..3);
    let after = prototypes(&training);
    let moved = after.iter::<f32>().zip(start.iter::<f32>());
    let moved = moved
        .map(|(a, b): (f32, f32)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(moved > 1e-5, "{moved}");
}

fn saved<N: PassNet>(training: &mut Training<N>) -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let memory = training.memory(&Group::default());
    training.save(folder.path(), &memory).unwrap();
    ["net.safetensors", "memory.safetensors"]
        .map(|name| std::fs::read(folder.path().join(name)).unwrap())
}

#[test]
fn a_resumed_pass_p_goes_on_bit_for_bit_with_its_momentum_encoder() {
    let file = file(&[
        "pretrain.method=pass_p",
        "pretrain.optim.algorithm=lars_pixpro",
    ]);
    let mut through = pass_p(&file);
    steps(&mut through, 0..2);
    let folder = tempfile::tempdir().unwrap();
    let memory = through.memory(&Group::default());
    through.save(folder.path(), &memory).unwrap();

    let mut resumed = pass_p(&file);
    resumed.restore(folder.path(), &Group::default()).unwrap();
    assert_eq!(steps(&mut through, 2..4), steps(&mut resumed, 2..4));
    assert_eq!(saved(&mut through), saved(&mut resumed));
    let weight = |net: &Backbone| {
        let net = net.as_resnet().unwrap();
        net.layer4[0].conv1.weight.val().into_data()
    };
    let net = resumed.task.net();
    let [online, momentum] = [&net.base.backbone, &net.momentum.backbone].map(weight);
    assert_ne!(online, momentum, "the encoders are not the same any more");
}

/// The first loss terms of a run file.
fn first_terms(overrides: &[&str]) -> Terms {
    let file = file(overrides);
    match file.pretrain.method {
        Name::PassS => steps(&mut pass_s(&file), 0..1).remove(0),
        Name::PassP => steps(&mut pass_p(&file), 0..1).remove(0),
        other => panic!("{other:?} is not PASS"),
    }
}

fn term(terms: &Terms, name: &str) -> f64 {
    let found = terms.iter().find(|(term, _)| *term == name);
    found.unwrap_or_else(|| panic!("no {name} in {terms:?}")).1
}

/// Checkpoints of earlier versions call the memory a queue.
#[test]
fn a_memory_under_its_former_name_is_taken_up() {
    let file = file(&[]);
    let mut through = pass_s(&file);
    steps(&mut through, 0..2);
    let folder = tempfile::tempdir().unwrap();
    let memory = through.memory(&Group::default());
    through.save(folder.path(), &memory).unwrap();
    let [new, former] =
        ["memory", "queue"].map(|name| folder.path().join(format!("{name}.safetensors")));
    std::fs::rename(new, former).unwrap();
    let mut resumed = pass_s(&file);
    resumed.restore(folder.path(), &Group::default()).unwrap();
    assert_eq!(saved(&mut through), saved(&mut resumed));
}

#[test]
fn the_consistency_of_pass_p_stands_beside_the_terms_of_pass_s() {
    let plain = first_terms(&[]);
    let weight = "pretrain.consistency.weight=0.5";
    let with = first_terms(&["pretrain.method=pass_p", weight]);
    for name in ["swapped", "d2s_3", "d2s_2", "p2p"] {
        assert_eq!(term(&plain, name), term(&with, name), "{name}");
    }
    let sum = term(&plain, "total") + 0.5 * term(&with, "consistency");
    assert!((term(&with, "total") - sum).abs() < 1e-5, "{with:?}");
}

#[test]
fn each_variant_changes_its_own_term_alone() {
    let plain = first_terms(&[]);
    for (setting, changed) in [
        ("pretrain.alignment.kind=contrastive", "p2p"),
        ("pretrain.alignment.kind=clustering", "p2p"),
        ("pretrain.alignment.projection=false", "p2p"),
        ("pretrain.alignment.sampling=cell_centres", "p2p"),
        ("pretrain.supervision.teacher=same_stage", "d2s_3"),
        ("pretrain.supervision.view=same", "d2s_2"),
    ] {
        let terms = first_terms(&[setting]);
        assert_ne!(term(&terms, changed), term(&plain, changed), "{setting}");
        assert_eq!(
            term(&terms, "swapped"),
            term(&plain, "swapped"),
            "{setting}"
        );
    }
}

#[test]
fn a_batch_without_any_overlap_has_a_p2p_of_zero_when_such_pictures_are_left_out() {
    // Crops of at most a hundredth of the picture hardly ever meet.
    let file = file(&[
        "pretrain.alignment.empty_pairs=leave_out",
        "pretrain.views.groups=[{ count = 2, size = 32, min_scale = 0.001, max_scale = 0.002 }]",
    ]);
    let terms = steps(&mut pass_s(&file), 0..1).remove(0);
    assert_eq!(term(&terms, "p2p"), 0.0);
}

#[test]
fn any_stages_in_any_order_are_supervised() {
    let terms = first_terms(&[
        "pretrain.shallow=[1, 3, 2]",
        "pretrain.shallow_weights=[1.0, 0.5, 2.0]",
    ]);
    let d2s = [(1, "d2s_1"), (3, "d2s_3"), (2, "d2s_2")].map(|(_, name)| term(&terms, name));
    let average = term(&terms, "swapped") + d2s[0] + 0.5 * d2s[1] + 2.0 * d2s[2];
    let total = average / 4.5 + term(&terms, "p2p");
    assert!((term(&terms, "total") - total).abs() < 1e-5, "{terms:?}");
}
