//! Kernels that were compiled for a GPU are kept for the next start, as what was tuned is.
//!
//! burn keeps them on request only, by a `cubecl.toml`. Compiling them takes minutes of each start.

use std::{env::current_dir, path::Path};

use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Asks for it, unless the user has settings of his own: those are taken as they stand. Before the
/// first kernel; later it does nothing.
pub(crate) fn keep_kernels() {
    // burn finds no settings either where the working directory is gone.
    let folder = current_dir().unwrap_or_default();
    if let Some(settings) = settings_in(&folder) {
        CubeClRuntimeConfig::try_set(settings);
    }
}

fn settings_in(folder: &Path) -> Option<CubeClRuntimeConfig> {
    if has_settings(folder) {
        return None;
    }
    let mut settings = CubeClRuntimeConfig::default().override_from_env();
    settings.compilation.cache = true;
    Some(settings)
}

/// Whether burn would find settings in this folder or above it.
fn has_settings(folder: &Path) -> bool {
    let sections = CubeClRuntimeConfig::section_file_names().iter();
    let names = CubeClRuntimeConfig::file_names().iter().copied();
    let names: Vec<&str> = names.chain(sections.map(|(file, _)| *file)).collect();
    folder
        .ancestors()
        .any(|folder| names.iter().any(|name| folder.join(name).exists()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn kernels_are_kept_unless_there_are_settings_in_the_folder_or_above() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert!(settings_in(&inner).unwrap().compilation.cache);
        fs::write(folder.path().join("cubecl.toml"), "").unwrap();
        assert!(settings_in(&inner).is_none() && settings_in(folder.path()).is_none());
    }
}
