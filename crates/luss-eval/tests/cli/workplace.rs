//! A temporary folder with masks, and the program run in it.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
};

use png::{BitDepth, ColorType, Encoder};
use serde_json::Value;

/// A temporary folder.
pub(crate) struct Workplace(tempfile::TempDir);

/// How the program ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes an RGB mask, id = R + 256 G.
    pub(crate) fn mask(&self, name: &str, size: (u32, u32), ids: &[u16]) {
        let bytes = |id: &u16| [id.to_le_bytes()[0], id.to_le_bytes()[1], 0];
        let rows: Vec<u8> = ids.iter().flat_map(bytes).collect();
        self.png(name, size, (ColorType::Rgb, BitDepth::Eight), &rows);
    }

    /// Writes a PNG of any kind.
    pub(crate) fn png(
        &self,
        name: &str,
        size: (u32, u32),
        kind: (ColorType, BitDepth),
        rows: &[u8],
    ) {
        let file = BufWriter::new(File::create(self.made(name)).unwrap());
        let mut encoder = Encoder::new(file, size.0, size.1);
        encoder.set_color(kind.0);
        encoder.set_depth(kind.1);
        if kind.0 == ColorType::Indexed {
            encoder.set_palette([9; 3].repeat(256));
        }
        encoder
            .write_header()
            .unwrap()
            .write_image_data(rows)
            .unwrap();
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.made(name), bytes).unwrap();
    }

    /// Writes a map of `float32` scores.
    pub(crate) fn npy(&self, name: &str, (width, height): (u32, u32), scores: &[f32]) {
        let data = scores.iter().flat_map(|score| score.to_le_bytes());
        let data: Vec<u8> = data.collect();
        self.array(name, "<f4", &format!("({height}, {width})"), &data);
    }

    /// Writes a `.npy` of any kind.
    pub(crate) fn array(&self, name: &str, descr: &str, shape: &str, data: &[u8]) {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let start = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()];
        self.file(name, [&start.concat(), data].concat());
    }

    /// One picture of one row.
    pub(crate) fn with_row(truth: &[u16], prediction: &[u16]) -> Self {
        let place = Self::new();
        place.mask("truth/a.png", (truth.len() as u32, 1), truth);
        place.mask("pred/a.png", (truth.len() as u32, 1), prediction);
        place
    }

    /// The path of a file whose folder exists.
    fn made(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Three good pictures of 4 by 3 pixels and 3 classes, in class folders.
    pub(crate) fn with_three_pictures() -> Self {
        let place = Self::new();
        place.mask(
            "truth/a/one.png",
            (4, 3),
            &[0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1000],
        );
        place.mask(
            "pred/a/one.png",
            (4, 3),
            &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
        );
        place.mask(
            "truth/a/two.png",
            (4, 3),
            &[2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0],
        );
        place.mask(
            "pred/a/two.png",
            (4, 3),
            &[2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0],
        );
        place.mask(
            "truth/b/three.png",
            (3, 4),
            &[3, 3, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0],
        );
        place.mask(
            "pred/b/three.png",
            (3, 4),
            &[0, 3, 3, 0, 3, 3, 0, 0, 0, 0, 0, 0],
        );
        place
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run_in(self.0.path(), arguments)
    }

    /// Runs it on `pred` and `truth` with 3 classes.
    pub(crate) fn eval(&self, arguments: &[&str]) -> Run {
        self.run(
            &[
                &["--pred", "pred", "--truth", "truth", "--classes", "3"],
                arguments,
            ]
            .concat(),
        )
    }

    /// Runs it on `pred` and `truth` with `classes`, such as `--classes 1`.
    pub(crate) fn eval_as(&self, classes: &[&str], arguments: &[&str]) -> Run {
        self.run(&[&["--pred", "pred", "--truth", "truth"], classes, arguments].concat())
    }

    /// The JSON of such a run, which must have scored.
    #[track_caller]
    pub(crate) fn json_as(&self, classes: &[&str], arguments: &[&str]) -> Value {
        let json = ["--json", "out.json"];
        self.eval_as(classes, &[&json, arguments].concat()).scored();
        self.read_json("out.json")
    }

    /// The JSON of a run on these sides with 3 classes, which must have scored.
    #[track_caller]
    pub(crate) fn json_of(&self, pred: &str, truth: &str, arguments: &[&str]) -> Value {
        let sides = [
            "--pred",
            pred,
            "--truth",
            truth,
            "--classes",
            "3",
            "--json",
            "out.json",
        ];
        self.run(&[&sides, arguments].concat()).scored();
        self.read_json("out.json")
    }

    /// The JSON of a run on `pred` and `truth` with 3 classes, which must have scored.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.eval(&[&["--json", "out.json"], arguments].concat())
            .scored();
        self.read_json("out.json")
    }

    pub(crate) fn read_json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_luss-eval"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    Run {
        code: output.status.code().expect("an exit code, not a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn scored(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Exit code 2, nothing that looks like a score, and all parts in the message.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) -> &Self {
        assert_eq!(self.code, 2, "{}", self.stderr);
        assert_eq!(self.stdout, "");
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in: {}",
                self.stderr
            );
        }
        self
    }
}
