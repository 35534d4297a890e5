//! A finished run on other pictures: `luss segment`.

mod inputs;
mod journal;
mod list;
mod plan;

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use html_report::palette::{Rgb, palette};
use imagenet_s::{LabelMask, Loader, Sample, remove_torn_masks, write_indexed_mask, write_mask};
use pass_train::{
    Progress, Verbosity,
    apply::{Labelled, Model, Prepared},
};

pub use inputs::pictures_of;
pub use journal::Journal;
pub use pass_train::run_file::MaskForm;
pub use plan::{Plan, Planned, Recipe, Skipped};

use journal::{Done, Segment, mask_path};
use list::{rounded, write_list};

/// Bytes of prepared pictures that may wait for the network.
const WAITING: usize = 256 << 20;

/// Where and how fast masks are made; they do not depend on it.
pub struct Work {
    /// Pictures of one size that go through the network together.
    pub batch: usize,
    /// Threads that decode.
    pub workers: usize,
    /// What is told.
    pub verbosity: Verbosity,
}

/// Writes `OUT/KEY.png` of every picture of the plan, from where an earlier process came, and then
/// `OUT/segments.json`; returns how many masks it wrote.
///
/// # Errors
///
/// A picture that cannot be read any more; logits that are not finite; a failed write.
pub fn segment(
    model: &mut Model,
    plan: &Plan,
    journal: &mut Journal,
    out: &Path,
    work: &Work,
) -> anyhow::Result<usize> {
    remove_torn_masks(out)?;
    let left: Vec<usize> = (0..plan.pictures.len())
        .filter(|index| !journal.done().contains_key(index))
        .collect();
    let (all, count) = (plan.pictures.len(), left.len());
    let before = (all - count) as u64;
    let mut progress = Progress::resumed(work.verbosity, "segment", before, all as u64, "pictures");
    let colors = colors(model.about().categories());
    let mut together = Vec::new();
    let mut pictures = loader(plan, left, work).peekable();
    while let Some(picture) = pictures.next() {
        together.push(picture?);
        let next = pictures.peek().and_then(|next| next.as_ref().ok());
        if next.is_some_and(|next| goes_with(next, &together, plan, work.batch)) {
            continue;
        }
        let labelled = label(model, &together, plan)?;
        for (picture, labelled) in together.iter().zip(labelled) {
            let place = mask_path(out, &plan.pictures[picture.index].key);
            write(&place, &labelled.mask, colors.as_deref())?;
            journal.add(done(picture.index, &labelled))?;
            progress.advance(1);
        }
        together.clear();
    }
    progress.finish();
    write_list(out, model.about(), plan, journal)?;
    Ok(count)
}

/// Prepared pictures, ahead of the network as far as memory allows.
fn loader(plan: &Plan, left: Vec<usize>, work: &Work) -> Loader<Prepared> {
    let (sizing, odd) = (plan.recipe.sizing, plan.recipe.odd_pictures);
    let pixels = |index: &usize| {
        let size = plan.pictures[*index].size;
        sizing.seen_pixels(size).max(size[0] * size[1])
    };
    let largest = 3 * left.iter().map(pixels).max().unwrap_or(1).max(1);
    let samples: Vec<Sample> = plan.samples().collect();
    let ahead = (WAITING / largest).clamp(1, 2 * work.batch);
    Loader::new(left, work.workers, ahead, move |&index: &usize| {
        let picture = samples[index].read_picture(odd)?;
        Ok(sizing.prepare(index, &picture))
    })
}

/// Whether a picture may go through the network with others.
fn goes_with(next: &Prepared, together: &[Prepared], plan: &Plan, batch: usize) -> bool {
    let [width, height] = next.seen();
    let pixels = (together.len() + 1) * width * height;
    let most = plan.recipe.sizing.tile.pow(2);
    together.len() < batch && next.seen() == together[0].seen() && pixels <= most
}

fn label(model: &mut Model, together: &[Prepared], plan: &Plan) -> anyhow::Result<Vec<Labelled>> {
    model.label(together, &plan.recipe.sizing).with_context(|| {
        let path = |picture: &Prepared| plan.pictures[picture.index].path.display();
        let (first, last) = (&together[0], &together[together.len() - 1]);
        format!("{} to {}", path(first), path(last))
    })
}

fn colors(categories: u16) -> Option<Vec<Rgb>> {
    let indexed = MaskForm::of(categories) == MaskForm::Indexed;
    indexed.then(|| palette(categories))
}

fn write(place: &Path, mask: &LabelMask, colors: Option<&[Rgb]>) -> Result<(), imagenet_s::Error> {
    match colors {
        Some(colors) => write_indexed_mask(place, mask, colors),
        None => write_mask(place, mask),
    }
}

fn done(picture: usize, labelled: &Labelled) -> Done {
    let mut pixels: BTreeMap<u16, u64> = BTreeMap::new();
    labelled
        .mask
        .labels()
        .iter()
        .for_each(|&id| *pixels.entry(id).or_default() += 1);
    let digits = |confidence: f64| rounded(confidence, 1e4);
    let segment = |(id, pixels): (u16, u64)| Segment {
        id,
        pixels,
        confidence: labelled.of_ids[usize::from(id)].map(digits),
    };
    Done {
        picture,
        confidence: digits(labelled.confidence),
        segments: pixels.into_iter().map(segment).collect(),
    }
}
