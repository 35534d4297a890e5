//! Reads one golden set: masks, attention maps, expected numbers.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use golden::Arrays;
use luss_metrics::LabelMask;
use serde_json::Value;

/// A label set of the golden vectors.
pub(crate) struct GoldenSet {
    root: PathBuf,
    pub(crate) classes: u16,
    /// Relative path of each picture, without extension.
    pub(crate) images: Vec<String>,
    /// The toolbox's numbers.
    pub(crate) official: Value,
    /// Exact integers and float64.
    pub(crate) independent: Value,
}

impl GoldenSet {
    pub(crate) fn open(name: &str) -> Self {
        let root = golden::path(name);
        let json = |file: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(root.join(file)).unwrap()).unwrap()
        };
        let set = json("set.json");
        let image = |name: &Value| name.as_str().unwrap().to_string();
        let images: Vec<String> = set["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(image)
            .collect();
        assert!(!images.is_empty(), "a golden set that tests nothing");
        let classes = set["num_classes"].as_u64().unwrap() as u16;
        let (official, independent) = (json("official.json"), json("independent.json"));
        Self {
            root,
            classes,
            images,
            official,
            independent,
        }
    }

    /// All predictions with their truths.
    pub(crate) fn pairs(&self) -> Vec<(LabelMask, LabelMask)> {
        let mask = |kind: &str, name: &str| read_mask(&self.path(kind, name, "png"));
        self.images
            .iter()
            .map(|name| (mask("pred", name), mask("gt", name)))
            .collect()
    }

    /// The attention maps of all predictions.
    pub(crate) fn attention(&self) -> Vec<Vec<f32>> {
        self.images
            .iter()
            .map(|name| read_half_npy(&self.path("pred", name, "npy")))
            .collect()
    }

    /// An integer table of `counts.npz`, as rows.
    pub(crate) fn counts(&self, key: &str) -> Vec<Vec<u64>> {
        let table = Arrays::open(&self.root.join("counts.npz")).numbers(key);
        let rows = table.rows().into_iter();
        rows.map(|row| row.iter().map(|&count| count as u64).collect())
            .collect()
    }

    fn path(&self, kind: &str, name: &str, extension: &str) -> PathBuf {
        self.root.join(kind).join(format!("{name}.{extension}"))
    }
}

/// An 8-bit RGB mask: id = R + 256 G.
fn read_mask(path: &Path) -> LabelMask {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let rgb = (png::ColorType::Rgb, png::BitDepth::Eight);
    assert_eq!((info.color_type, info.bit_depth), rgb, "{}", path.display());
    let id = |rgb: &[u8]| u16::from(rgb[0]) + 256 * u16::from(rgb[1]);
    let labels = pixels[..info.buffer_size()]
        .chunks_exact(3)
        .map(id)
        .collect();
    LabelMask::new(info.width as usize, info.height as usize, labels).unwrap()
}

/// A `.npy` of version 1 with half-precision numbers.
fn read_half_npy(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..start]);
    assert!(
        header.contains("'<f2'") && header.contains("'fortran_order': False"),
        "{header}"
    );
    let half = |pair: &[u8]| f32_from_half(u16::from_le_bytes([pair[0], pair[1]]));
    bytes[start..].chunks_exact(2).map(half).collect()
}

fn f32_from_half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 => panic!("an attention that is no finite number: {bits:#06x}"),
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}
