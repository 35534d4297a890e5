//! Whether a device computes in 16 bits what it should.
//!
//! Drivers claim types that they do not compute in, so one product and one convolution are compared
//! with those of float32 before a training starts. What burn calls float32 may be TF32: `product.rs`.

use burn::tensor::{DType, Device, Tensor, TensorData, ops::ConvOptions};
use fast_ops::conv2d;

use super::{Precision, widened};
use crate::Error;

/// Largest distance from the result in float32, relative to its size, both as root mean squares. The
/// factors are exact in either type, and results rounded to the 8 bits of bfloat16 are off by 0.0015;
/// what is left is for sums in another order.
const FARTHEST: f64 = 0.01;

/// A computation in a precision, and its name.
type Computation = (&'static str, fn(&Device, Precision) -> Tensor<1>);

/// What is tried.
const COMPUTATIONS: [Computation; 2] = [("matrix product", product), ("convolution", convolution)];

/// Refuses a device that does not compute in this precision.
///
/// # Errors
///
/// [`Error::Precision`] if the device lacks the type, or if a matrix product or a convolution in it
/// is far from that in float32.
pub fn check_device(device: &Device, precision: Precision) -> Result<(), Error> {
    if precision == Precision::Float32 {
        return Ok(());
    }
    let device = &device.clone().without_autodiff();
    if !device.supports_dtype(precision.dtype()) {
        let found = "it does not have this type".to_owned();
        return Err(refusal(device, precision, found));
    }
    for (what, compute) in COMPUTATIONS {
        let [expected, seen] = [Precision::Float32, precision]
            .map(|precision| widened(compute(device, precision)).into_data());
        judge(what, &expected, &seen).map_err(|found| refusal(device, precision, found))?;
    }
    Ok(())
}

/// Root mean square of the difference over that of what is expected.
pub(super) fn relative_distance(expected: &TensorData, seen: &TensorData) -> f64 {
    let pairs = || expected.iter::<f64>().zip(seen.iter::<f64>());
    let size: f64 = pairs().map(|(expected, _)| expected.powi(2)).sum();
    let distance: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    (distance / size).sqrt()
}

fn refusal(device: &Device, precision: Precision, found: String) -> Error {
    let other = match precision {
        Precision::Float16 => Precision::Bfloat16,
        _ => Precision::Float16,
    };
    Error::Precision {
        device: format!("{device:?}"),
        precision: precision.name(),
        found,
        other: other.name(),
    }
}

/// What is wrong with a result, with the number that is the farthest off.
fn judge(what: &str, expected: &TensorData, seen: &TensorData) -> Result<(), String> {
    // Not a number is not near either.
    if relative_distance(expected, seen) <= FARTHEST {
        return Ok(());
    }
    let off = |(a, b): &(f64, f64)| (a - b).abs();
    let pairs = expected.iter::<f64>().zip(seen.iter::<f64>());
    let (expected, seen) = pairs
        .max_by(|a, b| off(a).total_cmp(&off(b)))
        .expect("a result has numbers");
    Err(format!("a {what} gives {seen:.4} for {expected:.4}"))
}

/// `[29, 67]` times `[67, 31]`.
fn product(device: &Device, precision: Precision) -> Tensor<1> {
    let [left, right] = [numbers([29, 67], device), numbers([67, 31], device)];
    let product = precision.cast(left).matmul(precision.cast(right));
    product.flatten(0, 1)
}

/// A 3×3 convolution with stride 2 of 5 maps to 7.
fn convolution(device: &Device, precision: Precision) -> Tensor<1> {
    let [maps, weight] = [[6, 5, 9, 8], [7, 5, 3, 3]].map(|shape| numbers(shape, device));
    let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
    let [maps, weight] = [maps, weight].map(|tensor| precision.cast(tensor));
    conv2d(maps, weight, None, options).flatten(0, 3)
}

/// Numbers from -1 to 3 that any type holds exactly, none like its neighbours.
fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    let values = (0..count).map(|i: usize| (i * 37 % 65) as f32 / 16.0 - 1.0);
    let data = TensorData::new(values.collect::<Vec<_>>(), shape);
    Tensor::from_data(data, (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes_in_every_precision() {
        for precision in [Precision::Float32, Precision::Bfloat16, Precision::Float16] {
            check_device(&Device::default(), precision).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The figures of bfloat16 on Mesa's software Vulkan.
    #[test]
    fn a_wrong_product_is_refused_with_its_figures() {
        let expected = TensorData::from([246.2f32, 250.0]);
        let seen = TensorData::from([117.8f32, 250.0]);
        let found = judge("matrix product", &expected, &seen).unwrap_err();
        assert_eq!(found, "a matrix product gives 117.8000 for 246.2000");
        let refusal = refusal(&Device::default(), Precision::Bfloat16, found).to_string();
        for fragment in ["Flex", "bfloat16", "117.8", "\"float16\"", "\"float32\""] {
            assert!(refusal.contains(fragment), "no {fragment} in {refusal}");
        }
    }

    #[test]
    fn a_product_that_is_not_a_number_is_refused() {
        let expected = TensorData::from([1.0f32, 2.0]);
        let seen = TensorData::from([1.0f32, f32::NAN]);
        let found = judge("convolution", &expected, &seen).unwrap_err();
        assert_eq!(found, "a convolution gives NaN for 2.0000");
    }

    /// Halves of the last place of bfloat16 are no fault, one number in twenty that is off by half is.
    #[test]
    fn roundings_pass_and_a_few_wrong_numbers_do_not() {
        let rounded: Vec<f32> = (0..20).map(|i| 1.0 + (i % 3) as f32 * 0.002).collect();
        let mut wrong = rounded.clone();
        wrong[7] = 0.5;
        let ones = TensorData::from([1f32; 20]);
        let [rounded, wrong] = [rounded, wrong].map(|v| TensorData::new(v, [20]));
        assert_eq!(judge("convolution", &ones, &rounded), Ok(()));
        assert!(judge("convolution", &ones, &wrong).is_err());
    }
}
