//! Whatever the text, COCO annotations, lists of pairs and label maps are read or refused, and so is every
//! mask that they hold. The first byte chooses. The segments of panoptic annotations lie in `a.png`.
#![no_main]

use std::{fs, path::Path};

use libfuzzer_sys::fuzz_target;
use luss_metrics::{
    LabelMask,
    folder::{ColorMap, MaskFiles, MaskReader, MaskSource, Side, encode_mask, open_masks, read_pairs},
};
use serde_json::Value;

/// Longest side of a picture that is read: larger ones take too long to be read millions of times.
const LONGEST: u64 = 200;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("annotations-{}", std::process::id()));
    let file = folder.join("masks.json");
    if !folder.is_dir() {
        fs::create_dir_all(file.with_extension("")).unwrap();
        let segments = LabelMask::new(3, 2, vec![0, 7, 7, 263, 7, 0]).unwrap();
        fs::write(file.with_extension("").join("a.png"), encode_mask(&segments)).unwrap();
    }
    match choice % 4 {
        0 => drop(ColorMap::from_label_map(&String::from_utf8_lossy(text), 1000)),
        1 => {
            fs::write(&file, text).unwrap();
            let _ = read_pairs(&file);
        }
        _ if is_too_large(text) => {}
        choice => {
            fs::write(&file, text).unwrap();
            let Ok(truth) = open_masks(&file, MaskFiles::default(), "", Side::Truth { ignore: 1000 }) else { return };
            read_all(&*truth);
            if choice == 3 {
                let side = Side::Prediction { truth: &*truth };
                read_all(&*open_masks(&file, MaskFiles::default(), "", side).unwrap());
            }
        }
    }
});

/// Whether the text says so of a picture. What is no JSON is refused before a picture is read.
fn is_too_large(text: &[u8]) -> bool {
    fn has_long_side(value: &Value) -> bool {
        let is_long = |side: &Value| side.as_u64().is_some_and(|side| side > LONGEST);
        match value {
            Value::Array(items) => items.iter().any(has_long_side),
            Value::Object(fields) => fields.iter().any(|(key, value)| match key.as_str() {
                "width" | "height" => is_long(value),
                "size" => value.as_array().is_some_and(|sides| sides.iter().any(is_long)),
                _ => has_long_side(value),
            }),
            _ => false,
        }
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    serde_json::from_slice(text).is_ok_and(|value| has_long_side(&value))
}

/// Reads all masks.
fn read_all(masks: &dyn MaskSource) {
    let mut reader = MaskReader::default();
    let paths: Vec<&Path> = masks.tree().iter().map(|(_, path)| path).collect();
    for path in paths {
        if let Ok(mask) = masks.read(path, &mut reader) {
            assert_eq!(mask.labels().len(), mask.width() * mask.height());
        }
    }
}
