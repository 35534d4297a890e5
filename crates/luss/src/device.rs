//! The device of a run, chosen at run time among the backends of this build.

use std::{
    any::Any,
    panic,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, bail};
use burn::tensor::{Device, Tensor};

#[cfg(any(feature = "cuda", feature = "wgpu"))]
use crate::kept_kernels::keep_kernels;
#[cfg(feature = "flex")]
use crate::kept_memory::keep_memory;

/// The device called `name`: `cpu`, `cuda`, `cuda:N` or `wgpu`.
///
/// # Errors
///
/// If the name is unknown, if this program was built without the backend, or if the machine has no
/// such device. There is no fallback.
pub fn pick_device(name: &str) -> anyhow::Result<Device> {
    let (kind, index) = kind_and_index(name)?;
    let device = match kind {
        "cpu" if index == 0 => cpu()?,
        "cuda" => cuda(index)?,
        "wgpu" if index == 0 => wgpu()?,
        _ => bail!("--device {name}: unknown; use cpu, cuda, cuda:N or wgpu"),
    };
    probe(name, &device)?;
    Ok(device)
}

/// `cuda:1` as `("cuda", 1)`; without an index the first of its kind.
pub(crate) fn kind_and_index(name: &str) -> anyhow::Result<(&str, usize)> {
    let Some((kind, index)) = name.split_once(':') else {
        return Ok((name, 0));
    };
    let index = index.parse();
    let index = index.with_context(|| format!("--device {name}: the index is no number"))?;
    Ok((kind, index))
}

#[cfg(feature = "flex")]
fn cpu() -> anyhow::Result<Device> {
    keep_memory();
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn cpu() -> anyhow::Result<Device> {
    bail!("--device cpu: this program was built without it; build with --features flex")
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> anyhow::Result<Device> {
    keep_kernels();
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> anyhow::Result<Device> {
    bail!("--device cuda: this program was built without it; build with --features cuda")
}

#[cfg(feature = "wgpu")]
fn wgpu() -> anyhow::Result<Device> {
    keep_kernels();
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> anyhow::Result<Device> {
    bail!("--device wgpu: this program was built without it; build with --features wgpu")
}

/// Adds two numbers there: a missing driver or card shows here, not in the middle of a run.
fn probe(name: &str, device: &Device) -> anyhow::Result<()> {
    let (sum, first) = without_panic_messages(|| {
        panic::catch_unwind(|| {
            let ones = Tensor::<1>::ones([2], device);
            ones.sum().into_scalar::<f32>()
        })
    });
    match sum {
        Ok(2.0) => Ok(()),
        Ok(sum) => bail!("--device {name}: 1 + 1 is {sum} there; the driver or the card is broken"),
        Err(panic) => {
            let reason = first.unwrap_or_else(|| reason(&*panic).into());
            bail!("--device {name}: not available on this machine: {reason}")
        }
    }
}

/// Does something whose panics are told as errors. Only while nothing else runs: the messages of all
/// threads are held back. With the message of the first panic: that one, on a thread of the backend,
/// names the cause, the last only that the backend is gone.
pub(crate) fn without_panic_messages<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let noted = messages.clone();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().map(str::to_owned);
        noted.lock().expect("a push does not panic").extend(message);
    }));
    let result = work();
    panic::set_hook(hook);
    let mut messages = messages.lock().expect("a push does not panic");
    let first = (!messages.is_empty()).then(|| messages.swap_remove(0));
    (result, first)
}

/// What a panic said.
pub(crate) fn reason(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the backend gave no reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "flex")]
    fn the_cpu_is_there() {
        pick_device("cpu").unwrap();
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_backend_that_was_not_built_in_is_an_error_that_says_so() {
        let message = pick_device("cuda:0").unwrap_err().to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }

    #[test]
    fn an_unknown_device_is_an_error() {
        assert!(pick_device("tpu").unwrap_err().to_string().contains("tpu"));
        assert!(pick_device("cuda:x").is_err());
    }
}
