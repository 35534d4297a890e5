//! The device under test.

use std::{
    env,
    panic::{catch_unwind, set_hook, take_hook},
    sync::{Arc, Mutex, OnceLock},
};

use burn::tensor::{Device, Tensor};

/// Names the device under test.
const VARIABLE: &str = "LUSS_DEVICE";

/// How a device multiplies float32 numbers in convolutions and matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// In float32.
    Float32,
    /// Perhaps in TF32, that is with factors rounded to 10 bits behind the point: on CUDA, burn's
    /// autotune takes the tensor cores' TF32 where it is faster.
    PerhapsTf32,
}

/// The device under test.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The device, without gradients.
    pub device: Device,
    /// How it multiplies.
    pub products: Products,
}

/// The device that `LUSS_DEVICE` names; `wgpu` if it is not set.
///
/// # Panics
///
/// If the device is not there: a check that cannot run must not pass.
pub fn tested() -> &'static Tested {
    static TESTED: OnceLock<Result<Tested, String>> = OnceLock::new();
    let open = || open(&env::var(VARIABLE).unwrap_or_else(|_| "wgpu".into()));
    match TESTED.get_or_init(open) {
        Ok(tested) => tested,
        Err(message) => panic!("{message}"),
    }
}

fn open(name: &str) -> Result<Tested, String> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (
            kind,
            index
                .parse()
                .map_err(|_| format!("{VARIABLE}={name}: `{index}` is no index"))?,
        ),
        None => (name, 0),
    };
    let (device, products, remedy) = match kind {
        "cpu" if index == 0 => (Device::flex(), Products::Float32, ""),
        "wgpu" if index == 0 => (wgpu()?, Products::Float32, WGPU_REMEDY),
        "cuda" => (cuda(index)?, Products::PerhapsTf32, CUDA_REMEDY),
        _ => {
            return Err(format!(
                "{VARIABLE}={name}: unknown; use wgpu, cuda, cuda:N or cpu"
            ));
        }
    };
    probe(&device).map_err(|reason| {
        format!("{VARIABLE}={name}: no such device on this machine ({reason})\n{remedy}")
    })?;
    Ok(Tested { device, products })
}

const WGPU_REMEDY: &str = "wgpu needs a Vulkan driver. With a GPU: install its vendor's driver. Without: \
    `apt-get install --no-install-recommends mesa-vulkan-drivers libvulkan1` brings a software GPU, \
    and `.ci/device-check` does that and runs the checks.";

const CUDA_REMEDY: &str = "CUDA needs an NVIDIA GPU and its driver (see docs/DEVICES.md).";

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, String> {
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, String> {
    Err(format!(
        "{VARIABLE}=wgpu: these checks were built without it; add --features wgpu"
    ))
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, String> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, String> {
    Err(format!(
        "{VARIABLE}=cuda: these checks were built without it; add --features cuda"
    ))
}

/// Adds two numbers there: a missing driver shows here and not as a failure of every check.
fn probe(device: &Device) -> Result<(), String> {
    // The first panic, on a thread of the backend, names the cause; the last only that it is gone.
    let causes = Arc::new(Mutex::new(Vec::new()));
    let noted = causes.clone();
    let hook = take_hook();
    set_hook(Box::new(move |panic| {
        noted
            .lock()
            .expect("no panic within")
            .push(panic.to_string());
    }));
    let sum = catch_unwind(|| Tensor::<1>::ones([2], device).sum().into_scalar::<f32>());
    set_hook(hook);
    let causes = causes.lock().expect("no panic within");
    match sum {
        Ok(2.0) => Ok(()),
        Ok(sum) => Err(format!(
            "1 + 1 is {sum} there: the driver or the card is broken"
        )),
        Err(_) => Err(causes.first().cloned().unwrap_or_default()),
    }
}
