//! Numbers of 16 bits: where the device has them it computes in them as the CPU does, and where it only
//! says so no training starts.

use burn::{
    nn::{PaddingConfig2d, conv::Conv2dConfig},
    tensor::{DType, Device, Tensor},
};
use device_check::{Products, Tolerance, assert_agreement, tested};
use pass_model::{
    init::WeightStream,
    norm::{BatchNormConfig, NormMode},
    precision::{
        Precision, check_device, convolve, float32_product_error, product_error,
        product_in_float64, widened,
    },
};

/// Results and gradients are rounded to 11 bits, 2.4e-4 of them, in each of some six operations.
const FLOAT16: Tolerance = Tolerance {
    float32: 5e-3,
    tf32: 5e-3,
};

/// Results and gradients are rounded once, to 24 bits.
const FLOAT64: Tolerance = Tolerance {
    float32: 1e-7,
    tf32: 1e-7,
};

/// Without ReLU: roundings of this size would decide which numbers pass it.
#[test]
fn convolutions_and_norms_in_float16_agree() {
    if let Err(refusal) = check_device(&tested().device, Precision::Float16) {
        println!("skipped: {refusal}");
        return;
    }
    assert_agreement(FLOAT16, |lab| {
        let config = Conv2dConfig::new([3, 6], [3, 3])
            .with_stride([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let conv = WeightStream::new(1).conv2d(&config, lab.device());
        let conv = lab.module(conv);
        let norm = BatchNormConfig::new(6).init(lab.device());
        let mut norm = lab.module(norm);
        let pictures = lab.input("pictures", [5, 3, 9, 13]);
        let pictures = Precision::Float16.cast(pictures);
        let maps = norm.forward(convolve(&conv, pictures), NormMode::Batch);
        lab.output("maps", widened(maps));
        lab.buffers(&norm);
    });
}

/// WGSL has float16 and no bfloat16, whose kernels do not compile.
#[test]
fn a_training_starts_in_the_types_that_the_device_multiplies_rightly() {
    let device = &tested().device;
    for precision in [Precision::Bfloat16, Precision::Float16] {
        let checked = check_device(device, precision);
        println!("{}: {checked:?}", precision.name());
        let right = device.supports_dtype(precision.dtype()) && multiplies(device, precision);
        assert_eq!(checked.is_ok(), right);
    }
}

/// Whether all elements of a product are 8 · 67, which either type holds exactly. Of the shape that
/// [`check_device`] has had tuned.
fn multiplies(device: &Device, precision: Precision) -> bool {
    let left = precision.cast(Tensor::<2>::ones([29, 67], device));
    let right = precision.cast(Tensor::<2>::ones([67, 31], device) * 8.0);
    let product = widened(left.matmul(right));
    (product - 536.0).abs().max().into_scalar::<f32>() < 10.0
}

/// What heads and scores are where float32 is TF32. It is no choice of the device under test, so it is
/// asked for by name.
#[test]
fn products_in_float64_agree() {
    if !tested().device.supports_dtype(DType::F64) {
        println!("skipped: the device has no float64");
        return;
    }
    assert_agreement(FLOAT64, |lab| {
        let [rows, columns] =
            [("rows", [40, 23]), ("columns", [23, 17])].map(|(name, shape)| lab.input(name, shape));
        lab.output("product", product_in_float64(rows, columns));
        let [maps, weights] = [("maps", [3, 5, 35]), ("weights", [3, 35, 49])]
            .map(|(name, shape)| lab.input(name, shape));
        lab.output("sampled", product_in_float64(maps, weights));
    });
}

/// Heads, scores and losses, whatever the device does with float32.
#[test]
fn products_of_ours_are_in_float32_on_every_device() {
    let error = product_error(&tested().device);
    println!("a product of ours is off by {error:.1e}");
    assert!(error < 1e-6);
}

/// What a training says of its device at the start.
#[test]
fn float32_products_are_in_float32_where_they_are_said_to_be() {
    let error = float32_product_error(&tested().device);
    println!("a product of float32 numbers is off by {error:.1e}");
    let tf32 = 1e-3;
    match tested().products {
        Products::Float32 => assert!(error < 1e-6),
        Products::PerhapsTf32 => assert!(error < tf32),
    }
}
