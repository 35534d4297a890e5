//! One process at a time works in a folder of masks, on one plan.

use std::{fs, path::Path};

use imagenet_s::{Decoding, OddPictures};
use luss::segment::{Journal, Plan, Recipe, pictures_of};
use pass_train::{Verbosity, apply::Sizing};

use crate::place::Place;

fn plan(out: &Path, input: &Path) -> Plan {
    let recipe = Recipe {
        model_sha256: "a".to_owned(),
        sizing: Sizing {
            resize: Some(64),
            square: false,
            tile: 64,
            longer_side_cap: 0,
        },
        decoding: Decoding::as_shown(),
        odd_pictures: OddPictures::Refuse,
        names: Vec::new(),
        skip_broken: false,
    };
    let pictures = pictures_of(&[input.to_owned()]).unwrap();
    Plan::open(out, recipe, &pictures, 1, Verbosity::Quiet).unwrap()
}

#[track_caller]
fn check_refused(out: &Path, plan: &Plan, fact: &str) {
    let Err(error) = Journal::open(out, plan) else {
        panic!("two processes at once");
    };
    assert!(error.to_string().contains(fact), "{error}");
}

#[test]
fn of_two_that_begin_one_folder_at_once_one_is_refused() {
    let place = Place::with_pictures(2, 40);
    let out = place.path("masks");
    let [first, second] = ["0", "1"].map(|n| plan(&out, &place.path(&format!("pictures/{n}.png"))));
    assert!(!out.exists(), "a plan alone leaves nothing");
    let journal = Journal::open(&out, &first).unwrap();
    let kept = || fs::read(out.join(".segment/plan.json")).unwrap();
    let before = kept();
    check_refused(&out, &second, "another process writes masks there");
    drop(journal);
    check_refused(&out, &second, "has begun other masks there in the meantime");
    assert!(kept() == before);
    Journal::open(&out, &first).unwrap();
}
