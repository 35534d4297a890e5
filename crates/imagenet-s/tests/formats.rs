//! Pictures as people have them: turned by EXIF, transparent, of 16 bits, TIFF and BMP.
//!
//! `tests/fixtures/formats.py` wrote the files and the pixels that they stand for.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{
    DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use imagenet_s::{
    Background, Dataset, Decoding, Error, Loader, OddPictures, Orienting, Sample, Split, Stretch,
    decode_picture, read_picture,
};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    folder.join(name)
}

fn expected(name: &str) -> RgbImage {
    image::open(fixture(&format!("{name}.png")))
        .unwrap()
        .into_rgb8()
}

/// The largest difference of a level between a file and what is right.
fn difference(file: &str, decoding: &Decoding) -> u8 {
    let read = decoding.read(&fixture(file), OddPictures::Decode);
    let read =
        read.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    let stem = file.split('.').next().unwrap();
    let right = expected(stem.trim_end_matches("_source"));
    assert_eq!(read.dimensions(), right.dimensions(), "{file}");
    let levels = read.iter().zip(right.iter()).map(|(a, b)| a.abs_diff(*b));
    levels.max().unwrap()
}

#[track_caller]
fn check(file: &str, decoding: &Decoding) {
    assert_eq!(difference(file, decoding), 0, "{file}");
}

#[test]
fn tiff_files_of_all_layouts_are_read_as_they_are() {
    let stored = Decoding::default();
    for name in [
        "grey",
        "negative",
        "rgb_strips",
        "rgb_planar_tiles",
        "big",
        "infrared",
        "pages",
        "palette",
        "palette_4_bits",
        "grey_2_bits",
        "fax",
        "inks",
    ] {
        check(&format!("{name}.tif"), &stored);
        let sample = Sample::of_file(name, fixture(&format!("{name}.tif")), None);
        assert_eq!(sample.picture_size().unwrap(), (23, 19), "{name}");
    }
}

/// Decoders round the inverse DCT and the conversion of colours differently.
#[test]
fn tiff_files_with_jpeg_inside_are_read() {
    for name in ["photograph.tif", "luma.tif"] {
        assert!(difference(name, &Decoding::default()) <= 3, "{name}");
    }
}

#[test]
fn bmp_files_are_read() {
    for name in ["colours", "few_colours", "two_colours"] {
        check(&format!("{name}.bmp"), &Decoding::default());
    }
}

#[test]
fn chosen_bands_are_shown() {
    let decoding = Decoding {
        bands: vec![4, 3, 2],
        stretch: Stretch::Range([0.0, 3500.0]),
        ..Decoding::default()
    };
    check("bands.tif", &decoding);
    let one = Decoding {
        bands: vec![5],
        stretch: Stretch::Range([0.0, 300.0]),
        ..Decoding::default()
    };
    check("bands_planar.tif", &one);
}

#[test]
fn deep_samples_are_stretched() {
    let stretched = |stretch| Decoding {
        stretch,
        ..Decoding::default()
    };
    check(
        "percentile.tif",
        &stretched(Stretch::Percentile([2.0, 98.0])),
    );
    check("real.tif", &stretched(Stretch::Range([-50.0, 250.0])));
    check("signed.tif", &stretched(Stretch::Range([-200.0, 2000.0])));
    check(
        "narrow_source.png",
        &stretched(Stretch::Range([0.0, 4095.0])),
    );
}

#[test]
fn what_needs_a_choice_is_refused_with_the_setting() {
    let refused = |file: &str, bands: &[u16]| {
        let decoding = Decoding {
            bands: bands.to_vec(),
            ..Decoding::default()
        };
        let error = decoding.read(&fixture(file), OddPictures::Decode);
        let message = error.unwrap_err().to_string();
        assert!(message.contains(file), "{message}");
        message
    };
    assert!(refused("bands.tif", &[]).contains("has 5 bands"));
    assert!(refused("bands.tif", &[1, 2, 6]).contains("from 1 to 5: data.bands"));
    for file in ["real.tif", "signed.tif"] {
        assert!(refused(file, &[]).contains("data.stretch.range"));
    }
}

#[test]
fn inks_are_refused_unless_asked_for() {
    let error = read_picture(&fixture("inks.tif"), OddPictures::Refuse).unwrap_err();
    assert!(error.to_string().contains("CMYK"), "{error}");
}

#[test]
fn transparent_pixels_show_the_background() {
    for file in [
        "transparent.tif",
        "multiplied.tif",
        "grey_alpha.tif",
        "clear_source.png",
    ] {
        check(file, &Decoding::as_shown());
    }
    let red = Decoding {
        background: Background::Colour([200, 0, 0]),
        ..Decoding::default()
    };
    let clear = image::RgbaImage::from_pixel(3, 2, [10, 20, 30, 0].into());
    let mut bytes = Cursor::new(Vec::new());
    clear.write_to(&mut bytes, ImageFormat::WebP).unwrap();
    let path = Path::new("a.webp");
    let laid = red
        .decode(bytes.get_ref(), path, OddPictures::Refuse)
        .unwrap();
    assert_eq!(laid.get_pixel(2, 1), &Rgb([200, 0, 0]));
    let dropped = decode_picture(bytes.get_ref(), path, OddPictures::Refuse).unwrap();
    assert_eq!(dropped.get_pixel(2, 1), &Rgb([10, 20, 30]));
}

