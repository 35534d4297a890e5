use super::*;
use crate::row_file::Element;

fn labels(seed: usize, width: usize, height: usize) -> FeatureLabels {
    let pixels = width * height;
    FeatureLabels {
        width,
        height,
        ids: (0..pixels)
            .map(|i| ((i * 7 + seed) % 50 + 1) as u16)
            .collect(),
        attention: (0..pixels)
            .map(|i| (i + seed) as f32 / (pixels + seed) as f32)
            .collect(),
    }
}

fn key(picture: usize) -> String {
    format!("n0{}/täst_{picture}", picture % 3)
}

fn written(path: &Path, pictures: usize) {
    let mut writer = LabelStoreWriter::create(path, LabelFormat::new(50)).unwrap();
    assert!(writer.is_empty());
    for picture in 0..pictures {
        writer
            .push(&key(picture), &labels(picture, 3 + picture % 2, 5))
            .unwrap();
    }
    assert_eq!(writer.len(), pictures);
    writer.finish().unwrap();
}

#[test]
fn what_was_written_is_read_by_key_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 11);
    let store = LabelStore::open(&path).unwrap();
    assert_eq!((store.len(), store.classes()), (11, 50));
    for picture in (0..11).rev() {
        assert!(store.contains(&key(picture)));
        assert_eq!(
            store.get(&key(picture)).unwrap(),
            labels(picture, 3 + picture % 2, 5)
        );
    }
    assert_eq!(store.keys(), (0..11).map(key).collect::<Vec<_>>());
}

#[test]
fn attention_that_is_not_finite_is_neither_written_nor_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let mut writer = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
    let mut bad = labels(0, 2, 1);
    bad.attention[1] = f32::NAN;
    let error = writer.push("a", &bad).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 0, .. }), "{error}");
    writer.push("a", &labels(0, 2, 1)).unwrap();
    writer.finish().unwrap();

    let mut bytes = std::fs::read(&path).unwrap();
    let attention = format::HEADER_BYTES as usize + 2 * 2;
    bytes[attention..attention + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = LabelStore::open(&path).unwrap().get("a").unwrap_err();
    assert!(
        error.to_string().contains("attention of a holds"),
        "{error}"
    );
}

#[test]
fn threads_read_one_store_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 40);
    let store = LabelStore::open(&path).unwrap();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for picture in (0..40).map(|i| (i * 7 + first * 10) % 40) {
                    let expected = labels(picture, 3 + picture % 2, 5);
                    assert_eq!(store.get(&key(picture)).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn an_unfinished_store_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 2);
    let mut writer = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
    writer.push("a/b", &labels(0, 3, 5)).unwrap();
    drop(writer);
    assert_eq!(LabelStore::open(&path).unwrap().len(), 2);
}

#[test]
fn a_finished_store_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    written(&folder.path().join("train.labels"), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Writes pictures up to `last`, from where an earlier writer was stopped.
fn go_on(path: &Path, last: usize, format: LabelFormat) -> LabelStoreWriter {
    let mut writer = LabelStoreWriter::resume(path, format).unwrap();
    for picture in writer.len()..last {
        let (width, height) = (3 + picture % 2, 5);
        let labels = labels(picture, width, height);
        writer.push(&key(picture), &labels).unwrap();
    }
    writer
}

#[test]
fn a_store_that_was_stopped_anywhere_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = (folder.path().join("whole"), folder.path().join("stopped"));
    written(&whole, 9);
    for counted in 0..=9 {
        for uncounted in [0, 1, 3] {
            let mut writer = go_on(&path, counted, LabelFormat::new(50));
            writer.sync().unwrap();
            drop(writer);
            // Of these the disk may hold a part that no cursor counts.
            drop(go_on(&path, counted + uncounted, LabelFormat::new(50)));
            let writer = go_on(&path, 9, LabelFormat::new(50));
            writer.finish().unwrap();
            assert_eq!(
                std::fs::read(&path).unwrap(),
                std::fs::read(&whole).unwrap()
            );
        }
    }
}

#[test]
fn only_what_was_counted_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let mut writer = go_on(&path, 3, LabelFormat::new(50));
    writer.sync().unwrap();
    drop(writer);
    drop(go_on(&path, 5, LabelFormat::new(50)));
    let writer = LabelStoreWriter::resume(&path, LabelFormat::new(50)).unwrap();
    assert_eq!(writer.len(), 3);
    drop(writer);
    let afresh = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
    assert!(afresh.is_empty());
}

#[test]
fn a_cursor_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let stop = || {
        let mut writer = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
        writer.push("a/b", &labels(1, 3, 5)).unwrap();
        writer.sync().unwrap();
    };
    stop();
    let refused = LabelStoreWriter::resume(&path, LabelFormat::new(49));
    let error = refused.expect_err("other classes").to_string();
    assert!(error.contains("other classes"), "{error}");
    let partial = folder.path().join("train.labels.partial");
    let bytes = std::fs::read(&partial).unwrap();
    std::fs::write(&partial, &bytes[..bytes.len() - 1]).unwrap();
    let refused = LabelStoreWriter::resume(&path, LabelFormat::new(50));
    let error = refused.expect_err("cut short").to_string();
    assert!(error.contains("train.labels.cursor"), "{error}");
}

