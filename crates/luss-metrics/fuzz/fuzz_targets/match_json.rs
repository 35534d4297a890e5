//! Whatever the text, a match file reads or is refused; what was read is written such that it reads
//! the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luss_metrics::Matching;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(matching) = Matching::from_json(&text) {
        let again = Matching::from_json(&matching.to_json());
        assert_eq!(again.as_ref(), Ok(&matching));
    }
});
