//! Every method that a run file can name, in the ordinary loop.

use std::{fs, path::Path};

use burn::tensor::Device;
use pass_train::{
    Context, Error, RunFile, Verbosity, pipeline, run_file::Method, step::pretrain::pretrain,
};

/// Widths that a test has time for.
const NARROW: &[&str] = &[
    "simclr.dim=6",
    "moco_v2={ queue = 16, dim = 6 }",
    "adco={ bank = { rows = 16 }, dim = 6 }",
    "byol={ hidden = 8, dim = 6 }",
    "simsiam={ dim = 6, predictor_hidden = 8 }",
    "pcl={ queue = 16, dim = 6, warmup_epochs = 1, clusters = [16], negatives = 4 }",
    "densecl={ queue = 16, hidden = 8, dim = 6 }",
    "swav.last_norm=false",
    "pixpro={ hidden = 8, dim = 6, instance_weight = 0.5 }",
    "consistency={ hidden = 8, dim = 6 }",
    "barlow_twins={ hidden = 8, dim = 6 }",
    "vicreg={ hidden = 8, dim = 6 }",
    "moco_v3={ hidden = 8, dim = 6 }",
    "dino={ prototypes = 8, hidden = 8, bottleneck = 6 }",
    "emp_ssl={ hidden = 8, dim = 6 }",
];

fn file(method: Method, settings: &[&str]) -> Result<RunFile, Error> {
    let narrow = NARROW.iter().map(|setting| format!("pretrain.{setting}"));
    let method = format!("pretrain.method={}", method.name());
    let short = [
        "pretrain.epochs=2",
        "pretrain.optim.algorithm=sgd",
        "pretrain.optim.base_lr=0.03",
        "pretrain.optim.final_lr=0.003",
    ];
    let settings = short.iter().chain(settings).map(|it| (*it).to_owned());
    let settings: Vec<String> = narrow.chain([method]).chain(settings).collect();
    RunFile::parse(include_str!("pipeline/tiny.toml"), "tiny.toml", &settings)
}

fn open(root: &Path, method: Method, settings: &[&str]) -> Context {
    let file = file(method, settings).unwrap_or_else(|error| panic!("{error}"));
    let opened = Context::open(root, file, Device::flex(), Verbosity::Quiet);
    opened.unwrap_or_else(|error| panic!("{error}"))
}

fn weights(root: &Path) -> Vec<u8> {
    fs::read(root.join("pretrain/weights.safetensors")).unwrap()
}

/// Stopped behind every iteration, and so begun again from its checkpoint.
fn in_pieces(root: &Path, method: Method) -> usize {
    for stops in 0.. {
        let context = open(root, method, &[]);
        context.stop.ask();
        match pretrain(&context) {
            Ok(()) => return stops,
            Err(Error::Stopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

#[test]
fn each_goes_on_from_any_iteration_to_the_same_bits() {
    for &method in Method::ALL {
        let [whole, parted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        pretrain(&open(whole.path(), method, &[]))
            .unwrap_or_else(|error| panic!("{}: {error}", method.name()));
        let stops = in_pieces(parted.path(), method);
        assert_eq!(stops, 5, "{}", method.name()); // of six iterations
        assert!(
            weights(whole.path()) == weights(parted.path()),
            "{}",
            method.name()
        );
    }
}

/// A method without projection and prototypes, one without prototypes for pixels, and one of labels.
#[test]
fn later_steps_go_on_from_its_backbone() {
    for method in [Method::Byol, Method::Swav, Method::Supervised] {
        let root = tempfile::tempdir().unwrap();
        let short = [
            "attention.epochs=1",
            "finetune.epochs=1",
            "cluster.restarts=1",
        ];
        let context = open(root.path(), method, &short);
        pipeline::run(&context, &[]).unwrap_or_else(|error| panic!("{}: {error}", method.name()));
    }
}

#[test]
fn parts_of_a_batch_are_refused_where_they_change_the_loss() {
    let parts = ["pretrain.accumulate=2", "pretrain.epochs=1"];
    let root = tempfile::tempdir().unwrap();
    let refused = pretrain(&open(root.path(), Method::Simclr, &parts)).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains("pretrain.accumulate") && said.contains("each other's negatives"),
        "{said}"
    );
    let root = tempfile::tempdir().unwrap();
    pretrain(&open(root.path(), Method::Byol, &parts)).unwrap();
}

#[test]
fn what_a_ring_asks_of_the_batch_is_refused_by_key() {
    for (method, setting, said) in [
        (Method::MocoV2, "moco_v2.queue=20", "pretrain.moco_v2.queue"),
        (
            Method::Densecl,
            "densecl.queue=20",
            "pretrain.densecl.queue",
        ),
        (Method::Adco, "adco.norms.pictures=3", "adco.norms.pictures"),
        (Method::Pcl, "pcl.negatives=16", "pretrain.pcl.negatives"),
    ] {
        let setting = format!("pretrain.{setting}");
        let error = file(method, &[&setting]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn the_names_are_those_of_the_contract() {
    let mut names: Vec<String> = Method::ALL.iter().map(|method| method.name()).collect();
    names.sort();
    let expected = [
        "adco",
        "barlow_twins",
        "byol",
        "densecl",
        "dino",
        "emp_ssl",
        "moco_v2",
        "moco_v3",
        "pass_p",
        "pass_s",
        "pcl",
        "pixpro",
        "simclr",
        "simsiam",
        "supervised",
        "swav",
        "vicreg",
    ];
    assert_eq!(names, expected);
}
