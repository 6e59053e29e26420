//! Where binaries are found.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A tool that `make tools` builds, or else the first of that name on the path.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    [root().join(".tools/bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// A binary of the control plane.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    let named = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let file = named.clone().unwrap_or_else(|| root().join(".tools/control-plane")).join(name);
    if file.is_file() {
        return Ok(file);
    }
    match named {
        Some(dir) => bail!(
            "KUBEBUILDER_ASSETS is {}, which has no {name}; unset it and run `make tools`",
            dir.display()
        ),
        None => bail!("no {name} in .tools/control-plane: run `make tools` (or set KUBEBUILDER_ASSETS)"),
    }
}
