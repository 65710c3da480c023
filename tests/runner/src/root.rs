//! Where the runner is installed: the folder above `bin/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The runner's root folder.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The root of the program started as `argv0`, seen from `cwd`.
    ///
    /// Symbolic links stay as they are: an instance may be a tree of links to one shared installation, and its root is
    /// then the tree, not the installation.
    pub fn of(argv0: &Path, cwd: &Path) -> anyhow::Result<Self> {
        let started_as = if argv0.components().count() > 1 {
            cwd.join(argv0)
        } else {
            // Found through PATH: only the kernel knows where.
            std::env::current_exe().context("finding this program's own file")?
        };
        let lexical = std::path::absolute(&started_as).context("making the program's path absolute")?;
        match lexical.parent().filter(|bin| bin.ends_with("bin")).and_then(Path::parent) {
            Some(root) => Ok(Self(root.to_owned())),
            None => bail!("{} is not in a folder named bin, so there is no root folder", lexical.display()),
        }
    }

    /// A root that is known.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file or folder in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_above_bin_from_any_folder() {
        for (argv0, cwd, root) in [
            ("/opt/r/bin/Runner.Listener", "/", "/opt/r"),
            ("bin/Runner.Listener", "/opt/r", "/opt/r"),
            ("./bin/Runner.Listener", "/opt/r", "/opt/r"),
        ] {
            assert_eq!(Root::of(Path::new(argv0), Path::new(cwd)).unwrap().path(), Path::new(root));
        }
        assert!(Root::of(Path::new("/opt/r/Runner.Listener"), Path::new("/")).is_err());
    }
}
