//! Bad input, as a user meets it: the built program stops with a message that names path, cause and
//! remedy, before it has trained or written anything.

mod own_pictures;
mod place;

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use image::{ImageBuffer, ImageFormat, Rgb, RgbImage};
use imagenet_s::{LabelMask, Split, write_mask};
use place::{Place, check_passed, check_refused, files};

fn cmyk_jpeg() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../imagenet-s/tests/fixtures/cmyk.jpg")
}

fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_folder_without_pictures_is_refused() {
    let place = Place::new();
    let (empty, texts) = (place.path("empty"), place.path("texts"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&texts).unwrap();
    fs::write(texts.join("notes.txt"), "no picture").unwrap();
    fs::write(texts.join("labels.csv"), "none either").unwrap();
    for (folder, ignored) in [
        (empty, "left out: nothing"),
        (texts, "left out: 1 csv, 1 txt"),
    ] {
        place.check_is_refused(
            &[
                "--images".as_ref(),
                folder.as_os_str(),
                "--classes".as_ref(),
                "3".as_ref(),
            ],
            &[
                as_text(&folder),
                "no JPEG, PNG, WebP, TIFF or BMP picture",
                ignored,
                "check the path",
            ],
        );
    }
}

#[test]
fn a_tree_without_training_pictures_is_refused() {
    let place = Place::new();
    let train = Split::Train.pictures(&place.tree());
    fs::remove_dir_all(&train).unwrap();
    place.check_tree_is_refused(&[as_text(&train), "missing", "give the root"]);
    fs::create_dir(&train).unwrap();
    place.check_tree_is_refused(&[as_text(&train), "no JPEG", "unpacked"]);
}

#[test]
fn a_truncated_jpeg_is_refused() {
    let place = Place::new();
    let picture = place.picture();
    let bytes = fs::read(&picture).unwrap();
    fs::write(&picture, &bytes[..bytes.len() / 2]).unwrap();
    place.check_tree_is_refused(&[as_text(&picture), "truncated", "fetch it again"]);
}

#[test]
fn all_bad_files_are_named_at_once() {
    let place = Place::new();
    let (picture, mask) = (place.picture(), place.mask(Split::TrainSemi));
    fs::write(&picture, "<html>404</html>").unwrap();
    fs::write(&mask, "<html>404</html>").unwrap();
    let facts = [
        "2 bad files",
        as_text(&picture),
        "content is neither",
        as_text(&mask),
        "replace",
    ];
    place.check_tree_is_refused(&facts);
}

/// Spoils a picture: the run is refused, and the remedy works in the directory of that start.
#[track_caller]
fn check_is_refused_until_accepted(spoil: impl FnOnce(&Path), cause: &str) {
    let place = Place::new();
    let picture = place.picture();
    spoil(&picture);
    let remedy = "data.odd_pictures = \"decode\"";
    place.check_tree_is_refused(&[as_text(&picture), cause, remedy]);

    let (tree, run) = (place.tree(), place.run_dir());
    let mut arguments: Vec<&OsStr> = vec!["--data".as_ref(), tree.as_ref()];
    arguments.extend(["--run".as_ref(), run.as_os_str()]);
    arguments.extend(["--set", "data.odd_pictures=decode"].map(OsStr::new));
    arguments.extend(["--set", "pretrain.epochs=0"].map(OsStr::new));
    check_passed(&place.start("step pretrain", &arguments));
    assert!(run.join("done/check_data.json").is_file());
    assert!(run.join("pretrain/weights.safetensors").is_file());
}

#[test]
fn a_cmyk_jpeg_is_refused_until_such_pictures_are_accepted() {
    let copy = |picture: &Path| fs::write(picture, fs::read(cmyk_jpeg()).unwrap()).unwrap();
    check_is_refused_until_accepted(copy, "CMYK");
}

#[test]
fn a_misnamed_png_is_refused_until_such_pictures_are_accepted() {
    let misname = |picture: &Path| {
        let png = RgbImage::new(40, 32);
        png.save_with_format(picture, ImageFormat::Png).unwrap();
    };
    check_is_refused_until_accepted(misname, "content is PNG but the name says JPEG");
}

#[test]
fn a_16_bit_mask_is_refused() {
    let place = Place::new();
    let mask = place.mask(Split::Validation);
    ImageBuffer::from_pixel(40, 32, Rgb([1_u16, 0, 0]))
        .save(&mask)
        .unwrap();
    place.check_tree_is_refused(&[as_text(&mask), "16-bit RGB", "id = R + 256 G"]);
}

#[test]
fn a_palette_mask_is_refused() {
    let place = Place::new();
    let mask = place.mask(Split::TrainSemi);
    let mut encoder = png::Encoder::new(File::create(&mask).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette([0, 0, 0, 1, 0, 0].as_slice());
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0, 1])
        .unwrap();
    place.check_tree_is_refused(&[as_text(&mask), "8-bit palette", "id = R + 256 G"]);
}

