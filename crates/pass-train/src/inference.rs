//! Whole pictures through a network: decoded in parallel, resized, batched where sizes agree.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use imagenet_s::{
    Loader, Sample, Split, pictures_to_tensor, read_picture,
    views::{PLAIN, center_crop, resize_shorter},
};

use crate::{Context, Error, Progress};

/// A picture that is ready for the network.
pub(crate) struct Prepared {
    /// Index in the split.
    pub(crate) index: usize,
    /// Width and height of the picture on disk, in pixels.
    pub(crate) original: [usize; 2],
    pixels: RgbImage,
}

/// How pictures are prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// The shorter side brought to this many pixels.
    Whole(u32),
    /// [`Shape::Whole`] of the first, and of that the centre square of the second.
    Center(u32, u32),
}

/// Takes every picture of a split through `forward`, in order, at most `batch` of one size at once.
pub(crate) fn for_each_batch(
    context: &Context,
    name: &str,
    split: Split,
    shape: Shape,
    batch: usize,
    mut forward: impl FnMut(&[Prepared], Tensor<4>) -> Result<(), Error>,
) -> Result<(), Error> {
    let samples: Arc<[Sample]> = context.data.samples(split).into();
    let odd = context.file.data.odd_pictures;
    let mut progress = Progress::new(context.verbosity, name, samples.len() as u64, "pictures");
    let indices: Vec<usize> = (0..samples.len()).collect();
    let loader = Loader::new(
        indices,
        context.file.data.workers,
        2 * batch,
        move |&index: &usize| {
            let picture = read_picture(&samples[index].picture, odd)?;
            Ok(prepare(index, &picture, shape))
        },
    );
    let mut run_one = |waiting: &mut Vec<Prepared>| -> Result<(), Error> {
        let together = std::mem::take(waiting);
        forward(&together, to_tensor(&together, &context.device))?;
        progress.advance(together.len() as u64);
        Ok(())
    };
    let mut waiting: Vec<Prepared> = Vec::new();
    for prepared in loader {
        let prepared = prepared?;
        let fits = waiting.len() < batch
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

/// Makes a picture ready.
pub(crate) fn prepare(index: usize, picture: &RgbImage, shape: Shape) -> Prepared {
    let pixels = match shape {
        Shape::Whole(side) => resize_shorter(picture, side),
        Shape::Center(side, crop) => center_crop(&resize_shorter(picture, side), crop),
    };
    let original = [picture.width() as usize, picture.height() as usize];
    Prepared {
        index,
        original,
        pixels,
    }
}

/// Pictures of one size as `[pictures, 3, height, width]`.
pub(crate) fn to_tensor(pictures: &[Prepared], device: &Device) -> Tensor<4> {
    let (width, height) = pictures[0].pixels.dimensions();
    let pixels: Vec<&[u8]> = pictures
        .iter()
        .map(|picture| picture.pixels.as_raw().as_slice())
        .collect();
    pictures_to_tensor(&pixels, height as usize, width as usize, &PLAIN, device)
}