// Orientation

/// Oracle: Pillow's `exif_transpose`.
#[test]
fn tiff_files_are_turned_as_pillow_turns_them() {
    for value in 1..=8 {
        check(&format!("turned_{value}.tif"), &Decoding::as_shown());
    }
}

/// An EXIF block with the orientation in its first directory and another one in that of the thumbnail.
fn exif(value: u8, is_little: bool) -> Vec<u8> {
    let two = |number: u16| match is_little {
        true => number.to_le_bytes().to_vec(),
        false => number.to_be_bytes().to_vec(),
    };
    let four = |number: u16| match is_little {
        true => [two(number), two(0)].concat(),
        false => [two(0), two(number)].concat(),
    };
    let entry = |value: u8| [two(0x112), two(3), four(1), two(value.into()), two(0)].concat();
    let order: &[u8] = if is_little { b"II" } else { b"MM" };
    let first = [two(1), entry(value), four(26)].concat();
    let second = [two(1), entry(3), four(0)].concat();
    [order.to_vec(), two(42), four(8), first, second].concat()
}

fn small() -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| Rgb([10 * x as u8, 15 * y as u8, 90]))
}

/// A JPEG, PNG or WebP file with this EXIF block.
fn with_exif(format: ImageFormat, exif: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = DynamicImage::ImageRgb8(small());
    match format {
        ImageFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
            encoder.set_exif_metadata(exif).unwrap();
            picture.write_with_encoder(encoder).unwrap();
        }
        ImageFormat::Png => {
            let mut encoder = PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif).unwrap();
            picture.write_with_encoder(encoder).unwrap();
        }
        _ => {
            let mut encoder = WebPEncoder::new_lossless(&mut bytes);
            encoder.set_exif_metadata(exif).unwrap();
            picture.write_with_encoder(encoder).unwrap();
        }
    }
    bytes
}

/// Where the pixel at (x, y) of a turned picture is stored, by the table of CIPA DC-008: which side of
/// the scene the first row and the first column are.
fn place_in_stored(value: u8, (x, y): (u32, u32), (width, height): (u32, u32)) -> (u32, u32) {
    match value {
        1 => (x, y),
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        _ => (width - 1 - y, x),
    }
}

#[test]
fn pictures_are_turned_by_each_orientation_of_each_format() {
    let formats = [
        (ImageFormat::Jpeg, "a.jpg"),
        (ImageFormat::Png, "a.png"),
        (ImageFormat::WebP, "a.webp"),
    ];
    for (format, name) in formats {
        for (value, is_little) in (1..=8).flat_map(|value| [(value, true), (value, false)]) {
            let bytes = with_exif(format, exif(value, is_little));
            let stored = decode_picture(&bytes, Path::new(name), OddPictures::Refuse).unwrap();
            let turned = Decoding::as_shown().decode(&bytes, Path::new(name), OddPictures::Refuse);
            let turned = turned.unwrap();
            assert_eq!(stored.dimensions(), (24, 16));
            let size = if value < 5 { (24, 16) } else { (16, 24) };
            assert_eq!(turned.dimensions(), size, "{name} {value}");
            for (x, y, pixel) in turned.enumerate_pixels() {
                let (x, y) = place_in_stored(value, (x, y), (24, 16));
                assert_eq!(pixel, stored.get_pixel(x, y), "{name} {value}");
            }
        }
    }
}

#[test]
fn an_orientation_that_is_none_turns_nothing() {
    for value in [0, 9, 255] {
        let bytes = with_exif(ImageFormat::Jpeg, exif(value, true));
        let shown = Decoding::as_shown().decode(&bytes, Path::new("a.jpg"), OddPictures::Refuse);
        assert_eq!(shown.unwrap().dimensions(), (24, 16));
    }
}

/// Programs append the chunk behind the pixels, some with the header that it has in JPEG files.
#[test]
fn the_orientation_of_a_png_may_lie_behind_its_pixels() {
    let plain = with_exif(ImageFormat::Png, exif(6, true));
    let at = plain.windows(4).position(|kind| kind == b"eXIf").unwrap() - 4;
    let length = 12 + exif(6, true).len();
    let (before, chunk, after) = (&plain[..at], &plain[at..at + length], &plain[at + length..]);
    let (data, end) = after.split_at(after.len() - 12);
    let bytes = [before, data, chunk, end].concat();
    let shown = Decoding::as_shown().decode(&bytes, Path::new("a.png"), OddPictures::Refuse);
    assert_eq!(shown.unwrap().dimensions(), (16, 24));
}

