//! A modest form of the fuzz targets in `fuzz/`: whatever a mutation makes of a match file or an
//! attention map, it reads or is refused. (The one of masks is beside their decoder.)

use luss_metrics::Matching;

/// Repeatable noise (SplitMix64).
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % n as u64) as usize
    }

    /// Replaces, inserts or removes some bytes.
    fn mutate(&mut self, file: &mut Vec<u8>, alphabet: &[u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(file.len());
            let byte = alphabet[self.below(alphabet.len())];
            match self.below(3) {
                0 => file[at] = byte,
                1 => file.insert(at, byte),
                _ if file.len() > 1 => drop(file.remove(at)),
                _ => {}
            }
        }
    }
}

#[test]
fn mutated_match_files_read_back_as_they_are_written() {
    let (mut noise, mut read) = (Noise(5), 0);
    for _ in 0..20_000 {
        let mut text = br#"{"1": 30, "2": 1, "3": 200, "4": 2, "0": 0}"#.to_vec();
        noise.mutate(&mut text, br#"0123456789"{}:, -.e"#);
        let Ok(matching) = Matching::from_json(&String::from_utf8_lossy(&text)) else {
            continue;
        };
        read += 1;
        assert_eq!(Matching::from_json(&matching.to_json()), Ok(matching));
    }
    assert!(read > 1000, "only {read} of the mutations were read");
}

#[cfg(feature = "folder")]
#[test]
fn mutated_attention_maps_do_no_harm() {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n";
    let length = (header.len() as u16).to_le_bytes();
    let seed = [
        b"\x93NUMPY\x01\x00",
        length.as_slice(),
        header.as_bytes(),
        &[0; 24],
    ]
    .concat();
    let alphabet: Vec<u8> = (0..=255).collect();
    let mut noise = Noise(6);
    for _ in 0..20_000 {
        let mut file = seed.clone();
        noise.mutate(&mut file, &alphabet);
        if let Ok(map) = luss_metrics::folder::decode_npy(&file) {
            assert_eq!(map.scores().len(), map.width() * map.height());
            assert!(map.scores().iter().all(|score| !score.is_nan()));
        }
    }
}

#[cfg(feature = "tiff")]
#[test]
fn mutated_masks_of_other_tools_do_no_harm() {
    use luss_metrics::folder::decode_mask;

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/masks/");
    let alphabet: Vec<u8> = (0..=255).collect();
    let (mut noise, mut read) = (Noise(7), 0);
    for name in ["raw.tif", "tiff_lzw.tif", "opencv16.tiff", "int32.npy"] {
        let seed = std::fs::read(format!("{folder}{name}")).unwrap();
        for _ in 0..2000 {
            let mut file = seed.clone();
            noise.mutate(&mut file, &alphabet);
            if let Ok((mask, _)) = decode_mask(&file) {
                read += 1;
                assert_eq!(mask.labels().len(), mask.width() * mask.height());
            }
        }
    }
    assert!(read > 300, "only {read} of the mutations were read");
}
