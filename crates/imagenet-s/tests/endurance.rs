//! A day of epochs in small: memory and file handles stay what they were.
#![cfg(target_os = "linux")] // /proc tells

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use image::{Rgb, RgbImage};
use imagenet_s::{
    Loader, OddPictures, read_picture,
    views::{Crop, CropGroup, MultiCropConfig, multi_crop, permutation},
};
use tempfile::TempDir;

/// A field of `/proc/self/status` in KiB.
fn status_kib(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    let number = line.trim_matches(|c: char| !c.is_ascii_digit());
    number.parse().unwrap()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// JPEGs of waves and noise.
fn pictures(count: u32, [width, height]: [u32; 2]) -> (TempDir, Arc<[PathBuf]>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = (0..count).map(|index| {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let noise = (x * 7919 + y * 104_729 + index * 31).wrapping_mul(2_654_435_761) >> 27;
            Rgb([
                (x * 2 + noise) as u8,
                (y * 3 + noise) as u8,
                (x + y + 9 * index) as u8,
            ])
        });
        let path = folder.path().join(format!("{index}.jpg"));
        picture.save(&path).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

/// The views of an epoch, in its order, as the trainings read them.
fn epoch(
    paths: &Arc<[PathBuf]>,
    views: &MultiCropConfig,
    epoch: u64,
    ahead: usize,
) -> Loader<Vec<Crop>> {
    let (paths, views) = (paths.clone(), views.clone());
    let order = permutation(paths.len(), 5, epoch);
    Loader::new(order, 2, ahead, move |&index| {
        let picture = read_picture(&paths[index], OddPictures::Refuse)?;
        Ok(multi_crop(&picture, &views, 5, epoch, index as u64))
    })
}

fn views(groups: [(usize, usize); 2]) -> MultiCropConfig {
    let groups = groups.map(|(count, size)| CropGroup::new(count, size, [0.1, 1.0]));
    MultiCropConfig {
        groups: groups.into(),
        ..MultiCropConfig::default()
    }
}

/// One after the other: both look at the memory of the whole process.
#[test]
fn memory_and_file_handles_are_bounded() {
    the_memory_of_a_loader_is_that_of_the_views_ahead();
    eight_thousand_batches_leave_memory_and_files_as_they_were();
}

/// 100 epochs of 80 batches of two: a loader for each epoch, so threads come and go too.
fn eight_thousand_batches_leave_memory_and_files_as_they_were() {
    let (_folder, paths) = pictures(160, [40, 30]);
    let views = views([(1, 16), (1, 8)]);
    let mut batches = 0;
    let mut early = None;
    for at in 0..100 {
        let mut loader = epoch(&paths, &views, at, 6);
        while loader.by_ref().take(2).map(Result::unwrap).count() > 0 {
            batches += 1;
        }
        drop(loader);
        if at == 19 {
            early = Some((status_kib("VmRSS:"), open_files()));
        }
    }
    let (memory, files) = early.unwrap();
    let grown = status_kib("VmRSS:").saturating_sub(memory);
    println!("{batches} batches; {memory} KiB after 1600 of them, {grown} KiB more at the end");
    assert_eq!(batches, 8_000);
    assert!(grown < 280, "{grown} KiB more"); // 45 bytes a batch
    assert_eq!(open_files(), files);
}

/// Pictures of the size of ImageNet's, two and six views: what is ahead, and little more.
fn the_memory_of_a_loader_is_that_of_the_views_ahead() {
    const AHEAD: usize = 48;
    let (_folder, paths) = pictures(96, [500, 375]);
    let views = views([(2, 224), (6, 96)]);
    let view_kib = (2 * 224 * 224 + 6 * 96 * 96) * 3 / 1024;
    let before = status_kib("VmRSS:");
    let full = AHEAD * view_kib / 2;
    // The kernel counts lazily: a highest memory once read can be missing from a later reading.
    let mut most = 0;
    let mut look = || {
        most = status_kib("VmHWM:").saturating_sub(before).max(most);
        most
    };
    for at in 0..2 {
        let loader = epoch(&paths, &views, at, AHEAD);
        let started = Instant::now();
        thread::sleep(Duration::from_secs(2)); // the line fills, on a busy machine later
        while look() <= full && started.elapsed() < Duration::from_secs(120) {
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(loader.map(Result::unwrap).count(), 96);
    }
    let most = look();
    println!("{most} KiB at most for {AHEAD} times {view_kib} KiB of views");
    assert!(most > full, "{most} KiB: the line never filled");
    // Beside the views, each of the two workers has a picture, its file and a view in work.
    assert!(most < AHEAD * view_kib + (16 << 10), "{most} KiB");
}