/// Opens a folder with a turned picture in each format.
fn turned_folder() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [
        (ImageFormat::Jpeg, "a.jpg"),
        (ImageFormat::Png, "b.png"),
        (ImageFormat::WebP, "c.webp"),
    ] {
        fs::write(folder.path().join(name), with_exif(format, exif(6, false))).unwrap();
    }
    fs::copy(fixture("turned_6.tif"), folder.path().join("d.tif")).unwrap();
    let data = Dataset::open_pictures(folder.path(), 2).unwrap();
    (folder, data)
}

#[test]
fn pictures_of_ones_own_are_turned_and_have_the_turned_size() {
    let (_folder, data) = turned_folder();
    for sample in data.samples(Split::Train) {
        let picture = sample.read_picture(OddPictures::Refuse).unwrap();
        let size = (picture.width() as usize, picture.height() as usize);
        assert!(size.0 < size.1, "{}", sample.key);
        assert_eq!(sample.picture_size().unwrap(), size, "{}", sample.key);
    }
    let stored = Decoding {
        orientation: Orienting::Ignore,
        ..Decoding::as_shown()
    };
    let data = data.with_decoding(stored);
    for sample in data.samples(Split::Train) {
        let size = sample.picture_size().unwrap();
        assert!(size.0 > size.1, "{}", sample.key);
    }
}

#[test]
fn pictures_of_a_tree_are_read_as_they_are_stored() {
    let (folder, _) = turned_folder();
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join("train")).unwrap();
    fs::rename(folder.path(), tree.path().join("train/cat")).unwrap();
    let data = Dataset::open(tree.path()).unwrap();
    for sample in data.samples(Split::Train) {
        let size = sample.picture_size().unwrap();
        assert!(size.0 > size.1, "{}", sample.key);
    }
}

#[test]
fn what_is_worth_knowing_is_counted() {
    let (folder, _) = turned_folder();
    for name in [
        "narrow_source.png",
        "clear_source.png",
        "pages.tif",
        "transparent.tif",
    ] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    let jpeg = with_exif(ImageFormat::Jpeg, exif(1, true));
    fs::write(folder.path().join("endless.jpg"), &jpeg[..jpeg.len() - 2]).unwrap();
    let data = Dataset::open_pictures(folder.path(), 2).unwrap();
    let mut counts = imagenet_s::TraitCounts::default();
    for sample in data.samples(Split::Train) {
        let (errors, of_sample) = data.examine(sample, OddPictures::Refuse);
        assert!(errors.is_empty(), "{errors:?}");
        counts += &of_sample;
    }
    let lines = counts.lines(data.decoding());
    let facts = [
        ["4 pictures with an orientation", "a.jpg", "turned"],
        [
            "1 picture of 16 bits",
            "0 to 3616 or 6 %",
            "data.stretch.range = [0, 3616]",
        ],
        [
            "2 pictures with transparent pixels",
            "clear_source.png",
            "[255, 255, 255]",
        ],
        [
            "1 picture in TIFF files of several pages",
            "pages.tif",
            "first page",
        ],
        [
            "1 picture without end-of-image marker",
            "endless.jpg",
            "they are read",
        ],
    ];
    assert_eq!(lines.len(), facts.len(), "{lines:#?}");
    for (line, facts) in lines.iter().zip(facts) {
        assert!(facts.iter().all(|fact| line.contains(fact)), "{line}");
    }
    let stored = counts.lines(&Decoding::default());
    assert!(
        stored[0].contains("read as they are stored"),
        "{}",
        stored[0]
    );
    assert!(
        stored[2].contains("as if they were opaque"),
        "{}",
        stored[2]
    );
}

// Files that change

fn encoded(format: ImageFormat) -> Vec<u8> {
    match format {
        ImageFormat::Tiff => fs::read(fixture("rgb_strips.tif")).unwrap(),
        _ => {
            let mut bytes = Cursor::new(Vec::new());
            small().write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        }
    }
}

/// The first error of an epoch.
fn epoch(samples: &[Sample]) -> Option<Error> {
    let read = |sample: &Sample| sample.read_picture(OddPictures::Refuse);
    Loader::new(samples.to_vec(), 2, 4, read).find_map(Result::err)
}

#[test]
fn a_file_that_is_replaced_by_its_half_between_two_epochs_is_named() {
    for (format, extension) in [
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::Png, "png"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Tiff, "tif"),
        (ImageFormat::Bmp, "bmp"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = encoded(format);
        for name in ["a", "b", "c"] {
            let path = folder.path().join(name).with_extension(extension);
            fs::write(path, &bytes).unwrap();
        }
        let data = Dataset::open_pictures(folder.path(), 2).unwrap();
        let samples = data.samples(Split::Train);
        assert!(epoch(samples).is_none(), "{extension}");
        let replaced = &samples[1].picture;
        fs::write(replaced, &bytes[..bytes.len() / 2]).unwrap();
        let message = epoch(samples).expect("half a picture").to_string();
        assert!(message.contains(replaced.to_str().unwrap()), "{message}");
    }
}
