//! Whole pictures through a network: decoded in parallel, resized, batched where sizes agree.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use imagenet_s::{
    Loader, Sample, Split, pictures_to_tensor,
    views::{Filter, Normalization, Region, center_crop, resize_bilinear, resize_shorter},
};
use pass_model::group::Group;
use pixel_attention::Error as AttentionError;

use crate::{Context, Error, Progress, view_batch::normalization};

/// A picture that is ready for the network.
pub struct Prepared {
    /// Index in the split or list.
    pub index: usize,
    /// Width and height of the picture on disk, in pixels.
    pub original: [usize; 2],
    pub(crate) pixels: RgbImage,
}

impl Prepared {
    /// Width and height as the network sees it, in pixels.
    pub fn seen(&self) -> [usize; 2] {
        let (width, height) = self.pixels.dimensions();
        [width, height].map(|side| side as usize)
    }
}

/// How pictures are prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// As it is on disk.
    Original,
    /// The shorter side brought to this many pixels.
    Whole(u32),
    /// [`Shape::Whole`] of the first, and of that the centre square of the second.
    Center(u32, u32),
    /// Brought to a square of this side, whatever the aspect.
    Square(u32),
}

/// Which pictures go through a network, and how.
pub(crate) struct Pass<'a> {
    /// What it says while it runs.
    pub(crate) name: &'a str,
    /// The pictures.
    pub(crate) split: Split,
    /// Pictures that an earlier process finished. Batches follow from where the first one begins:
    /// to get the numbers of an uninterrupted pass, go on where a batch ended.
    pub(crate) done: usize,
    /// How pictures are prepared.
    pub(crate) shape: Shape,
    /// Most pictures of one size that go together.
    pub(crate) batch: usize,
}

impl Pass<'_> {
    /// The pictures that are left, as indices in the split.
    fn left(&self, context: &Context) -> Range<usize> {
        self.done..context.data.samples(self.split).len()
    }
}

/// Takes every picture of a split through `forward`, in order, at most `batch` of one size at once; what
/// comes with them makes them one tensor.
pub(crate) fn for_each_batch(
    context: &Context,
    pass: &Pass,
    forward: impl FnMut(&[Prepared], &dyn Fn() -> Tensor<4>) -> Result<(), Error>,
) -> Result<(), Error> {
    take_through(context, pass, pass.left(context).collect(), 0, forward)
}

/// Deals the batches of a split out to the ranks in turn, and calls `forward` on each of them once a
/// round, with its batch or, where the pictures end before its turn, with nothing. Collective.
///
/// Batch `i` of a round is that of rank `i`, and the batches are those of one process: all pictures are
/// of one size, that of [`Shape::Center`].
pub(crate) fn for_each_round(
    context: &Context,
    pass: &Pass,
    mut forward: impl FnMut(Option<Tensor<4>>) -> Result<(), Error>,
) -> Result<(), Error> {
    assert!(
        matches!(pass.shape, Shape::Center(..)),
        "pictures of one size"
    );
    let (ranks, left) = (&context.ranks, pass.left(context));
    let mut rounds = left.len().div_ceil(pass.batch * ranks.size());
    let of_others = pass.batch * (ranks.size() - 1);
    let own = own_batches(ranks, left, pass.batch);
    take_through(context, pass, own, of_others, |_, pictures| {
        rounds -= 1;
        forward(Some(pictures()))
    })?;
    (0..rounds).try_for_each(|_| forward(None))
}

/// The pictures of every batch that is this rank's turn.
fn own_batches(ranks: &Group, pictures: Range<usize>, batch: usize) -> Vec<usize> {
    let end = pictures.end;
    let firsts = pictures.step_by(batch);
    let own = firsts.skip(ranks.rank()).step_by(ranks.size());
    own.flat_map(|first| first..(first + batch).min(end))
        .collect()
}

