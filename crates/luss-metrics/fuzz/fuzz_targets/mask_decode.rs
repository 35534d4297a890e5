//! Whatever the bytes, a mask reads or is refused. Each input is tried as it is and with its
//! checksums repaired, so that mutations reach the decoder behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luss_metrics::folder::decode_mask;

#[path = "repair_checksums.rs"]
mod repair_checksums;

fuzz_target!(|file: &[u8]| {
    let _ = decode_mask(file);
    let mut repaired = file.to_vec();
    repair_checksums::repair_checksums(&mut repaired);
    if let Ok((mask, _)) = decode_mask(&repaired) {
        assert_eq!(mask.labels().len(), mask.width() * mask.height());
    }
});
