//! Whatever the bytes, a TIFF, an array or a coloured or two-valued PNG is a mask or is refused. The
//! first byte chooses the reader; checksums of PNGs are repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luss_metrics::folder::{ColorMap, MaskFormat, MaskReader};

#[path = "repair_checksums.rs"]
mod repair_checksums;

fuzz_target!(|input: &[u8]| {
    let Some((choice, file)) = input.split_first() else { return };
    let mut reader = match choice % 4 {
        0 => MaskReader::default(),
        1 => MaskReader::of_two(&[7]),
        2 => MaskReader::of_colors(ColorMap::voc(1000)),
        _ => MaskReader::of_colors(ColorMap::cityscapes(255)).expecting(MaskFormat::Colors),
    };
    let mut file = file.to_vec();
    repair_checksums::repair_checksums(&mut file);
    if let Ok((mask, format)) = reader.decode(&file) {
        assert_eq!(mask.labels().len(), mask.width() * mask.height());
        if format == MaskFormat::Binary {
            assert!(mask.labels().iter().all(|id| [0, 1, 7].contains(id)));
        }
    }
});
