//! Pictures as tensors: uploaded as bytes, normalised on the device (feature `burn`).

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::views::Normalization;

/// Pictures of one size as a batch of normalised tensors: `(value / 255 - mean) / std` for each
/// channel.
///
/// The bytes travel to the device as they are and become floats there, which moves a quarter of
/// the data. A device without 8-bit integers (WebGPU) receives 32-bit ones.
///
/// On CUDA the backend itself (CubeCL 0.11) copies what is below 100 MB through pinned host memory,
/// in the thread that feeds the device: as bytes, 256 times two views of 224 pixels are 77 MB. So
/// there is no call of `Device::staging` here, which would copy once more and wait for that thread.
///
/// # Shapes
///
/// - `pictures`: `batch` slices of `height * width * 3` bytes, row-major, RGB interleaved
/// - output: `[batch, 3, height, width]` in the device's float type
///
/// # Panics
///
/// If `pictures` is empty or a picture has another number of bytes.
pub fn pictures_to_tensor(
    pictures: &[&[u8]],
    height: usize,
    width: usize,
    normalization: &Normalization,
    device: &Device,
) -> Tensor<4> {
    assert!(!pictures.is_empty(), "a batch has at least one picture");
    for picture in pictures {
        assert_eq!(
            picture.len(),
            height * width * 3,
            "bytes of a {height} x {width} picture"
        );
    }
    let bytes = TensorData::new(pictures.concat(), [pictures.len(), height, width, 3]);
    let uploaded = Tensor::<4, Int>::from_data(bytes, (device, upload_type(device)));
    normalized(uploaded.permute([0, 3, 1, 2]).float(), normalization)
}

fn upload_type(device: &Device) -> DType {
    if device.supports_dtype(DType::U8) {
        DType::U8
    } else {
        DType::I32
    }
}

fn normalized(pictures: Tensor<4>, normalization: &Normalization) -> Tensor<4> {
    let device = pictures.device();
    let channels =
        |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
    (pictures / 255.0 - channels(normalization.mean)) / channels(normalization.std)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMALIZATION: Normalization = Normalization {
        mean: [0.5, 0.25, 0.125],
        std: [0.5, 2.0, 0.25],
    };

    /// Every byte of a batch of 2 pictures with 3 rows and 5 columns is another one.
    fn bytes() -> [Vec<u8>; 2] {
        [(0..45).collect(), (100..145).collect()]
    }

    fn tensor() -> Tensor<4> {
        let [a, b] = bytes();
        pictures_to_tensor(&[&a, &b], 3, 5, &NORMALIZATION, &Device::default())
    }

    #[test]
    fn the_channels_come_before_the_rows() {
        assert_eq!(tensor().dims(), [2, 3, 3, 5]);
    }

    #[test]
    fn each_value_is_the_normalised_byte_of_its_pixel() {
        let values = tensor().into_data().try_to_vec::<f32>().unwrap();
        for (at, value) in values.into_iter().enumerate() {
            let (x, y, c, n) = (at % 5, at / 5 % 3, at / 15 % 3, at / 45);
            let byte = f32::from(bytes()[n][(y * 5 + x) * 3 + c]);
            let expected = (byte / 255.0 - NORMALIZATION.mean[c]) / NORMALIZATION.std[c];
            assert!(
                (value - expected).abs() < 1e-6,
                "[{n}, {c}, {y}, {x}]: {value} {expected}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "bytes of a 5 x 3 picture")]
    fn a_picture_of_another_size_is_a_bug() {
        let picture = [0; 44];
        pictures_to_tensor(&[&picture], 5, 3, &NORMALIZATION, &Device::default());
    }
}