#[test]
fn a_mask_of_another_size_than_its_picture_is_refused() {
    let place = Place::new();
    let mask = place.mask(Split::Validation);
    write_mask(&mask, &LabelMask::new(3, 2, vec![1; 6]).unwrap()).unwrap();
    place.check_tree_is_refused(&[as_text(&mask), "3 x 2 pixels", "resize the mask"]);
}

#[test]
fn an_id_above_the_class_count_is_refused() {
    let place = Place::new();
    let mask = place.mask(Split::TrainSemi);
    let mut labels = imagenet_s::read_mask(&mask).unwrap();
    labels.labels_mut()[7] = 4;
    write_mask(&mask, &labels).unwrap();
    place.check_tree_is_refused(&[as_text(&mask), "id 4", "1 to 3", "use the masks"]);
}

#[test]
fn a_batch_larger_than_the_data_is_refused_before_the_first_step() {
    let place = Place::new();
    let (tree, run) = (place.tree(), place.run_dir());
    let mut arguments: Vec<&OsStr> = vec!["--data".as_ref(), tree.as_ref(), "--run".as_ref()];
    arguments.push(run.as_os_str());
    arguments.extend(["--set", "finetune.batch=13"].map(OsStr::new));
    let facts = [
        "finetune",
        "12 pictures",
        "a batch of 13",
        "lower this step's `batch`",
    ];
    place.check_is_refused(&arguments, &facts);
}

/// The administrator may write everywhere, so the places are such that nobody can.
#[test]
fn an_unwritable_run_directory_is_refused() {
    let place = Place::new();
    let tree = place.tree();
    let file = place.path("file");
    fs::write(&file, "not a folder").unwrap();
    let mut places = vec![file.join("run")];
    if Path::new("/proc/self").exists() {
        places.push("/proc/run".into());
    }
    for run in places {
        let facts = [as_text(&run), "create the run directory"];
        let data: [&[&OsStr]; 2] = [&["--data".as_ref(), tree.as_os_str()], &[]];
        for data in data {
            let arguments = [data, &["--run".as_ref(), run.as_os_str()]].concat();
            place.check_is_refused(&arguments, &facts);
        }
    }
}

#[test]
fn the_run_directory_of_another_run_file_is_refused() {
    let place = Place::new();
    let (tree, run) = (place.tree(), place.run_dir());
    let mut arguments: Vec<&OsStr> = vec!["--data".as_ref(), tree.as_ref(), "--run".as_ref()];
    arguments.push(run.as_os_str());
    arguments.extend(["--set", "pretrain.epochs=0", "--seed", "7"].map(OsStr::new));
    check_passed(&place.start("step pretrain", &arguments));
    *arguments.last_mut().unwrap() = "8".as_ref();
    let facts = [
        as_text(&run),
        "another run",
        "`seed` is 7 there and 8 here",
        "another folder",
    ];
    place.check_is_refused(&arguments, &facts);
}

