use pass_model::group::Group;
use std::{env, fs, path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::kmeans::{KMeans, KMeansConfig};

/// Written by NumPy and safetensors; `rows.py` beside them.
fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name)
}

/// What `rows.py` stored.
fn expected() -> Vec<f32> {
    let value = |row: i32, column: i32| (7 * row - 3 * column) as f32 / 8.0;
    let rows = 0..3;
    rows.flat_map(|row| (0..5).map(move |column| value(row, column)))
        .collect()
}

fn read_all(rows: &dyn Rows) -> Vec<f32> {
    let mut all = vec![f32::NAN; rows.count() * rows.columns()];
    rows.read(0, &mut all).unwrap();
    all
}

#[track_caller]
fn assert_refused(opened: Result<RowFile>, words: &str) {
    let message = opened.expect_err("a file that is no rows").to_string();
    assert!(message.contains(words), "{message}");
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.npy");
    (folder, path)
}

fn partial(path: &Path) -> PathBuf {
    path.with_file_name("rows.npy.partial")
}

/// Rows whose numbers no float16 holds all bits of.
fn row(index: usize, columns: usize) -> Vec<f32> {
    let value = |column: usize| ((index * columns + column) as f32 * 0.37).sin();
    (0..columns).map(value).collect()
}

fn append(writer: &mut RowFileWriter, rows: std::ops::Range<usize>, columns: usize) {
    for index in rows {
        writer.append(&row(index, columns)).unwrap();
    }
}

fn written_at_once(rows: usize, columns: usize, element: Element) -> Vec<u8> {
    let (_folder, path) = folder();
    let mut writer = RowFileWriter::create(&path, columns, element).unwrap();
    append(&mut writer, 0..rows, columns);
    writer.finish().unwrap();
    fs::read(path).unwrap()
}

#[test]
fn the_last_row_is_read_as_it_was_stored_and_writing_goes_on() {
    for element in [Element::Float32, Element::Float16] {
        let stored = |index| {
            let (mut bytes, mut stored) = (Vec::new(), vec![0.0; 3]);
            element.encode(&row(index, 3), &mut bytes);
            element.decode(&bytes, &mut stored);
            Some(stored)
        };
        let (_folder, path) = folder();
        let mut writer = RowFileWriter::create(&path, 3, element).unwrap();
        assert_eq!(writer.last().unwrap(), None);
        append(&mut writer, 0..2, 3);
        assert_eq!(writer.last().unwrap(), stored(1), "before the first sync");
        writer.sync().unwrap();
        drop(writer);
        let mut writer = RowFileWriter::resume(&path, 3, element).unwrap();
        assert_eq!(writer.last().unwrap(), stored(1), "of an earlier process");
        append(&mut writer, 2..5, 3);
        assert_eq!(writer.last().unwrap(), stored(4));
        writer.finish().unwrap();
        assert_eq!(fs::read(path).unwrap(), written_at_once(5, 3, element));
    }
}

#[test]
fn files_of_numpy_and_safetensors_are_read_to_the_bit() {
    for name in ["rows_f32.npy", "rows_f16.npy", "rows_version2.npy"] {
        let rows = RowFile::open(&fixture(name)).unwrap();
        assert_eq!((rows.count(), rows.columns()), (3, 5));
        assert_eq!(read_all(&rows), expected(), "{name}");
        let mut last = [0.0; 5];
        rows.read(2, &mut last).unwrap();
        assert_eq!(last, expected()[10..]);
    }
    let path = fixture("rows.safetensors");
    for name in ["rows", "half"] {
        let rows = RowFile::open_tensor(&path, name).unwrap();
        assert_eq!(read_all(&rows), expected(), "{name}");
    }
    let only = RowFile::open(&fixture("rows_only.safetensors")).unwrap();
    assert_eq!(only.element(), Element::Float16);
    assert_eq!(read_all(&only), expected());
}

