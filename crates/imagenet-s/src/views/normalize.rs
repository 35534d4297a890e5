//! Normalisation of 8-bit RGB to the range the networks expect.

use serde::{Deserialize, Serialize};

/// Mean and deviation of each channel (red, green, blue), for samples divided by 255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted first.
    pub mean: [f32; 3],
    /// Divided by afterwards; greater than 0.
    pub std: [f32; 3],
}

/// For the multi-crop trainings: the red deviation is 0.228, as in SwAV's published code.
pub const MULTI_CROP: Normalization = Normalization {
    mean: [0.485, 0.456, 0.406],
    std: [0.228, 0.224, 0.225],
};

/// For everything else: clustering, labels, fine-tuning and prediction.
pub const PLAIN: Normalization = Normalization {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

impl Normalization {
    /// Normalises interleaved pixels on the host.
    ///
    /// # Shapes
    ///
    /// - `pixels`: `[height * width * 3]`, channels last
    /// - output: `[3 * height * width]`, channels first
    pub fn planes(&self, pixels: &[u8]) -> Vec<f32> {
        let (pixels, _) = pixels.as_chunks::<3>();
        let mut planes = vec![0.0; 3 * pixels.len()];
        for (channel, plane) in planes.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            let values = self.values(channel);
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = values[usize::from(pixel[channel])];
            }
        }
        planes
    }

    /// The 256 results of a channel.
    fn values(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        std::array::from_fn(|sample| (sample as f32 / 255.0 - mean) / std)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pictures::picture_of;
    use super::*;

    fn check(name: &str, normalization: Normalization) {
        let mut golden = golden::open("transforms.npz");
        let planes = normalization.planes(&picture_of(&mut golden, "image"));
        let expected = golden.array::<f32, ndarray::Ix3>(name);
        for (actual, expected) in planes.iter().zip(&expected) {
            // Values reach 2.7: two units in the last place.
            assert!(
                (actual - expected).abs() <= 5e-7,
                "{actual} is not {expected}"
            );
        }
    }

    #[test]
    fn multi_crop_normalisation_equals_the_reference() {
        check("normalised_pretrain_std0228", MULTI_CROP);
    }

    #[test]
    fn plain_normalisation_equals_the_reference() {
        check("normalised_std0229", PLAIN);
    }

    #[test]
    fn channels_come_first_afterwards() {
        let unit = Normalization {
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        assert_eq!(
            unit.planes(&[255, 0, 51, 0, 255, 102]),
            [1.0, 0.0, 0.0, 1.0, 0.2, 0.4]
        );
    }
}
