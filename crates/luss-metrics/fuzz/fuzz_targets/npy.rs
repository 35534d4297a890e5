//! Whatever the bytes, an attention map reads or is refused, and holds no NaN.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luss_metrics::folder::decode_npy;

fuzz_target!(|file: &[u8]| {
    if let Ok(map) = decode_npy(file) {
        assert_eq!(map.scores().len(), map.width() * map.height());
        assert!(map.scores().iter().all(|score| !score.is_nan()));
    }
});
