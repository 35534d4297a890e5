//! TIFF files that are written here tag by tag: rare ones, and those that lie.

use std::{io::Cursor, path::Path};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, RgbImage};
use imagenet_s::{Background, Decoding, Error, OddPictures, Stretch};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const OFFSETS: u16 = 273;
const SAMPLES: u16 = 277;
const LENGTHS: u16 = 279;
const COLOUR_MAP: u16 = 320;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;

const GREY: u32 = 1;
const RGB: u32 = 2;
const PALETTE: u32 = 3;
const CMYK: u32 = 5;

const SIGNED: u32 = 2;
const REAL: u32 = 3;

/// A little-endian file of one strip.
struct Tiff {
    entries: Vec<(u16, Vec<u32>)>,
    strip: Vec<u8>,
}

impl Tiff {
    /// Without compression.
    fn new(size: [u32; 2], photometric: u32, samples: u32, bits: u32, strip: Vec<u8>) -> Self {
        let entries = vec![
            (WIDTH, vec![size[0]]),
            (HEIGHT, vec![size[1]]),
            (BITS, vec![bits; samples as usize]),
            (COMPRESSION, vec![1]),
            (PHOTOMETRIC, vec![photometric]),
            (OFFSETS, vec![8]),
            (SAMPLES, vec![samples]),
            (LENGTHS, vec![strip.len() as u32]),
        ];
        Self { entries, strip }
    }

    /// With another value of a tag, in place of the one that it has.
    fn with(mut self, tag: u16, values: &[u32]) -> Self {
        self.entries.retain(|entry| entry.0 != tag);
        self.with_also(tag, values)
    }

    /// With an entry for a tag behind those that it has.
    fn with_also(mut self, tag: u16, values: &[u32]) -> Self {
        self.entries.push((tag, values.to_vec()));
        self.entries.sort_by_key(|entry| entry.0);
        self
    }

