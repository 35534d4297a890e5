//! Laws of the fully unsupervised protocol: matching and evaluation together.

use luss_metrics::{CoOccurrence, Evaluator, LabelMask, Matching, OTHER, Protocol};

const CLASSES: u16 = 5;

/// Pictures in which class c is shown c + 1 times more often than class c - 1, so that the best
/// matching is unique, with some wrong pixels and some wrong pictures.
fn pictures() -> Vec<(LabelMask, LabelMask)> {
    let shown = (1..=CLASSES).flat_map(|class| std::iter::repeat_n(class, 2 * usize::from(class)));
    shown
        .enumerate()
        .map(|(index, class)| picture(index, class))
        .collect()
}

fn picture(index: usize, class: u16) -> (LabelMask, LabelMask) {
    let (width, height) = (7 + index % 3, 5);
    let object =
        |i: usize| (1..4).contains(&(i / width)) && (1 + index % 2..6).contains(&(i % width));
    let label = |i: usize| if object(i) { class } else { OTHER };
    let guess = |i: usize| {
        if i % 11 == index % 11 {
            label((i + 3) % 35)
        } else {
            label(i)
        }
    };
    let wrong = if index % 7 == 6 {
        class % CLASSES + 1
    } else {
        class
    };
    let truth = (0..width * height).map(label).collect();
    let predicted = (0..width * height).map(|i| if guess(i) == OTHER { OTHER } else { wrong });
    let mask = |labels| LabelMask::new(width, height, labels).unwrap();
    (mask(predicted.collect()), mask(truth))
}

fn matching_of(pictures: &[(LabelMask, LabelMask)], clusters: u16) -> Matching {
    let mut table = CoOccurrence::new(clusters, CLASSES);
    pictures
        .iter()
        .for_each(|(predicted, truth)| table.add(predicted, truth).unwrap());
    Matching::image_level(&table).unwrap()
}

fn matched(pictures: &[(LabelMask, LabelMask)], clusters: u16) -> Evaluator {
    let matching = matching_of(pictures, clusters);
    let mut evaluator = Evaluator::new(Protocol::new(CLASSES));
    for (predicted, truth) in pictures {
        evaluator
            .add(&matching.apply(predicted).unwrap(), truth)
            .unwrap();
    }
    evaluator
}

fn relabelled(
    pictures: &[(LabelMask, LabelMask)],
    new_id: impl Fn(u16) -> u16,
) -> Vec<(LabelMask, LabelMask)> {
    let mut pictures = pictures.to_vec();
    let labels = pictures
        .iter_mut()
        .flat_map(|(predicted, _)| predicted.labels_mut());
    labels
        .filter(|label| **label != OTHER)
        .for_each(|label| *label = new_id(*label));
    pictures
}

#[test]
fn a_permuted_labelling_has_the_same_matched_scores() {
    let pictures = pictures();
    let permuted = relabelled(&pictures, |cluster| cluster * 2 % 5 + 1);
    assert_ne!(pictures, permuted);
    assert_eq!(matched(&permuted, CLASSES), matched(&pictures, CLASSES));
}

#[test]
fn clusters_without_a_pixel_change_nothing() {
    let pictures = pictures();
    let spread = relabelled(&pictures, |cluster| cluster * 3);
    assert_eq!(matched(&spread, 17), matched(&pictures, CLASSES));
}

#[test]
fn good_predictions_are_matched_to_themselves() {
    let pictures = pictures();
    let matching = matching_of(&pictures, CLASSES);
    assert_eq!(matching.to_json(), Matching::identity(CLASSES).to_json());
    let miou = matched(&pictures, CLASSES).report().miou.unwrap();
    assert!((0.5..1.0).contains(&miou), "{miou}");
}

#[test]
fn matching_tables_of_two_halves_add_up() {
    let pictures = pictures();
    let table = |part: &[(LabelMask, LabelMask)]| {
        let mut table = CoOccurrence::new(CLASSES, CLASSES);
        part.iter()
            .for_each(|(predicted, truth)| table.add(predicted, truth).unwrap());
        table
    };
    let mut merged = table(&pictures[9..]);
    merged.merge(&table(&pictures[..9])).unwrap();
    assert_eq!(merged, table(&pictures));
}
