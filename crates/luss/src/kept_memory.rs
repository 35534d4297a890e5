//! Memory that a training step frees is kept for the next step.
//!
//! On the CPU a step takes and frees a map for every operation. glibc's allocator gives large ones back
//! to the system, up to each single one, and takes the time of clearing pages for it again:
//! of a small network an eighth of the training.

use std::env::var_os;

/// 1 GiB: no map is taken from the system by itself.
const LARGEST_KEPT: i32 = 1 << 30;
/// Two GiB of free memory at the end of the heap stay there.
const KEPT: i32 = i32::MAX;

/// Asks glibc for it, unless the user has settings of his own: those are taken as they stand. Other
/// allocators are left alone.
pub(crate) fn keep_memory() {
    let own = [
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
        "GLIBC_TUNABLES",
    ];
    if own.iter().all(|name| var_os(name).is_none()) {
        ask();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn ask() {
    // SAFETY: `mallopt` takes two numbers, and a lock of the allocator's own.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn ask() {
    let _ = (LARGEST_KEPT, KEPT);
}
