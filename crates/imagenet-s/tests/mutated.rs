//! Damaged files: each is decoded or refused with an error that names it. None makes the decoder
//! panic, hang, or take more memory than a file of its length can need.

#![allow(unsafe_code)] // the allocator that counts

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use image::{
    DynamicImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use imagenet_s::{Decoding, Error, LabelMask, OddPictures, Stretch, decode_mask, write_mask};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// The most bytes that a file of this test, at most some 6 KB long, may ask for. A JPEG of 6 KB
/// stands for 3 million pixels at most, a PNG for 6 MB of samples; decoders hold them several
/// times.
const MOST_BYTES: usize = 100 << 20;

/// Mutations of each kind of file.
const MUTATIONS: u64 = 250;

/// The system's allocator, which remembers the most that was in use at once.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = layout.size() + IN_USE.fetch_add(layout.size(), Relaxed);
        MOST.fetch_max(in_use, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A whole file, and what its name ends in.
struct Original {
    name: &'static str,
    bytes: Vec<u8>,
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn jpegs() -> Vec<Original> {
    let grey = ImageBuffer::from_fn(45, 37, |x, y| Luma([(x * y) as u8]));
    vec![
        Original {
            name: "photo.jpg",
            bytes: fixture("photo.jpg"),
        },
        Original {
            name: "cmyk.jpg",
            bytes: fixture("cmyk.jpg"),
        },
        Original {
            name: "chroma_larger.jpg",
            bytes: fixture("jpeg/chroma_larger.jpg"),
        },
        Original {
            name: "grey.jpg",
            bytes: encoded(grey, ImageFormat::Jpeg),
        },
    ]
}

fn others() -> Vec<Original> {
    let deep = ImageBuffer::from_fn(33, 21, |x, y| Rgb([(x * 900) as u16, (y * 2000) as u16, 7]));
    let clear = RgbaImage::from_fn(40, 30, |x, y| [x as u8, y as u8, (x * y) as u8, 9].into());
    let webp = encoded(clear.clone(), ImageFormat::WebP);
    vec![
        Original {
            name: "deep.png",
            bytes: encoded(deep, ImageFormat::Png),
        },
        Original {
            name: "clear.png",
            bytes: encoded(clear, ImageFormat::Png),
        },
        Original {
            name: "clear.webp",
            bytes: webp,
        },
    ]
}

/// TIFF files of each layout, and BMP files.
fn formats() -> Vec<Original> {
    [
        "rgb_strips.tif",
        "rgb_planar_tiles.tif",
        "infrared.tif",
        "big.tif",
        "palette_4_bits.tif",
        "fax.tif",
        "luma.tif",
        "real.tif",
        "transparent.tif",
        "colours.bmp",
        "few_colours.bmp",
        "two_colours.bmp",
    ]
    .map(|name| Original {
        name,
        bytes: fixture(&format!("formats/{name}")),
    })
    .into()
}

/// A JPEG, a PNG and a WebP file that are to be turned.
fn turned() -> Vec<Original> {
    let picture = RgbImage::from_fn(24, 16, |x, y| Rgb([10 * x as u8, 15 * y as u8, 90]));
    // One entry of a TIFF directory: the orientation, a number of 16 bits, "turn by 90 degrees".
    let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
    let exif = [b"II*\0".as_slice(), &[8, 0, 0, 0, 1, 0], &entry, &[0; 4]].concat();
    let (mut jpeg, mut png, mut webp) = (Vec::new(), Vec::new(), Vec::new());
    let mut encoder = JpegEncoder::new(&mut jpeg);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    let files = [
        ("turned.jpg", jpeg),
        ("turned.png", png),
        ("turned.webp", webp),
    ];
    files.map(|(name, bytes)| Original { name, bytes }).into()
}

fn mask_png() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    let labels = (0..40 * 30).map(|pixel| (pixel % 37 * 27) as u16).collect();
    write_mask(&path, &LabelMask::new(40, 30, labels).unwrap()).unwrap();
    fs::read(path).unwrap()
}

/// The file with one to three damages of various kinds.
fn mutated(original: &[u8], seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = original.to_vec();
    for _ in 0..1 + random.next_u32() % 3 {
        damage(&mut bytes, &mut random);
    }
    if seed.is_multiple_of(2) {
        mend_png_sums(&mut bytes); // so that the damage gets past them
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let mut below = |n: usize| random.next_u64() as usize % n.max(1);
    let at = below(bytes.len());
    let length = below(bytes.len() - at).min(200);
    match below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + length)),
        2 => {
            let copy = bytes[at..at + length].to_vec();
            bytes.splice(at..at, copy);
        }
        3 => bytes[at..at + length].fill(0xFF),
        4 => bytes[at..at + length].fill(0),
        5 => {
            // The header, where sizes and tables are.
            let header = bytes.len().min(700);
            let at = below(header);
            bytes[at] = below(256) as u8;
        }
        6 => huge(bytes, below(1 << 16) as u16),
        _ => (0..8).for_each(|_| {
            let at = below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << below(8);
            }
        }),
    }
}

