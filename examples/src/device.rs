//! The device of a run, chosen at run time among the backends of this build.

use anyhow::{Context as _, bail};
use burn::tensor::{Device, Tensor};

/// The device called `name`: `cpu`, `cuda`, `cuda:N` or `wgpu`.
///
/// # Errors
///
/// If the name is unknown, if this binary was built without the backend, or if the machine has no
/// such device. There is no fallback.
pub fn pick_device(name: &str) -> anyhow::Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (
            kind,
            index
                .parse()
                .with_context(|| format!("--device {name}: `{index}` is no index"))?,
        ),
        None => (name, 0),
    };
    let device = match kind {
        "cpu" if index == 0 => cpu()?,
        "cuda" => cuda(index)?,
        "wgpu" if index == 0 => wgpu()?,
        _ => bail!("--device {name}: unknown; use cpu, cuda, cuda:N or wgpu"),
    };
    probe(name, &device)?;
    Ok(device)
}

#[cfg(feature = "flex")]
fn cpu() -> anyhow::Result<Device> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn cpu() -> anyhow::Result<Device> {
    bail!("--device cpu: this binary was built without it; build with --features flex")
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> anyhow::Result<Device> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> anyhow::Result<Device> {
    bail!("--device cuda: this binary was built without it; build with --features cuda")
}

#[cfg(feature = "wgpu")]
fn wgpu() -> anyhow::Result<Device> {
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> anyhow::Result<Device> {
    bail!("--device wgpu: this binary was built without it; build with --features wgpu")
}

/// Adds two numbers there: a missing driver or card shows here, not in the middle of a run.
fn probe(name: &str, device: &Device) -> anyhow::Result<()> {
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let sum = std::panic::catch_unwind(|| {
        let ones = Tensor::<1>::ones([2], device);
        ones.sum().into_scalar::<f32>()
    });
    std::panic::set_hook(silent);
    match sum {
        Ok(2.0) => Ok(()),
        Ok(sum) => bail!("--device {name}: 1 + 1 is {sum} there; the driver or the card is broken"),
        Err(panic) => {
            let reason = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "the backend gave no reason".into());
            bail!("--device {name}: not available on this machine: {reason}")
        }
    }
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
