//! `luss features extract`: one array of any folder, resumed to the same bytes, in shards or at once.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use burn::tensor::{Device, Tensor};
use image::{Rgb, RgbImage};
use imagenet_s::{
    pictures_to_tensor,
    views::{PLAIN, Region, resize_bilinear},
};
use pass_model::{
    backbone::{Backbone, BackboneConfig},
    export::export_backbone,
    import::import_backbone,
    norm::NormMode,
};
use pixel_attention::{row_file::RowFile, rows::Rows};
use tempfile::TempDir;

const PICTURES: usize = 5;

struct Place(TempDir);

impl Place {
    /// Pictures of several sizes and a ResNet-18 with the initial weights of a seed.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for n in 0..PICTURES {
            let path = place.path(&format!("pictures/{}/n{n}.png", n % 2));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            picture(n).save(path).unwrap();
        }
        let config = BackboneConfig::named("resnet18").unwrap();
        let network = config.init(7, &Device::flex());
        export_backbone(&network, &place.path("w.safetensors")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, out: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
        command.args(["features", "extract", "--quiet", "--images", "pictures"]);
        command.args(["--backbone", "resnet18=w.safetensors", "--out", out]);
        command.args(["--size", "64"]).args(arguments);
        command.current_dir(self.0.path()).output().unwrap()
    }

    #[track_caller]
    fn extract(&self, out: &str, arguments: &[&str]) -> RowFile {
        self.run(out, arguments);
        RowFile::open_dense(&self.path(out)).unwrap()
    }

    #[track_caller]
    fn run(&self, out: &str, arguments: &[&str]) {
        let output = self.start(out, arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[track_caller]
    fn check_refused(&self, out: &str, arguments: &[&str], fact: &str) {
        let output = self.start(out, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(fact), "no {fact:?} in {said}");
    }
}

fn picture(n: usize) -> RgbImage {
    let wave = |x: u32, y: u32| ((x * (n as u32 + 1) + 3 * y) % 256) as u8;
    RgbImage::from_fn(40 + 7 * n as u32, 50, |x, y| {
        Rgb([wave(x, y), wave(y, x), 90])
    })
}

fn rows(file: &RowFile) -> Vec<f32> {
    let mut all = vec![0.0; file.count() * file.columns()];
    file.read(0, &mut all).unwrap();
    all
}

/// What the library computes of picture `n`, `[2, 2, 512]` flattened.
fn expected(place: &Place, n: usize) -> Vec<f32> {
    let device = Device::flex();
    let mut network: Backbone = BackboneConfig::named("resnet18").unwrap().init(0, &device);
    import_backbone(&mut network, &place.path("w.safetensors")).unwrap();
    let picture = picture(n);
    let whole = Region::whole(picture.width(), picture.height());
    let picture = resize_bilinear(&picture, whole, 64, 64);
    let pictures: Tensor<4> = pictures_to_tensor(&[picture.as_raw()], 64, 64, &PLAIN, &device);
    let maps = network.forward(pictures, NormMode::Moving).into_last();
    maps.permute([0, 2, 3, 1]).into_data().iter().collect()
}

#[test]
fn maps_are_those_of_the_library_in_the_order_of_the_paths() {
    let place = Place::new();
    let file = place.extract("f.npy", &[]);
    assert_eq!(file.shape(), [PICTURES, 2, 2, 512]);
    let keys: Vec<String> =
        serde_json::from_str(&fs::read_to_string(place.path("f.keys.json")).unwrap()).unwrap();
    assert_eq!(keys, ["0/n0", "0/n2", "0/n4", "1/n1", "1/n3"]);
    let rows = rows(&file);
    for (picture, n) in [0, 2, 4, 1, 3].into_iter().enumerate() {
        let found = &rows[picture * 4 * 512..][..4 * 512];
        for (found, expected) in found.iter().zip(expected(&place, n)) {
            assert!(
                (found - expected).abs() <= 1e-4,
                "{n}: {found} and {expected}"
            );
        }
    }
}

#[test]
fn a_pattern_takes_some_of_the_pictures() {
    let place = Place::new();
    let some = place.extract("f.npy", &["--pattern", "0/*"]);
    assert_eq!(some.shape(), [3, 2, 2, 512]);
    let keys = fs::read_to_string(place.path("f.keys.json")).unwrap();
    let keys: Vec<String> = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys, ["0/n0", "0/n2", "0/n4"]);
    place.check_refused("g.npy", &["--pattern", "[*"], "[*");
}

#[test]
fn shards_and_what_was_killed_end_with_the_same_numbers() {
    let place = Place::new();
    let whole = place.extract("f.npy", &[]);
    let all = fs::read(place.path("f.npy")).unwrap();
    // As a kill behind two pictures leaves it: their rows, and a header that counts them.
    place.run("g.npy", &["--shard", "1/2"]);
    fs::copy(place.path("g.1-of-2.npy"), place.path("f.npy.partial")).unwrap();
    fs::remove_file(place.path("f.npy")).unwrap();
    place.extract("f.npy", &[]);
    assert!(fs::read(place.path("f.npy")).unwrap() == all);

    // Another batch, and shards that part the batches of the whole.
    let joined = place.extract("g.npy", &["--shard", "2/2", "--batch", "2"]);
    assert_eq!(joined.shape(), whole.shape());
    assert_eq!(rows(&joined), rows(&whole));
    let output = Command::new(env!("CARGO_BIN_EXE_luss"))
        .args([
            "features",
            "--features",
            "g.npy",
            "--classes",
            "2",
            "--out",
            "out",
        ])
        .current_dir(place.0.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn pooled_mirrored_halves() {
    let place = Place::new();
    let pooled = place.extract("p.npy", &["--layer", "pooled", "--dtype", "float16"]);
    assert_eq!(pooled.shape(), [PICTURES, 512]);
    let means: Vec<f32> = expected(&place, 0)
        .chunks(512)
        .fold(vec![0.0; 512], |sum, place| {
            sum.iter()
                .zip(place)
                .map(|(sum, value)| sum + value / 4.0)
                .collect()
        });
    for (found, expected) in rows(&pooled).iter().zip(means) {
        assert!(
            (found - expected).abs() <= 1e-3 * expected.abs().max(0.1),
            "{found}, {expected}"
        );
    }
    let flipped = place.extract("s.npy", &["--scales", "1,1.5", "--flip"]);
    assert_eq!(flipped.shape(), [PICTURES, 2, 2, 512]);
    assert_ne!(rows(&flipped), rows(&place.extract("f.npy", &[])));
}

#[test]
fn what_was_made_otherwise_is_kept_and_wrong_words_are_refused() {
    let place = Place::new();
    place.extract("f.npy", &[]);
    let before = fs::read(place.path("f.npy")).unwrap();
    place.check_refused("f.npy", &["--flip"], "flip false instead of true");
    assert_eq!(fs::read(place.path("f.npy")).unwrap(), before);
    place.check_refused("n.npy", &["--layer", "keys"], "stage4");
    place.check_refused("n.npy", &["--shard", "3/2"], "second of three");
    place.check_refused("n.npz", &[], "NAME.npy");
    fs::write(place.path("w.safetensors"), b"torn").unwrap();
    place.check_refused("n.npy", &[], "w.safetensors");
}
