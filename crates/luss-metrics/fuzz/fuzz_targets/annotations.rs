//! Whatever the text, COCO annotations, lists of pairs and label maps are read or refused, and so is every
//! mask that they hold. The first byte chooses.
#![no_main]

use std::{fs, path::Path};

use libfuzzer_sys::fuzz_target;
use luss_metrics::folder::{ColorMap, MaskFiles, MaskReader, MaskSource, Side, open_masks, read_pairs};

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("annotations-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("masks.json");
    match choice % 4 {
        0 => drop(ColorMap::from_label_map(&String::from_utf8_lossy(text), 1000)),
        1 => {
            fs::write(&file, text).unwrap();
            let _ = read_pairs(&file);
        }
        _ if has_large_number(text) => {}
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

/// Whether a picture may be too large to be read millions of times.
fn has_large_number(text: &[u8]) -> bool {
    text.windows(4).any(|digits| digits.iter().all(u8::is_ascii_digit))
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
