//! Two ranks compute what one process with the whole batch computes.

mod assignment;
mod gradient;
mod losses;
mod methods;
mod norm;

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

/// A file of tensors in `tests/fixtures`, made by `make_fixtures.py`.
fn fixture(name: &str) -> BTreeMap<String, TensorData> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let bytes = fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &safetensors::tensor::TensorView| {
        let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let values: Vec<f32> = view.data().chunks(4).map(number).collect();
        TensorData::new(values, view.shape().to_vec())
    };
    file.iter()
        .map(|(name, view)| (name.to_string(), tensor(&view)))
        .collect()
}

/// Rows `rank`, `rank + size`, .. of a tensor: what a rank gets of a batch.
fn share<const D: usize>(whole: Tensor<D>, [rank, size]: [usize; 2]) -> Tensor<D> {
    let rows = whole.dims()[0];
    let own = (rank..rows)
        .step_by(size)
        .map(|row| whole.clone().narrow(0, row, 1));
    Tensor::cat(own.collect(), 0)
}

/// The batch whose shares these are.
fn whole<const D: usize>(shares: Vec<Tensor<D>>) -> Tensor<D> {
    let rows = shares[0].dims()[0];
    let row = |row| {
        shares
            .iter()
            .map(move |share| share.clone().narrow(0, row, 1))
    };
    Tensor::cat((0..rows).flat_map(row).collect(), 0)
}

fn training_device() -> Device {
    Device::flex().autodiff()
}