/// Takes pictures through `forward`; with each batch of them other ranks finish `of_others` more.
fn take_through(
    context: &Context,
    pass: &Pass,
    indices: Vec<usize>,
    of_others: usize,
    mut forward: impl FnMut(&[Prepared], &dyn Fn() -> Tensor<4>) -> Result<(), Error>,
) -> Result<(), Error> {
    let samples: Arc<[Sample]> = context.data.samples(pass.split).into();
    let known = samples.clone();
    let (odd, shape, all) = (context.file.data.odd_pictures, pass.shape, samples.len());
    let (mut done, normalization) = (pass.done, normalization(&context.file));
    let [before, of] = [done, all].map(|pictures| pictures as u64);
    let mut progress = Progress::resumed(context.verbosity, pass.name, before, of, "images");
    let loader = Loader::new(
        indices,
        context.file.data.workers,
        2 * pass.batch,
        move |&index: &usize| {
            let picture = samples[index].read_picture(odd)?;
            Ok(prepare(index, &picture, shape))
        },
    );
    let mut run_one = |waiting: &mut Vec<Prepared>| -> Result<(), Error> {
        let together = std::mem::take(waiting);
        forward(&together, &|| {
            to_tensor(&together, &normalization, &context.device)
        })
        .map_err(|cause| located(cause, pass.name, &together, &known))?;
        let reached = (done + together.len() + of_others).min(all);
        progress.advance((reached - done) as u64);
        done = reached;
        Ok(())
    };
    let mut waiting: Vec<Prepared> = Vec::new();
    for prepared in loader {
        let prepared = prepared?;
        let fits = waiting.len() < pass.batch
            && waiting
                .first()
                .is_none_or(|first| first.pixels.dimensions() == prepared.pixels.dimensions());
        if !fits {
            run_one(&mut waiting)?;
        }
        waiting.push(prepared);
    }
    if !waiting.is_empty() {
        run_one(&mut waiting)?;
    }
    progress.finish();
    Ok(())
}

/// Says which step and which pictures numbers that are not finite are of.
fn located(cause: Error, step: &str, together: &[Prepared], samples: &[Sample]) -> Error {
    let key = |picture: Option<&Prepared>| picture.map(|it| samples[it.index].key.clone());
    match (cause, key(together.first()), key(together.last())) {
        (Error::Attention(cause @ AttentionError::NotFinite { .. }), Some(first), Some(last)) => {
            Error::NotFinite {
                step: step.to_owned(),
                first,
                last,
                cause: cause.into(),
            }
        }
        (cause, ..) => cause,
    }
}

/// Refuses numbers of a network that are not finite: a comparison of NaNs has an answer all the same.
pub(crate) fn check_finite(what: &'static str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => Err(AttentionError::NotFinite { what, row }.into()),
    }
}

/// Makes a picture ready.
pub(crate) fn prepare(index: usize, picture: &RgbImage, shape: Shape) -> Prepared {
    let pixels = match shape {
        Shape::Original => picture.clone(),
        Shape::Whole(side) => resize_shorter(picture, side, Filter::BILINEAR),
        Shape::Center(side, crop) => {
            center_crop(&resize_shorter(picture, side, Filter::BILINEAR), crop)
        }
        Shape::Square(side) => {
            let whole = Region::whole(picture.width(), picture.height());
            resize_bilinear(picture, whole, side, side)
        }
    };
    let original = [picture.width() as usize, picture.height() as usize];
    Prepared {
        index,
        original,
        pixels,
    }
}

/// Pictures of one size as `[pictures, 3, height, width]`.
pub(crate) fn to_tensor(
    pictures: &[Prepared],
    normalization: &Normalization,
    device: &Device,
) -> Tensor<4> {
    let (width, height) = pictures[0].pixels.dimensions();
    let pixels: Vec<&[u8]> = pictures
        .iter()
        .map(|picture| picture.pixels.as_raw().as_slice())
        .collect();
    pictures_to_tensor(
        &pixels,
        height as usize,
        width as usize,
        normalization,
        device,
    )
}

#[cfg(test)]
mod tests {
    use pass_model::group::Group;
    use pass_ranks::ThreadRanks;

    use super::*;

    #[test]
    fn ranks_take_batches_in_turn() {
        assert_eq!(own_batches(&Group::default(), 3..8, 2), [3, 4, 5, 6, 7]);
        let own = |size| ThreadRanks::run(size, |ranks| own_batches(&ranks, 3..10, 2));
        assert_eq!(own(2), [vec![3, 4, 7, 8], vec![5, 6, 9]]);
        assert_eq!(own(3), [vec![3, 4, 9], vec![5, 6], vec![7, 8]]);
        assert!(own(5)[4].is_empty());
    }
}