    /// The strip lies behind the header, then come lists of values, then the directory. Numbers have 16
    /// bits where all of a tag fit.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [b"II*\0\0\0\0\0".as_slice(), &self.strip].concat();
        let mut directory = (self.entries.len() as u16).to_le_bytes().to_vec();
        for (tag, values) in &self.entries {
            let is_short = values.iter().all(|&value| value <= u16::MAX.into());
            let digits = if is_short { 2 } else { 4 };
            let mut list: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes()[..digits].to_vec())
                .collect();
            if list.len() > 4 {
                let place = bytes.len() as u32;
                bytes.extend(list);
                list = place.to_le_bytes().to_vec();
            }
            list.resize(4, 0);
            directory.extend(tag.to_le_bytes());
            directory.extend(if is_short { [3, 0] } else { [4, 0] });
            directory.extend((values.len() as u32).to_le_bytes());
            directory.extend(list);
        }
        let place = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&place.to_le_bytes());
        [bytes, directory, vec![0; 4]].concat()
    }

    fn read(&self, decoding: &Decoding) -> Result<RgbImage, Error> {
        decoding.decode(&self.bytes(), Path::new("a.tif"), OddPictures::Decode)
    }

    /// The levels of the first band.
    #[track_caller]
    fn levels(&self, decoding: &Decoding) -> Vec<u8> {
        let picture = self.read(decoding).unwrap_or_else(|error| {
            panic!("{error}: {:?}", std::error::Error::source(&error));
        });
        picture.pixels().map(|pixel| pixel.0[0]).collect()
    }

    #[track_caller]
    fn check_is_refused(&self, said: &str) {
        let error = self.read(&Decoding::default()).unwrap_err();
        assert!(matches!(error, Error::PictureKind { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

fn stretched(stretch: Stretch) -> Decoding {
    Decoding {
        stretch,
        ..Decoding::default()
    }
}

fn of_32_bits(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn of_reals(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn of_16_bits(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let values = values.into_iter();
    values.flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_plain_file_is_read() {
    let file = Tiff::new([3, 2], GREY, 1, 8, vec![0, 50, 100, 150, 200, 250]);
    assert_eq!(file.levels(&Decoding::default()), file.strip);
}

/// GDAL leaves out what is empty, with offset 0 and length 0.
#[test]
fn a_sparse_file_is_refused_by_name() {
    let file = Tiff::new([3, 2], GREY, 1, 8, vec![9; 6]);
    let sparse = file.with(OFFSETS, &[0]).with(LENGTHS, &[0]);
    sparse.check_is_refused("leaves out strips or tiles (sparse)");
}

#[test]
fn unsigned_values_of_32_bits_need_a_stretch() {
    let values = [0, 1000, 2000, 3000];
    let file = Tiff::new([2, 2], GREY, 1, 32, of_32_bits(&values));
    let message = file.read(&Decoding::default()).unwrap_err().to_string();
    assert!(message.contains("of 32 bits and more"), "{message}");
    assert!(message.contains("data.stretch.range"), "{message}");
    let range = stretched(Stretch::Range([0.0, 3000.0]));
    assert_eq!(file.levels(&range), [0, 85, 170, 255]);
}

#[test]
fn small_samples_that_are_signed_or_real_are_refused() {
    for (bits, format) in [(1, SIGNED), (2, SIGNED), (4, SIGNED), (4, REAL)] {
        let file = Tiff::new([8, 1], GREY, 1, bits, vec![0x5A; 4]);
        let file = file.with(SAMPLE_FORMAT, &[format]);
        file.check_is_refused(&format!("signed or real samples of {bits} bits"));
    }
}

#[test]
fn a_palette_is_of_unsigned_values_that_it_has_colours_for() {
    // Of 4 values: black, red, green, blue.
    let colours = [[0, 0xFF00, 0, 0], [0, 0, 0xFF00, 0], [0, 0, 0, 0xFF00]];
    let file = Tiff::new([4, 1], PALETTE, 1, 2, vec![0b00_01_10_11]);
    let file = file.with(COLOUR_MAP, &colours.concat());
    let picture = file.read(&Decoding::default()).unwrap();
    let right = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    assert_eq!(picture.into_raw(), right);

    let large = Tiff::new([2, 2], PALETTE, 1, 32, of_32_bits(&[0, 1, 2, 70_000]));
    let large = large.with(COLOUR_MAP, &vec![7; 3 << 16]);
    large.check_is_refused("with a palette");
    let signed = Tiff::new([2, 1], PALETTE, 1, 8, vec![1, 0xFF]);
    let signed = signed.with(COLOUR_MAP, &vec![7; 3 << 8]);
    let signed = signed.with(SAMPLE_FORMAT, &[SIGNED]);
    signed.check_is_refused("with a palette");
}

#[test]
fn inks_that_are_signed_or_real_are_refused() {
    let signed = Tiff::new([1, 1], CMYK, 4, 8, vec![1, 2, 3, 4]);
    let signed = signed.with(SAMPLE_FORMAT, &[SIGNED; 4]);
    signed.check_is_refused("in CMYK");
    let real = Tiff::new([1, 1], CMYK, 4, 32, of_reals(&[0.0, 0.5, 1.0, 0.0]));
    let real = real.with(SAMPLE_FORMAT, &[REAL; 4]);
    real.check_is_refused("in CMYK");
}

#[test]
fn real_opacity_is_from_0_to_1_and_signed_one_is_refused() {
    let values = [100.0, 100.0, 100.0, 0.2, 100.0, 100.0, 100.0, 1.0];
    let real = Tiff::new([2, 1], RGB, 4, 32, of_reals(&values));
    let real = real
        .with(SAMPLE_FORMAT, &[REAL; 4])
        .with(EXTRA_SAMPLES, &[2]);
    let on_white = Decoding {
        stretch: Stretch::Range([0.0, 255.0]),
        background: Background::Colour([255; 3]),
        ..Decoding::default()
    };
    // 100 * 0.2 + 255 * 0.8 = 224
    assert_eq!(real.levels(&on_white), [224, 100]);

    let signed = Tiff::new([1, 1], RGB, 4, 8, vec![9; 4]);
    let signed = signed
        .with(SAMPLE_FORMAT, &[SIGNED; 4])
        .with(EXTRA_SAMPLES, &[2]);
    let error = signed.read(&on_white).unwrap_err().to_string();
    assert!(error.contains("signed opacity"), "{error}");
}

/// As satellites have it: red, green, blue, infrared, opacity.
#[test]
fn opacity_may_lie_behind_other_bands() {
    let file = Tiff::new([1, 1], RGB, 5, 8, vec![100, 100, 100, 7, 51]);
    let file = file.with(EXTRA_SAMPLES, &[0, 2]);
    // 100 * 0.2 + 255 * 0.8 = 224
    assert_eq!(file.levels(&Decoding::as_shown()), [224]);
}

#[test]
fn opacity_that_is_itself_chosen_is_shown_as_it_is() {
    let file = Tiff::new([2, 1], RGB, 4, 8, vec![9, 9, 9, 51, 9, 9, 9, 0]);
    let file = file.with(EXTRA_SAMPLES, &[2]);
    let fourth = Decoding {
        bands: vec![4],
        ..Decoding::as_shown()
    };
    assert_eq!(file.levels(&fourth), [51, 0]);
}

/// Of two entries the last one holds.
#[test]
fn bands_are_found_though_a_tag_is_there_twice() {
    let file = Tiff::new([2, 1], RGB, 4, 8, vec![1, 2, 3, 4, 5, 6, 7, 8]);
    let twice = file.with_also(PHOTOMETRIC, &[RGB]);
    let fourth = Decoding {
        bands: vec![4],
        ..Decoding::default()
    };
    assert_eq!(twice.levels(&fourth), [4, 8]);
}

#[test]
fn two_bands_are_no_choice() {
    let file = Tiff::new([1, 1], RGB, 3, 8, vec![1, 2, 3]);
    let two = Decoding {
        bands: vec![1, 2],
        ..Decoding::default()
    };
    let error = file.read(&two).unwrap_err();
    assert!(matches!(error, Error::Bands { bands: 3, .. }), "{error}");
}

/// ITU-T T.6: a row that is as the one before takes one bit, 1; two codes of 000000000001 end the page.
#[test]
fn a_blank_page_of_fax_is_read_though_its_file_is_small() {
    let (width, height) = (24_000, 160);
    let mut page = vec![0xFF; height / 8];
    page.extend([0x00, 0x10, 0x01]);
    let length = page.len() as u32;
    let file = Tiff::new([width, height as u32], 0, 1, 1, page);
    let file = file.with(COMPRESSION, &[4]).with(LENGTHS, &[length]);
    let pixels = u64::from(width) * height as u64;
    assert!(
        pixels > 8 * 2731 * file.bytes().len() as u64,
        "no such page"
    );
    let levels = file.levels(&Decoding::default());
    assert!(levels.iter().all(|&level| level == 255));

    // Of no more rows than there are bits.
    let more = Tiff::new([width, 5000], 0, 1, 1, file.strip.clone());
    let more = more.with(COMPRESSION, &[4]);
    let error = more.read(&Decoding::default()).unwrap_err();
    assert!(matches!(error, Error::PictureTooLarge { .. }), "{error}");
}

/// Oracle: `numpy.percentile([0, 300, ..., 2100], [10, 90])` is 210 and 1890, where that of each value
/// three times is 300 and 1800.
#[test]
fn a_grey_png_and_a_grey_tiff_have_the_same_percentiles() {
    let values = [0, 300, 600, 900, 1200, 1500, 1800, 2100];
    let decoding = stretched(Stretch::Percentile([10.0, 90.0]));
    let tiff = Tiff::new([4, 2], GREY, 1, 16, of_16_bits(values));
    let png = ImageBuffer::<Luma<u16>, _>::from_raw(4, 2, values.to_vec()).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    let png = DynamicImage::ImageLuma16(png);
    png.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let path = Path::new("a.png");
    let png = decoding.decode(bytes.get_ref(), path, OddPictures::Refuse);
    let png: GrayImage = DynamicImage::ImageRgb8(png.unwrap()).into_luma8();
    assert_eq!(tiff.levels(&decoding), png.into_raw());
    let right = values.map(|value| {
        let share = (f64::from(value) - 210.0) / (1890.0 - 210.0);
        (255.0 * share.clamp(0.0, 1.0)).round() as u8
    });
    assert_eq!(tiff.levels(&decoding), right);
}
