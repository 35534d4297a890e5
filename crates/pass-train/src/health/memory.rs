//! The memory of this process, as Linux tells it, and that of its device, as burn's allocator does.

use burn::tensor::Device;

/// Name in the log of the most memory that a step has taken so far; after a resume as well.
pub(crate) const PEAK: &str = "health/memory_peak_mib";

/// Names in the log of what depends on the machine: [`resident_mib`] and [`device_mib`].
pub(crate) const MEMORY: [&str; 4] = [
    "health/memory_mib",
    PEAK,
    "health/device_used_mib",
    "health/device_reserved_mib",
];

/// Names and values of what this system and this device tell of their memory.
pub(crate) fn memory_of(device: &Device) -> impl Iterator<Item = (&'static str, f64)> {
    let [now, highest, used, reserved] = MEMORY;
    let resident = resident_mib().map(|mib| [now, highest].into_iter().zip(mib));
    let on_device = device_mib(device).map(|mib| [used, reserved].into_iter().zip(mib));
    resident
        .into_iter()
        .flatten()
        .chain(on_device.into_iter().flatten())
}

/// MiB on a GPU: in living tensors, and reserved from its driver, which never shrinks while the
/// process lives. Nothing on the CPU.
fn device_mib(device: &Device) -> Option<[f64; 2]> {
    let usage = device.memory_pool_usage()?;
    Some([usage.bytes_in_use, usage.bytes_reserved].map(|bytes| bytes as f64 / (1 << 20) as f64))
}

/// Resident memory in MiB, now and at its highest since the start; nothing on other systems.
fn resident_mib() -> Option<[f64; 2]> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some([field_mib(&status, "VmRSS:")?, field_mib(&status, "VmHWM:")?])
}

fn field_mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_mib() {
        let status = "VmPeak:\t   9000 kB\nVmHWM:\t    3072 kB\nVmRSS:\t    1536 kB\n";
        assert_eq!(field_mib(status, "VmRSS:"), Some(1.5));
        assert_eq!(field_mib(status, "VmHWM:"), Some(3.0));
        assert_eq!(field_mib(status, "VmSwap:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")] // /proc tells
    fn the_cpu_has_no_memory_but_the_process_s() {
        let names: Vec<_> = memory_of(&Device::flex()).map(|(name, _)| name).collect();
        assert_eq!(names, MEMORY[..2]);
    }
}
