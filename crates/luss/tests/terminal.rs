//! A program whose reader has gone ends by what it found, not by a panic.

use std::{io::pipe, process::Command};

use imagenet_s::Split;

#[test]
fn without_a_reader_the_exit_code_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let class = Split::Train.pictures(folder.path()).join("lemon");
    std::fs::create_dir_all(&class).unwrap();
    let picture = image::RgbImage::new(3, 2);
    picture.save(class.join("1.png")).unwrap();
    for program in [
        env!("CARGO_BIN_EXE_statistics"),
        env!("CARGO_BIN_EXE_doctor"),
    ] {
        for place in [folder.path().to_owned(), folder.path().join("none")] {
            let command = || {
                let mut command = Command::new(program);
                command.arg(&place);
                command
            };
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let heard = command().output().unwrap().status;
            let stdout = writer.try_clone().unwrap();
            let unheard = command().stdout(stdout).stderr(writer).status().unwrap();
            assert_eq!(
                unheard.code(),
                heard.code(),
                "{program} {}",
                place.display()
            );
        }
    }
}