#[test]
fn a_bad_run_file_is_refused_with_its_path_and_key() {
    let place = Place::new();
    let config = place.path("my.toml");
    let cases = [
        (
            "[pretrain]\nepoch = 3",
            ["epoch", "expected one of", "`epochs`"],
        ),
        (
            "[pretrain]\nepochs = \"three\"",
            ["epochs", "line 2", "invalid type"],
        ),
        ("[finetune]\ncrop = 0", ["finetune.crop", "= 0", "must be"]),
        ("[pretrain", ["line 1", "pretrain", "expected"]),
    ];
    for (text, facts) in cases {
        fs::write(&config, text).unwrap();
        let arguments: [&OsStr; 2] = ["--config".as_ref(), config.as_ref()];
        place.check_is_refused(
            &arguments,
            &[&[as_text(&config)], facts.as_slice()].concat(),
        );
    }
    let absent: [&OsStr; 2] = ["--config".as_ref(), "absent.toml".as_ref()];
    place.check_is_refused(&absent, &["absent.toml", "No such file", "check the path"]);
}

#[test]
fn a_bad_setting_on_the_command_line_is_refused_by_its_key() {
    let place = Place::new();
    for (setting, fact) in [
        ("pretrain.epoch=3", "epoch"),
        ("pretrain.epochs=three", "three"),
        ("network.prototypes=1", "network.prototypes"),
        ("seed", "KEY=VALUE"),
    ] {
        place.check_is_refused(&["--set".as_ref(), setting.as_ref()], &[fact]);
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_was_not_built_in_is_refused() {
    let place = Place::new();
    let arguments: [&OsStr; 2] = ["--device".as_ref(), "cuda:0".as_ref()];
    place.check_is_refused(
        &arguments,
        &["--device cuda", "without it", "--features cuda"],
    );
}

#[test]
fn pictures_need_a_sensible_number_of_classes() {
    let place = Place::new();
    let pictures = Split::Train.pictures(&place.tree());
    let images: [&OsStr; 2] = ["--images".as_ref(), pictures.as_os_str()];
    place.check_is_refused(&images, &["--classes"]);
    for (classes, fact) in [
        ("1", "2 to 999"),
        ("1000", "2 to 999"),
        ("13", "12 pictures"),
    ] {
        let arguments = [images.as_slice(), &["--classes".as_ref(), classes.as_ref()]].concat();
        place.check_is_refused(&arguments, &["classes", fact]);
    }
}

/// A thread for each of a hundred thousand would take all of the machine's; the run file has the same
/// limits.
#[test]
fn numbers_of_threads_that_no_machine_has_are_refused() {
    let place = Place::new();
    for threads in ["0", "100000", "many"] {
        let arguments: [&OsStr; 2] = ["--threads".as_ref(), threads.as_ref()];
        place.check_is_refused(&arguments, &["--threads", "1 to 1024"]);
    }
    place.check_is_refused(
        &["--set", "data.workers=100000"].map(OsStr::new),
        &["data.workers", "1 to 1024"],
    );
    place.check_is_refused(
        &["--seed", "9223372036854775808"].map(OsStr::new),
        &["--seed"],
    );
}

#[test]
fn a_step_that_needs_an_earlier_one_starts_no_run() {
    let place = Place::new();
    let run = place.path("mistyped");
    let before = files(&place.path("."));
    let fact = format!("no run at {}", run.display());
    for words in [
        "step tune_attention",
        "step cluster",
        "step sweep_threshold",
        "step generate_labels",
        "step finetune",
        "step predict",
        "step distance_matching",
        "step evaluate",
        "labels export",
    ] {
        let arguments: [&OsStr; 2] = ["--run".as_ref(), run.as_ref()];
        check_refused(&place.start(words, &arguments), &[&fact, "check --run"]);
        assert!(!run.exists(), "{words}");
    }
    let arguments = ["--run", "mistyped", "--backbone", "a.safetensors"].map(OsStr::new);
    check_refused(&place.start("weights export", &arguments), &["no run at"]);
    assert_eq!(files(&place.path(".")), before);
}

#[test]
fn the_command_that_goes_on_is_given_where_a_former_setting_is_left_out() {
    let place = Place::new();
    let (tree, run) = (place.tree(), place.run_dir());
    let data: [&OsStr; 4] = [
        "--data".as_ref(),
        tree.as_ref(),
        "--run".as_ref(),
        run.as_ref(),
    ];
    let former = ["--set", "pretrain.epochs=0", "--set", "network.hidden=16"].map(OsStr::new);
    check_passed(&place.start("step pretrain", &[data.as_slice(), &former].concat()));
    let go_on = format!("step pretrain --run {}", run.display());
    let output = place.start("step pretrain", &data);
    let facts = [
        "`pretrain.epochs` is 0 there",
        "`network.hidden` is 16 there",
        &go_on,
    ];
    check_refused(&output, &facts);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("delete"));
}

/// A run on the pictures of the tree, without its masks, whose first step has nothing to train.
fn pretrained_without_masks(place: &Place) -> (PathBuf, String) {
    let (pictures, run) = (Split::Train.pictures(&place.tree()), place.run_dir());
    let mut arguments: Vec<&OsStr> = vec!["--images".as_ref(), pictures.as_ref()];
    arguments.extend(["--run".as_ref(), run.as_os_str()]);
    arguments.extend(["--classes", "3", "--set", "pretrain.epochs=0"].map(OsStr::new));
    let output = place.start("step pretrain", &arguments);
    check_passed(&output);
    (run, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn scores_without_masks_are_refused() {
    let place = Place::new();
    let (run, _) = pretrained_without_masks(&place);
    let output = place.start("step evaluate", &["--run".as_ref(), run.as_ref()]);
    check_refused(&output, &["needs masks of the validation", "report.html"]);
}

#[test]
fn few_images_get_more_epochs_which_are_told_and_stored_and_the_start_is_noted() {
    let place = Place::new();
    let (run, said) = pretrained_without_masks(&place);
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let raised =
        "attention: 67 epochs in place of 6, since 12 images would give it fewer than 200 updates";
    assert!(said.contains(raised), "{said}");
    assert!(
        read("run.toml").contains("epochs = 67"),
        "{}",
        read("run.toml")
    );
    assert!(read("run.toml").contains("[pretrain]\nmethod = \"pass_s\"\nepochs = 0"));
    let starts = read("starts.jsonl");
    assert_eq!(starts.lines().count(), 1);
    assert!(starts.contains("step pretrain --set") && starts.contains("\"device\":\"cpu\""));
}

#[test]
fn a_run_directory_without_a_run_is_named_before_images_are_drawn_into_it() {
    let place = Place::new();
    let run = place.path("tpyo");
    let mut arguments: Vec<&OsStr> = vec!["--run".as_ref(), run.as_ref()];
    arguments.extend(["--set", "data.source.synthetic.train=3"].map(OsStr::new));
    let told = format!("no run at {}: begins one there", run.display());
    place.check_is_refused(&arguments, &[&told, "--images DIR --classes K", "too few"]);
}

#[test]
fn a_plain_folder_as_data_is_answered_with_images() {
    let place = Place::new();
    let pictures = Split::Train.pictures(&place.tree());
    let arguments: [&OsStr; 2] = ["--data".as_ref(), pictures.as_os_str()];
    let remedy = format!("--images {} --classes K", pictures.display());
    place.check_is_refused(&arguments, &[&remedy]);
    let loose = pictures.join("loose.png");
    RgbImage::new(40, 32).save(&loose).unwrap();
    place.check_tree_is_refused(&[as_text(&loose), "--images"]);
}

#[test]
fn a_missing_data_folder_is_refused() {
    let place = Place::new();
    let arguments: [&OsStr; 2] = ["--data".as_ref(), "nowhere".as_ref()];
    place.check_is_refused(&arguments, &["nowhere", "no such folder", "check the path"]);
    let file = place.picture();
    let arguments: [&OsStr; 2] = ["--data".as_ref(), file.as_os_str()];
    place.check_is_refused(
        &arguments,
        &[as_text(&file), "is a file", "give the folder"],
    );
}