#[test]
fn what_is_no_rows_is_refused_with_cause_and_remedy() {
    let open = |name| RowFile::open(&fixture(name));
    assert_refused(open("rows_fortran.npy"), "ascontiguousarray");
    assert_refused(open("rows_big_endian.npy"), "'>f4'");
    assert_refused(open("rows_flat.npy"), "[15]");
    assert_refused(open("rows.py"), "neither .npy nor .safetensors");
    assert_refused(open("rows.safetensors"), "name one of");
    let tensors = fixture("rows.safetensors");
    let tensor = |name| RowFile::open_tensor(&tensors, name);
    assert_refused(tensor("row"), "no tensor row, only");
    assert_refused(tensor("ids"), "I64");
    assert_refused(tensor("bias"), "[5]");
    assert!(matches!(open("absent.npy"), Err(Error::Io { .. })));
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    for name in ["rows_f16.npy", "rows_only.safetensors"] {
        let bytes = fs::read(fixture(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_refused(RowFile::open(&path), "does not serve");
        }
        fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
        assert_refused(RowFile::open(&path), "but it has");
        fs::write(&path, [0xff; 400]).unwrap();
        assert_refused(RowFile::open(&path), "does not serve");
    }
}

#[test]
fn a_file_that_shrinks_under_its_reader_is_an_error() {
    let (_folder, path) = folder();
    fs::write(&path, written_at_once(9, 4, Element::Float32)).unwrap();
    let rows = RowFile::open(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(200).unwrap();
    assert!(matches!(rows.read(8, &mut [0.0; 4]), Err(Error::Io { .. })));
}

/// By the definition of IEEE 754: (-1)^s 2^(e-15) (1 + m/1024), subnormals below.
#[test]
fn every_half_is_widened_exactly_and_comes_back() {
    for bits in 0..=u16::MAX {
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let size = match exponent {
            31 => continue, // infinities and NaN
            0 => mantissa * 2f64.powi(-24),
            _ => (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
        };
        let value = if bits >> 15 == 1 { -size } else { size };
        let (mut found, mut back) = ([f32::NAN], Vec::new());
        Element::Float16.decode(&bits.to_le_bytes(), &mut found);
        assert_eq!(f64::from(found[0]), value);
        Element::Float16.encode(&found, &mut back);
        assert_eq!(back, bits.to_le_bytes());
        let wide = value as f32;
        Element::Bfloat16.decode(&wide.to_le_bytes()[2..], &mut found);
        assert_eq!(found[0].to_bits(), wide.to_bits() & 0xffff_0000);
    }
}

#[test]
fn what_is_written_is_what_numpy_writes() {
    for (name, element) in [
        ("rows_f32.npy", Element::Float32),
        ("rows_f16.npy", Element::Float16),
    ] {
        let (folder, path) = folder();
        let mut writer = RowFileWriter::create(&path, 5, element).unwrap();
        writer.append(&expected()[..5]).unwrap();
        writer.append(&expected()[5..]).unwrap();
        assert_eq!(writer.rows(), 3);
        assert!(!path.exists(), "not before it is whole");
        writer.finish().unwrap();
        let (ours, theirs) = (fs::read(&path).unwrap(), fs::read(fixture(name)).unwrap());
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(ours[128..], theirs[128..]);
        assert_eq!(read_all(&RowFile::open(&path).unwrap()), expected());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_resumed_file_equals_one_written_at_once() {
    let whole = written_at_once(40, 3, Element::Float16);
    for stop in [0, 1, 17, 40] {
        let (_folder, path) = folder();
        let mut writer = RowFileWriter::create(&path, 3, Element::Float16).unwrap();
        append(&mut writer, 0..stop, 3);
        writer.sync().unwrap();
        // Rows that reached the file, but not the header.
        append(&mut writer, 100..105, 3);
        drop(writer);
        let length = fs::metadata(partial(&path)).unwrap().len();
        assert_eq!(length, 128 + (stop as u64 + 5) * 6);
        let mut writer = RowFileWriter::resume(&path, 3, Element::Float16).unwrap();
        assert_eq!(writer.rows(), stop);
        append(&mut writer, stop..40, 3);
        writer.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_start_that_was_killed_before_its_header_starts_afresh() {
    let (_folder, path) = folder();
    fs::write(partial(&path), [0x93, b'N', b'U']).unwrap();
    let writer = RowFileWriter::resume(&path, 3, Element::Float32).unwrap();
    assert_eq!(writer.rows(), 0);
}

#[test]
fn rows_of_another_kind_are_not_continued_but_can_be_replaced() {
    let (_folder, path) = folder();
    let mut writer = RowFileWriter::create(&path, 3, Element::Float16).unwrap();
    append(&mut writer, 0..4, 3);
    writer.sync().unwrap();
    let other = RowFileWriter::resume(&path, 3, Element::Float16).unwrap_err();
    assert!(other.to_string().contains("another process"), "{other}");
    drop(writer);
    for (columns, element) in [(4, Element::Float16), (3, Element::Float32)] {
        let error = RowFileWriter::resume(&path, columns, element).unwrap_err();
        assert!(
            error.to_string().contains("3 columns as Float16"),
            "{error}"
        );
    }
    fs::OpenOptions::new()
        .write(true)
        .open(partial(&path))
        .and_then(|file| file.set_len(128 + 3 * 6))
        .unwrap();
    let error = RowFileWriter::resume(&path, 3, Element::Float16).unwrap_err();
    assert!(error.to_string().contains("counts 4 rows"), "{error}");
    let mut writer = RowFileWriter::create(&path, 4, Element::Float32).unwrap();
    append(&mut writer, 0..2, 4);
    writer.finish().unwrap();
    assert_eq!(RowFile::open(&path).unwrap().count(), 2);
}

#[test]
fn values_that_cannot_be_stored_are_refused_by_their_row() {
    let (_folder, path) = folder();
    let mut writer = RowFileWriter::create(&path, 2, Element::Float16).unwrap();
    writer.append(&[1.0, 2.0]).unwrap();
    for bad in [f32::NAN, f32::NEG_INFINITY, 65_520.0] {
        let error = writer.append(&[1.0, 2.0, 0.0, 65_504.0, 3.0, bad]);
        assert!(matches!(error, Err(Error::NotFinite { row: 3, .. })));
        assert_eq!(writer.rows(), 1, "nothing of them was written");
    }
}

const CHILD: &str = "LUSS_ROW_FILE_OF_THE_CHILD";
const COLUMNS: usize = 64;
const ROWS: usize = 30_000;

#[test]
#[ignore = "a child process of the test below"]
fn a_writer_in_a_child_process() {
    let path = env::var_os(CHILD).expect(CHILD);
    let path = Path::new(&path);
    let mut writer = RowFileWriter::resume(path, COLUMNS, Element::Float16).unwrap();
    for index in writer.rows()..ROWS {
        writer.append(&row(index, COLUMNS)).unwrap();
        if index % 1000 == 999 {
            writer.sync().unwrap();
        }
    }
    writer.finish().unwrap();
}

#[test]
fn a_writer_that_is_killed_again_and_again_ends_with_the_same_bits() {
    let (_folder, path) = folder();
    let mut kills = 0;
    while !path.exists() {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "row_file::tests::a_writer_in_a_child_process",
            ])
            .env(CHILD, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Longer each time, so that it ends on any machine.
        std::thread::sleep(Duration::from_millis(15 + 11 * kills));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 1, "it was killed at least once before it ended");
    let whole = written_at_once(ROWS, COLUMNS, Element::Float16);
    assert!(fs::read(&path).unwrap() == whole);
}

#[test]
fn clusters_of_a_file_are_those_of_its_rows_in_memory() {
    let (_folder, path) = folder();
    fs::write(&path, written_at_once(700, 9, Element::Float16)).unwrap();
    let file = RowFile::open(&path).unwrap();
    let resident = ndarray::Array2::from_shape_vec((700, 9), read_all(&file)).unwrap();
    let config = KMeansConfig {
        restarts: 3,
        ..KMeansConfig::new(12)
    };
    let cluster = |rows: &dyn Rows| {
        KMeans::new(rows, &config, &Group::default())
            .unwrap()
            .best(|_| ())
            .unwrap()
    };
    assert_eq!(cluster(&file), cluster(&resident.view()));
}

/// Writes pictures `range` of the maps `[_, 2, 3, 4]`.
fn write_maps(path: &Path, pictures: std::ops::Range<usize>) {
    let mut writer = RowFileWriter::resume_maps(path, &[2, 3], 4, Element::Float32).unwrap();
    for picture in pictures {
        let rows: Vec<f32> = (6 * picture..6 * picture + 6)
            .flat_map(|index| row(index, 4))
            .collect();
        writer.append(&rows).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn shards_of_maps_are_read_as_one_array() {
    let (_folder, path) = folder();
    write_maps(&path, 0..5);
    let whole = RowFile::open_dense(&path).unwrap();
    assert_eq!(whole.shape(), [5, 2, 3, 4]);
    let expected = read_all(&whole);
    fs::remove_file(&path).unwrap();
    for (shard, pictures) in [(1, 0..2), (2, 2..3), (3, 3..5)] {
        write_maps(&shard_path(&path, shard, 3), pictures);
    }
    let joined = RowFile::open_dense(&path).unwrap();
    assert_eq!(joined.shape(), [5, 2, 3, 4]);
    assert_eq!(read_all(&joined), expected);
    let mut middle = [0.0; 4 * 9];
    joined.read(10, &mut middle).unwrap();
    assert_eq!(middle, expected[40..76]);
}

#[test]
fn shards_that_do_not_make_one_array_are_refused() {
    let (_folder, path) = folder();
    write_maps(&shard_path(&path, 1, 2), 0..1);
    assert_refused(RowFile::open_dense(&path), "one of the 2 parts");
    let mut other = RowFileWriter::create(&shard_path(&path, 2, 2), 4, Element::Float32).unwrap();
    append(&mut other, 0..1, 4);
    other.finish().unwrap();
    assert_refused(RowFile::open_dense(&path), "that of the first part");
    write_maps(&shard_path(&path, 1, 3), 0..1);
    assert_refused(RowFile::open_dense(&path), "several divisions, into [2, 3]");
}

#[test]
fn maps_that_were_cut_off_are_resumed_behind_the_last_whole_picture() {
    let (_folder, path) = folder();
    write_maps(&path, 0..3);
    let expected = fs::read(&path).unwrap();
    fs::rename(&path, partial(&path)).unwrap();
    let mut writer = RowFileWriter::resume_maps(&path, &[2, 3], 4, Element::Float32).unwrap();
    assert_eq!(writer.rows(), 18);
    drop(writer);
    let error = RowFileWriter::resume_maps(&path, &[3, 2], 4, Element::Float32).unwrap_err();
    assert!(error.to_string().contains("remove it"), "{error}");
    writer = RowFileWriter::resume_maps(&path, &[2, 3], 4, Element::Float32).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), expected);
}
