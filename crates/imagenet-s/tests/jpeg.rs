//! JPEG files that decoders take for others: read as Pillow reads them, or refused by name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use imagenet_s::{Error, OddPictures, Sample, decode_picture, read_picture};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg");
    folder.join(name)
}

/// The files that are read, written by `tests/fixtures/jpeg_samplings.py` as the others are.
const READ: [&str; 12] = [
    "chroma_larger",
    "chroma_larger_progressive",
    "chroma_larger_restarts",
    "chroma_larger_rgb",
    "one_chroma_larger",
    "crossed",
    "three",
    "separate_scans",
    "mixed_scans",
    "usual",
    "usual_progressive",
    "usual_restarts",
];

/// Oracle: Pillow. The decoders round their inverse DCT, colours and upsampling differently, by up
/// to 5 levels; a component that is misplaced is off by dozens.
#[test]
fn every_sampling_has_the_colours_that_pillow_sees() {
    for name in READ {
        let path = fixture(&format!("{name}.jpg"));
        let own = read_picture(&path, OddPictures::Refuse).unwrap();
        let pillow = fixture(&format!("{name}.png"));
        let expected = read_picture(&pillow, OddPictures::Refuse).unwrap();
        assert_eq!(own.dimensions(), expected.dimensions());
        let levels = own.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b));
        assert!(levels.max() <= Some(5), "{name}");
        let sample = Sample::of_file(name, path, None);
        assert_eq!(sample.picture_size().unwrap(), (37, 19));
    }
}

fn refusal(bytes: &[u8]) -> String {
    let error = decode_picture(bytes, Path::new("a.jpg"), OddPictures::Decode).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::PictureKind { .. }), "{message}");
    assert!(message.contains("convert it") && !message.contains("fetch it again"));
    message
}

#[test]
fn a_sampling_that_no_decoder_reads_rightly_is_refused_by_its_factors() {
    let message = refusal(&fs::read(fixture("refused.jpg")).unwrap());
    assert!(message.contains("factors 2x1,4x1,4x1"), "{message}");
}

#[test]
fn kinds_of_jpeg_that_are_not_read_are_refused_by_name() {
    let usual = fs::read(fixture("usual.jpg")).unwrap();
    let frame = usual
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    for (at, byte, kind) in [
        (1, 0xC3, "a lossless JPEG"),
        (1, 0xC7, "a hierarchical JPEG"),
        (1, 0xC9, "an arithmetic-coded JPEG"),
        (1, 0xCA, "an arithmetic-coded JPEG"),
        (1, 0xF7, "a JPEG-LS file"),
        (4, 12, "a 12-bit JPEG"),
        (9, 2, "a JPEG of 2 colour components"),
        (14, 0x30, "sampling factors 2x2,3x0,1x1"),
    ] {
        let mut bytes = usual.clone();
        bytes[frame + at] = byte;
        // Two components end the header three bytes earlier.
        if kind.contains("2 colour") {
            bytes[frame + 3] -= 3;
            bytes.drain(frame + 16..frame + 19);
        }
        let message = refusal(&bytes);
        assert!(message.contains(kind), "{message}");
    }
}

#[test]
fn a_file_that_lacks_only_its_end_marker_is_read() {
    for name in READ {
        let path = fixture(&format!("{name}.jpg"));
        let bytes = fs::read(&path).unwrap();
        let whole = read_picture(&path, OddPictures::Refuse).unwrap();
        for missing in [1, 2] {
            let cut = &bytes[..bytes.len() - missing];
            let read = decode_picture(cut, &path, OddPictures::Refuse).unwrap();
            assert!(read == whole, "{name} without {missing} bytes");
        }
    }
}

/// The last byte or two of the data may be padding; whatever is read has the pixels of the file.
#[test]
fn a_file_that_lacks_data_is_refused_wherever_it_ends() {
    for name in READ {
        let path = fixture(&format!("{name}.jpg"));
        let bytes = fs::read(&path).unwrap();
        let whole = read_picture(&path, OddPictures::Refuse).unwrap();
        let data = bytes.len() - 2;
        for length in (3..data - 4).step_by(7).chain(data - 4..data) {
            match decode_picture(&bytes[..length], &path, OddPictures::Decode) {
                Ok(read) => assert!(data - length <= 3 && read == whole, "{name}: {length}"),
                Err(error) => assert!(matches!(error, Error::TruncatedPicture { .. }), "{error}"),
            }
        }
    }
}