/// Writes a large size into the header.
fn huge(bytes: &mut [u8], side: u16) {
    let [high, low] = (side | 0x8000).to_be_bytes();
    if bytes.starts_with(b"\x89PNG") && bytes.len() > 24 {
        bytes[18..20].copy_from_slice(&[high, low]);
        bytes[22..24].copy_from_slice(&[high, low]);
    } else if bytes.starts_with(b"BM") && bytes.len() > 26 {
        bytes[18..20].copy_from_slice(&[low, high]);
        bytes[22..24].copy_from_slice(&[low, high]);
    } else if bytes.starts_with(b"II*") {
        // Width and height of the picture, and of its tiles.
        for tag in [256_u16, 257, 322, 323] {
            let [first, second] = tag.to_le_bytes();
            let entry = bytes.windows(2).position(|pair| pair == [first, second]);
            if let Some(value) = entry.and_then(|at| bytes.get_mut(at + 8..at + 10)) {
                value.copy_from_slice(&[low, high]);
            }
        }
    } else if let Some(at) = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0])
        && bytes.len() > at + 9
    {
        bytes[at + 5..at + 9].copy_from_slice(&[high, low, high, low]);
    }
}

/// Recomputes the check sum of each chunk of a PNG, as far as its chunks make sense.
fn mend_png_sums(bytes: &mut [u8]) {
    let mut at = 8;
    while bytes.starts_with(b"\x89PNG") && at + 12 <= bytes.len() {
        let length: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        let Some(end) = (u32::from_be_bytes(length) as usize).checked_add(at + 8) else {
            return;
        };
        if end + 4 > bytes.len() {
            return;
        }
        let sum = crc32(&bytes[at + 4..end]).to_be_bytes();
        bytes[end..end + 4].copy_from_slice(&sum);
        at = end + 4;
    }
}

/// ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

/// Runs `decode` on another thread and waits a minute: none of these files takes a second.
#[track_caller]
fn check(name: String, decode: impl FnOnce() -> Result<(), Error> + Send + 'static) -> bool {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let before = IN_USE.load(Relaxed);
        MOST.store(before, Relaxed);
        let result = catch_unwind(AssertUnwindSafe(decode));
        let taken = MOST.load(Relaxed).saturating_sub(before);
        send.send((result.map_err(drop), taken)).unwrap();
    });
    let (result, taken) = receive
        .recv_timeout(Duration::from_secs(60))
        .unwrap_or_else(|_| panic!("{name} hangs"));
    assert!(taken <= MOST_BYTES, "{name} takes {taken} bytes");
    match result.unwrap_or_else(|()| panic!("{name} panics")) {
        Ok(()) => true,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(&name), "{name} is not named: {message}");
            false
        }
    }
}

/// Shares of files that are decoded would say that the mutations do nothing, or everything.
#[track_caller]
fn check_share(decoded: usize, of: usize) {
    println!("{decoded} of {of} mutated files are decoded, the others refused");
    assert!(
        decoded > of / 50 && decoded < of,
        "{decoded} of {of} decoded"
    );
}

fn check_pictures(originals: Vec<Original>) {
    let (mut decoded, mut all) = (0, 0);
    for (kind, original) in originals.into_iter().enumerate() {
        for seed in 0..MUTATIONS {
            let bytes = mutated(&original.bytes, 1000 * kind as u64 + seed);
            let name = format!("{seed}_{}", original.name);
            let path = PathBuf::from(&name);
            let decoding = Decoding {
                stretch: Stretch::Percentile([2.0, 98.0]),
                ..Decoding::as_shown()
            };
            let decode = move || {
                decoding
                    .decode(&bytes, &path, OddPictures::Decode)
                    .map(drop)
            };
            decoded += usize::from(check(name, decode));
            all += 1;
        }
    }
    check_share(decoded, all);
}

/// One test, as the count of bytes is the whole program's.
#[test]
fn damaged_files_are_decoded_or_refused() {
    check_pictures(jpegs());
    check_pictures(others());
    check_pictures(formats());
    check_pictures(turned());
    let mask = mask_png();
    let decoded = (0..MUTATIONS).filter(|&seed| {
        let (bytes, name) = (mutated(&mask, 9000 + seed), format!("{seed}_mask.png"));
        let path = PathBuf::from(&name);
        check(name, move || decode_mask(&bytes, &path).map(drop))
    });
    // A stream of deflate with its sum forgives next to nothing.
    assert!((decoded.count() as u64) < MUTATIONS);
}

#[test]
fn the_sums_of_this_test_are_those_of_a_png() {
    let mut mended = mask_png();
    mend_png_sums(&mut mended);
    assert_eq!(mended, mask_png());
}
