//! The pictures that the page shows: the worst and the best, read once more and made small.

use std::path::Path;

use anyhow::Result;
use html_report::{shrunk, thumbnail};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult, RgbImage};
use luss_metrics::{LabelMask, Matching, folder::Problem};

use super::{Counted, Reading, changed};
use crate::{
    pairs::Picture,
    picture::{Loader, problem_of},
};

/// The box in pixels, width and height, that a drawn picture fits into.
pub(crate) const BOX: [u32; 2] = [320, 240];

/// How many of the worst are shown, and of the best.
const SHOWN: usize = 8;

/// The worst and the best pictures.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// The worst first.
    pub(crate) worst: Vec<Sample>,
    /// The best first.
    pub(crate) best: Vec<Sample>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Its place among the scored pictures.
    pub(crate) index: usize,
    /// Mean IoU over the labels of the picture.
    pub(crate) miou: f64,
    /// Where masks were read; merged counts have none.
    pub(crate) drawn: Option<Drawn>,
}

/// What is drawn of a picture, not larger than [`BOX`].
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Width and height of the masks.
    pub(crate) size: [u32; 2],
    pub(crate) truth: LabelMask,
    /// By class.
    pub(crate) prediction: LabelMask,
    /// If photographs were given; why there is none, else.
    pub(crate) photograph: Option<Result<RgbImage, String>>,
}

impl Samples {
    /// Ranks pictures by their scores; those without a score are not shown. Equal ones keep their order.
    pub(super) fn of(scores: &[Option<f64>]) -> Self {
        let scores = scores.iter().enumerate();
        let ranked = scores.filter_map(|(index, score)| Some((index, (*score)?)));
        let mut ranked: Vec<(usize, f64)> = ranked.collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (worst, best) = ranked.split_at(ranked.len() / 2);
        Self {
            worst: worst.iter().take(SHOWN).map(sample).collect(),
            best: best.iter().rev().take(SHOWN).map(sample).collect(),
        }
    }

    /// Reads their masks again.
    pub(super) fn draw(
        &mut self,
        reading: &Reading,
        pictures: &[Counted],
        matching: Option<&Matching>,
    ) -> Result<()> {
        let samples = || self.worst.iter().chain(&self.best);
        let shown: Vec<&Picture> = samples()
            .map(|sample| &pictures[sample.index].picture)
            .collect();
        let drawn = reading.each("drawing", &shown, |loader, picture| {
            reading.draw(loader, picture, matching)
        });
        let samples = self.worst.iter_mut().chain(&mut self.best);
        for (sample, drawn) in samples.zip(drawn) {
            sample.drawn = Some(drawn.map_err(|problems| changed(&problems))?);
        }
        Ok(())
    }
}

fn sample(&(index, miou): &(usize, f64)) -> Sample {
    Sample {
        index,
        miou,
        drawn: None,
    }
}

impl Reading<'_> {
    fn draw(
        &self,
        loader: &mut Loader,
        picture: &Picture,
        matching: Option<&Matching>,
    ) -> Result<Drawn, Vec<Problem>> {
        let loaded = self.load(loader, picture)?;
        let prediction = match matching {
            Some(matching) => matching
                .apply_under(&loaded.prediction, &self.settings.protocol)
                .map_err(|error| vec![problem_of(&error, picture)])?,
            None => loaded.prediction,
        };
        let size = [loaded.truth.width(), loaded.truth.height()].map(|side| side as u32);
        Ok(Drawn {
            size,
            truth: shrunk(loaded.truth, BOX),
            prediction: shrunk(prediction, BOX),
            photograph: self.photograph(picture, size),
        })
    }

    fn photograph(&self, picture: &Picture, size: [u32; 2]) -> Option<Result<RgbImage, String>> {
        let photographs = self.pairs.photographs.as_ref()?;
        Some(match photographs.get(&picture.key) {
            Some(path) => photograph(path, size)
                .map_err(|cause| format!("the photograph {}: {cause}", path.display())),
            None => Err("no photograph has its name".into()),
        })
    }
}

/// Made small; of the size of the masks before, turned as its file says, or else as it lies there.
fn photograph(path: &Path, size: [u32; 2]) -> Result<RgbImage, String> {
    let text = |error: ImageError| error.to_string();
    let mut decoder = decoder_of(path).map_err(text)?;
    let orientation = decoder.orientation().map_err(text)?;
    let (width, height) = decoder.dimensions();
    let turned = match orientation.to_exif() {
        5.. => [height, width],
        _ => [width, height],
    };
    if ![turned, [width, height]].contains(&size) {
        let [w, h] = size;
        return Err(format!(
            "it is {width}x{height} and the mask {w}x{h} (width x height)"
        ));
    }
    let mut photograph = DynamicImage::from_decoder(decoder).map_err(text)?;
    if turned == size {
        photograph.apply_orientation(orientation);
    }
    Ok(thumbnail(&photograph.into_rgb8(), BOX))
}

fn decoder_of(path: &Path) -> ImageResult<impl ImageDecoder> {
    ImageReader::open(path)?
        .with_guessed_format()?
        .into_decoder()
}

#[cfg(test)]
mod tests {
    use image::{ColorType, ImageEncoder, Rgb, codecs::png::PngEncoder};

    use super::*;

    /// EXIF with nothing but the orientation 6: to be turned by a quarter, clockwise.
    const QUARTER: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

    #[test]
    fn a_photograph_is_turned_where_that_gives_the_size_of_the_mask() {
        let (red, blue) = (Rgb([255, 0, 0]), Rgb([0, 0, 255]));
        let lying = RgbImage::from_fn(4, 3, |x, _| if x < 2 { red } else { blue });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let mut encoder = PngEncoder::new(std::fs::File::create(&path).unwrap());
        encoder.set_exif_metadata(QUARTER.to_vec()).unwrap();
        let color = ColorType::Rgb8.into();
        encoder.write_image(&lying, 4, 3, color).unwrap();
        let ends = |size| {
            let drawn = photograph(&path, size).unwrap();
            let (width, height) = drawn.dimensions();
            [(0, 0), (width - 1, 0), (0, height - 1)].map(|(x, y)| *drawn.get_pixel(x, y))
        };
        assert_eq!(ends([3, 4]), [red, red, blue]);
        assert_eq!(ends([4, 3]), [red, blue, red]);
        let fault = photograph(&path, [4, 4]).unwrap_err();
        assert_eq!(fault, "it is 4x3 and the mask 4x4 (width x height)");
    }

    fn indices(samples: &[Sample]) -> Vec<usize> {
        samples.iter().map(|sample| sample.index).collect()
    }

    #[test]
    fn the_worst_and_the_best_are_ranked_and_none_is_both() {
        let samples = Samples::of(&[Some(0.5), None, Some(0.1), Some(0.9), Some(0.1), Some(0.7)]);
        assert_eq!(indices(&samples.worst), [2, 4]);
        assert_eq!(indices(&samples.best), [3, 5, 0]);
        let many: Vec<_> = (0..40).map(|n| Some(f64::from(n) / 40.0)).collect();
        let samples = Samples::of(&many);
        assert_eq!(indices(&samples.worst), (0..8).collect::<Vec<_>>());
        assert_eq!(indices(&samples.best), (32..40).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_single_picture_is_the_best() {
        let samples = Samples::of(&[Some(0.0)]);
        assert_eq!((samples.worst.len(), samples.best.len()), (0, 1));
    }
}
