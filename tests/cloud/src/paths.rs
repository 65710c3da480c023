//! Where things are: the source tree, the programs built beside this one, and the cache.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The source tree this program was built from.
pub(crate) fn repository() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // People read it.
    path.canonicalize().unwrap_or(path)
}

/// What survives between runs: root file system, Terraform's working data. `DAYFLY_CACHE` moves it.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("DAYFLY_CACHE").map_or_else(|| repository().join("target/laptop"), PathBuf::from)
}

/// A program of this workspace: from the folder `DAYFLY_SHIPPED`, where it is there, else as built beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let shipped = std::env::var_os("DAYFLY_SHIPPED").map(|folder| Path::new(&folder).join(name));
    if let Some(path) = shipped.filter(|path| path.is_file()) {
        return path.canonicalize().with_context(|| format!("looking at {}", path.display()));
    }
    let here = std::env::current_exe().context("finding this program's own path")?;
    let path = here.with_file_name(name);
    ensure!(path.is_file(), "{} is not built; run `make demo` or `cargo build --workspace`", path.display());
    Ok(path)
}

/// The Python that runs moto: `DAYFLY_MOTO_PYTHON`, else the virtual environment that `scripts/setup moto` makes.
pub(crate) fn moto_python() -> Result<PathBuf> {
    let path = std::env::var_os("DAYFLY_MOTO_PYTHON")
        .map_or_else(|| repository().join("target/venv/bin/python"), PathBuf::from);
    ensure!(path.is_file(), "{} is missing; run `scripts/setup moto`", path.display());
    Ok(path)
}

/// A command for `program` that is killed when this process is, however that ends.
pub(crate) fn dying_with_us(program: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
