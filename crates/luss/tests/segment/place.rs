//! A run with drawn weights, pictures, and the program on them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use burn::tensor::Device;
use image::{Rgb, RgbImage};
use imagenet_s::LabelMask;
use luss_metrics::folder::{MaskFormat, read_mask};
use pass_model::{
    backbone::ResNetConfig,
    export::export_segmentation_net,
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use serde_json::Value;
use tempfile::TempDir;

/// The settings of a run: pictures that are drawn, and the network of the weights.
pub(crate) const RUN_FILE: &str = r#"
[data.source.synthetic]
classes = 6
train = 8
train_semi_per_class = 1
validation = 9
test = 1
side_px = 40

[network]
hidden = 5
feature_dim = 3
prototypes = 7
backbone = { block = "basic", depths = [1, 1, 1, 1], width = 4, max_pool = false }

[pretrain]
batch = 8

[attention]
batch = 8

[finetune]
batch = 8

[predict]
resize = 64
"#;

/// Initial weights: labels that mean nothing, and differ from place to place.
fn write_weights(path: &Path) {
    let backbone = ResNetConfig {
        width: 4,
        ..ResNetConfig::small()
    };
    let config = SegmentationNetConfig {
        backbone: backbone.into(),
        classes: 6,
        head: HeadDraw::He,
    };
    export_segmentation_net(&config.init(3, &Device::flex()), path).unwrap();
}

/// A folder of one test, and the run of all.
pub(crate) struct Place(pub(crate) TempDir);

/// A run whose predictions are there.
pub(crate) fn run() -> &'static Path {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("run.conf"), RUN_FILE).unwrap();
        let import = ["weights", "import", "--config", "run.conf", "--run", "run"];
        write_weights(&root.path().join("w.safetensors"));
        let words = [&import[..], &["--finetuning", "w.safetensors", "--quiet"]].concat();
        passed(&started(root.path(), &words));
        passed(&started(
            root.path(),
            &["step", "predict", "--run", "run", "--quiet"],
        ));
        root
    });
    root.path()
}

pub(crate) fn started(folder: &Path, words: &[&str]) -> Output {
    command(folder, words).output().unwrap()
}

pub(crate) fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
    command
        .args(words)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE");
    command
}

#[track_caller]
pub(crate) fn passed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With pictures `pictures/0.png` and so on, of some sizes.
    pub(crate) fn with_pictures(count: usize, side: u32) -> Self {
        let place = Self::new();
        for n in 0..count {
            let sides = [side + 9 * (n as u32 % 3), side + 5 * (n as u32 % 2)];
            save(&place.path(&format!("pictures/{n}.png")), sides, n as f32);
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `luss segment` with the run of all.
    pub(crate) fn words<'a>(&self, out: &'a str, words: &[&'a str]) -> Vec<String> {
        let run = run().join("run").display().to_string();
        let words = [&["--out", out, "--quiet"], words].concat();
        let words = words.into_iter().map(String::from);
        ["segment".into(), "--run".into(), run]
            .into_iter()
            .chain(words)
            .collect()
    }

    pub(crate) fn segment(&self, out: &str, words: &[&str]) -> Output {
        let words = self.words(out, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        started(self.0.path(), &words)
    }

    #[track_caller]
    pub(crate) fn refused(&self, out: &str, words: &[&str], facts: &[&str]) {
        let output = self.segment(out, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for fact in facts {
            assert!(said.contains(fact), "no {fact:?} in {said}");
        }
    }

    pub(crate) fn list(&self, out: &str) -> Value {
        let text = fs::read_to_string(self.path(out).join("segments.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// Waves, so that places of a picture differ.
pub(crate) fn save(path: &Path, [width, height]: [u32; 2], phase: f32) {
    let wave = |place: f32| (127.0 + 120.0 * (place + phase).sin()) as u8;
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32, y as f32);
        Rgb([
            wave(x / 19.0 + y / 41.0),
            wave(y / 17.0),
            wave((x * y).sqrt() / 23.0),
        ])
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// All files below a folder by their paths in it.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_owned();
                    drop(found.insert(name, fs::read(&path).unwrap()));
                }
            }
        }
    }
    found
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let files = files(folder);
    files
        .keys()
        .map(|path| path.display().to_string())
        .collect()
}

pub(crate) fn indexed(path: &Path) -> LabelMask {
    let (mask, format) = read_mask(path).unwrap();
    assert_eq!(format, MaskFormat::Palette);
    mask
}
