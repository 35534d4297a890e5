//! A program whose reader has gone: `head -1`, a closed connection, a dead `tee`.

use std::{
    io::pipe,
    process::{Command, ExitStatus},
};

use imagenet_s::Split;

/// The program, with nobody who reads.
fn unheard(words: &[&str], arguments: &[&str]) -> ExitStatus {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
    command
        .args(words)
        .args(arguments)
        .stdout(writer.try_clone().unwrap());
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
    assert_eq!(unheard(&["step", "pretrain"], &arguments).code(), Some(0));
    assert!(run.join("done/pretrain.json").exists());
    // It would draw until the run is over, which it never is.
    let look = unheard(&["watch"], &["--run", place, "--every", "1"]);
    assert_eq!(look.code(), Some(0));
}

#[test]
fn without_a_reader_the_exit_code_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let class = Split::Train.pictures(folder.path()).join("lemon");
    std::fs::create_dir_all(&class).unwrap();
    let picture = image::RgbImage::new(3, 2);
    picture.save(class.join("1.png")).unwrap();
    for name in ["statistics", "doctor"] {
        for place in [folder.path().to_owned(), folder.path().join("none")] {
            let command = || {
                let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
                command.args(["data", name]).arg(&place);
                command
            };
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let heard = command().output().unwrap().status;
            let stdout = writer.try_clone().unwrap();
            let unheard = command().stdout(stdout).stderr(writer).status().unwrap();
            assert_eq!(unheard.code(), heard.code(), "{name} {}", place.display());
        }
    }
}
