//! A project of ten lines that uses the packaged crate with default features.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const MANIFEST: &str = r#"[package]
name = "downstream"
version = "0.1.0"
edition = "2024"

[dependencies]
luss-metrics = { path = "luss-metrics" }

[workspace]
"#;

const PROGRAM: &str = r#"use luss_metrics::{Evaluator, MaskView, Protocol};

fn main() -> Result<(), luss_metrics::Error> {
    let truth: [u16; 6] = [0, 7, 7, 0, 7, 1000];
    let prediction: [u16; 6] = [0, 7, 7, 0, 0, 7];
    let mut evaluator = Evaluator::new(Protocol::new(50));
    evaluator.add(MaskView::new(3, 2, &prediction)?, MaskView::new(3, 2, &truth)?)?;
    println!("{:?}", evaluator.report().per_class[7].iou);
    Ok(())
}
"#;

/// Anything that reads files, draws, decodes or multiplies matrices.
const UNWANTED: [&str; 14] = [
    "burn",
    "cubecl",
    "image",
    "png",
    "zune",
    "fdeflate",
    "crc32fast",
    "clap",
    "anyhow",
    "indicatif",
    "rayon",
    "ndarray",
    "tokio",
    "libc",
];

#[test]
fn a_project_of_ten_lines_builds_on_the_packaged_crate() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("target");
    let target = target.to_str().unwrap();
    let package = [
        "package",
        "--no-verify",
        "--allow-dirty",
        "--offline",
        "--target-dir",
        target,
    ];
    cargo(crate_folder, &package);
    unpack(&place.path().join("target/package"), place.path());

    fs::create_dir(place.path().join("src")).unwrap();
    fs::write(place.path().join("src/main.rs"), PROGRAM).unwrap();
    fs::write(place.path().join("Cargo.toml"), MANIFEST).unwrap();
    // The versions that are tested here, and that are there without a network.
    fs::copy(
        crate_folder.join("../../Cargo.lock"),
        place.path().join("Cargo.lock"),
    )
    .unwrap();
    let output = cargo(
        place.path(),
        &["run", "--offline", "--quiet", "--target-dir", target],
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Some(0.6666666666666666)\n"
    );
    check_tree(place.path());
}

/// Runs cargo, which must succeed.
#[track_caller]
fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {message}");
    output
}

/// Unpacks the only archive of `folder` as `place/luss-metrics`.
fn unpack(folder: &Path, place: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    let archive = folder.join(format!("luss-metrics-{version}.crate"));
    let status = Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(place)
        .status();
    assert!(status.unwrap().success());
    fs::rename(
        place.join(format!("luss-metrics-{version}")),
        place.join("luss-metrics"),
    )
    .unwrap();
}

fn check_tree(project: &Path) {
    let output = cargo(
        project,
        &[
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ],
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    for unwanted in UNWANTED {
        assert!(
            !names.iter().any(|name| name.starts_with(unwanted)),
            "{unwanted} in {names:?}"
        );
    }
    assert!(
        names.len() <= 20,
        "{} crates are not next to nothing: {names:?}",
        names.len()
    );
}
