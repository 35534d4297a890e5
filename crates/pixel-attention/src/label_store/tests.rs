use super::*;

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
    let mut writer = LabelStoreWriter::create(path, 50).unwrap();
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
fn an_unfinished_store_leaves_nothing_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.labels");
    written(&path, 2);
    let mut writer = LabelStoreWriter::create(&path, 50).unwrap();
    writer.push("a/b", &labels(0, 3, 5)).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(LabelStore::open(&path).unwrap().len(), 2);
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
    let mut writer = LabelStoreWriter::create(&path, 50).unwrap();
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
    let mut writer = LabelStoreWriter::create(&path, 4).unwrap();
    let error = writer.push("a/b", &labels(1, 3, 5)).unwrap_err();
    assert!(
        matches!(error, Error::LabelOutOfRange { classes: 4, .. }),
        "{error}"
    );
    assert!(LabelStoreWriter::create(&path, 0).is_err());
    assert!(LabelStoreWriter::create(&path, 1000).is_err());
    let missing = folder.path().join("no/such/folder/x");
    assert!(matches!(
        LabelStoreWriter::create(&missing, 4),
        Err(Error::Io { .. })
    ));
}