#[test]
fn two_writers_of_one_store_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let first = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
    let second = LabelStoreWriter::resume(&path, LabelFormat::new(50));
    let error = second.expect_err("locked").to_string();
    assert!(error.contains("another process"), "{error}");
    drop(first);
}

#[test]
fn float16_attention_takes_two_thirds_and_is_rounded() {
    let folder = tempfile::tempdir().unwrap();
    let (wide, narrow) = (folder.path().join("wide"), folder.path().join("narrow"));
    written(&wide, 9);
    let format = LabelFormat {
        attention: Element::Float16,
        ..LabelFormat::new(50)
    };
    go_on(&narrow, 9, format).finish().unwrap();
    let length = |path: &Path| std::fs::metadata(path).unwrap().len();
    let pixels: u64 = (0..9).map(|picture| 5 * (3 + picture % 2)).sum();
    assert_eq!(length(&wide) - length(&narrow), 2 * pixels);
    let [wide, narrow] = [&wide, &narrow].map(|path| LabelStore::open(path).unwrap());
    for picture in (0..9).map(key) {
        let [wide, narrow] = [&wide, &narrow].map(|store| store.get(&picture).unwrap());
        assert_eq!(wide.ids, narrow.ids);
        for (wide, narrow) in wide.attention.iter().zip(&narrow.attention) {
            assert!((wide - narrow).abs() <= wide / 2048.0, "{wide} {narrow}");
        }
    }
    let bfloat16 = LabelFormat {
        attention: Element::Bfloat16,
        ..format
    };
    assert!(LabelStoreWriter::create(&folder.path().join("x"), bfloat16).is_err());
}

#[test]
fn an_empty_store_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 0);
    assert!(LabelStore::open(&path).unwrap().is_empty());
}

#[test]
fn every_way_of_cutting_the_file_short_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 3);
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = LabelStore::open(&path).unwrap_err();
        let expected = matches!(error, Error::NotALabelStore { .. }) == (length < 16)
            && matches!(error, Error::DamagedLabelStore { .. }) == (length >= 16);
        assert!(expected, "{length}: {error}");
    }
}

#[test]
fn an_index_that_points_outside_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 1);
    let bytes = std::fs::read(&path).unwrap();
    // The entry ends just before the footer: width, height, offset.
    for field in [bytes.len() - 48, bytes.len() - 44, bytes.len() - 40] {
        let mut changed = bytes.clone();
        changed[field + 2] = 0xff;
        std::fs::write(&path, changed).unwrap();
        let error = LabelStore::open(&path).unwrap_err();
        assert!(matches!(error, Error::DamagedLabelStore { .. }), "{error}");
    }
}

#[test]
fn an_id_that_is_no_class_is_refused_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16] = 51;
    std::fs::write(&path, bytes).unwrap();
    let error = LabelStore::open(&path).unwrap().get(&key(0)).unwrap_err();
    assert!(error.to_string().contains("id 51"), "{error}");
}

#[test]
fn other_files_and_versions_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    assert!(matches!(
        LabelStore::open(&path),
        Err(Error::Io { action: "read", .. })
    ));
    std::fs::write(&path, [7; 100]).unwrap();
    assert!(matches!(
        LabelStore::open(&path),
        Err(Error::NotALabelStore { .. })
    ));
    written(&path, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    std::fs::write(&path, bytes).unwrap();
    let error = LabelStore::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            Error::LabelStoreVersion {
                found: 9,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn keys_must_be_new_when_written_and_known_when_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let mut writer = LabelStoreWriter::create(&path, LabelFormat::new(50)).unwrap();
    writer.push("a/b", &labels(1, 3, 5)).unwrap();
    let error = writer.push("a/b", &labels(2, 3, 5)).unwrap_err();
    assert!(matches!(error, Error::DuplicateKey { .. }), "{error}");
    writer.finish().unwrap();
    let error = LabelStore::open(&path).unwrap().get("a/c").unwrap_err();
    assert!(error.to_string().contains("a/c"), "{error}");
}

#[test]
fn ids_above_the_classes_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    let mut writer = LabelStoreWriter::create(&path, LabelFormat::new(4)).unwrap();
    let error = writer.push("a/b", &labels(1, 3, 5)).unwrap_err();
    assert!(
        matches!(error, Error::LabelOutOfRange { classes: 4, .. }),
        "{error}"
    );
    assert!(LabelStoreWriter::create(&path, LabelFormat::new(0)).is_err());
    assert!(LabelStoreWriter::create(&path, LabelFormat::new(1000)).is_err());
    let missing = folder.path().join("no/such/folder/x");
    assert!(matches!(
        LabelStoreWriter::create(&missing, LabelFormat::new(4)),
        Err(Error::Io { .. })
    ));
}
