//! Programs whose reader has gone: `head -1`, a closed connection, a dead `tee`.

use std::{
    env,
    io::pipe,
    process::{Command, ExitStatus},
};

/// One of the programs that `cargo test` has built next to this test, with nobody who reads.
fn unheard(name: &str, arguments: &[&str]) -> ExitStatus {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent());
    let name = format!("examples/{name}{}", env::consts::EXE_SUFFIX);
    let program = profile.expect("tests lie in PROFILE/deps").join(name);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program);
    command.args(arguments).stdout(writer.try_clone().unwrap());
    command.stderr(writer).status().unwrap()
}

#[test]
fn a_training_goes_on_and_a_look_at_it_ends_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let place = run.to_str().unwrap();
    let settings = [
        "data.source.synthetic.train=8",
        "data.source.synthetic.validation=3",
        "data.source.synthetic.test=1",
        "data.source.synthetic.side_px=32",
        "network.backbone.width=4",
        "network.hidden=8",
        "network.prototypes=8",
        "pretrain.epochs=1",
        "pretrain.batch=8",
        "attention.batch=8",
        "finetune.batch=8",
    ];
    let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
    let arguments: Vec<&str> = ["--run", place].into_iter().chain(settings).collect();
    assert_eq!(unheard("pretrain", &arguments).code(), Some(0));
    assert!(run.join("done/pretrain.json").exists());
    // It would draw until the run is over, which it never is.
    let look = unheard("watch", &["--run", place, "--every", "1"]);
    assert_eq!(look.code(), Some(0));
}
