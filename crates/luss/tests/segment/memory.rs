//! The memory that large pictures take.
#![cfg(target_os = "linux")] // /proc tells

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use burn::tensor::Device;
use pass_model::{
    checkpoint::save_module,
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use pass_train::{RunDir, RunFile, Step};

use crate::place::{Place, command, save};

/// The network of a phone on 24 megapixels, with as many categories as ImageNet-S.
#[test]
#[ignore = "takes minutes: memory of a picture of 6000 x 4000 pixels"]
fn memory_follows_the_window_and_not_the_picture() {
    let place = Place::new();
    for (backbone, classes, sides) in [
        ("efficientnet_lite0", 919, [6000, 4000]),
        ("resnet18", 919, [6000, 4000]),
        ("efficientnet_lite0", 919, [24000, 100]),
    ] {
        let root = place.path(&format!("{backbone}{}", sides[0]));
        write_run(&root, backbone, classes);
        save(&root.join("large.png"), sides, 0.0);
        let words = [
            "segment",
            "--run",
            ".",
            "--out",
            "masks",
            "--resize",
            "full",
            "large.png",
        ];
        let mut child = command(&root, &words)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let mut peak_kib = 0;
        while child.try_wait().unwrap().is_none() {
            peak_kib = peak_of(&status).unwrap_or(peak_kib);
            thread::sleep(Duration::from_millis(20));
        }
        assert!(child.wait().unwrap().success());
        println!("{backbone}, {classes} categories, {sides:?}: {peak_kib} KiB");
        assert!((1..1_500_000).contains(&peak_kib), "{peak_kib} KiB");
    }
}

/// The highest resident memory of a process so far, in KiB.
fn peak_of(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A run whose fine-tuning is done, with drawn weights.
fn write_run(root: &Path, backbone: &str, classes: usize) {
    let text = format!("network.backbone = \"{backbone}\"");
    let file = RunFile::parse(&text, "test", &[]).unwrap();
    let run = RunDir::open(root, &file).unwrap();
    let weights = run.weights(Step::Finetune);
    run.make_room_for(&weights).unwrap();
    let backbone = file.network.backbone.clone();
    let config = SegmentationNetConfig {
        backbone,
        classes,
        head: HeadDraw::He,
    };
    save_module(&config.init(3, &Device::flex()), &weights).unwrap();
    run.finish(Step::Finetune, &"drawn").unwrap();
}
