//! The memory of this process, as Linux tells it.

/// Resident memory in MiB, now and at its highest since the start; nothing on other systems.
pub(crate) fn resident_mib() -> Option<[f64; 2]> {
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
}
