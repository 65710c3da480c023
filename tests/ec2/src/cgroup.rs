//! Control groups by hand: one folder per world, one per machine in it, in every hierarchy.
//!
//! Hierarchies are one (cgroup v2) or many (v1, or both side by side). Each systemd-nspawn needs its own folder in each,
//! or the payloads of two machines share one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The folders named `name` in every hierarchy, whether or not they exist.
pub(crate) fn folders(name: &str) -> Vec<PathBuf> {
    hierarchies(Path::new(ROOT)).into_iter().map(|hierarchy| hierarchy.join(name)).collect()
}

/// The hierarchies mounted below `root`. Not `cpuset`: a new group there takes no process until it has been given
/// processors, and nobody needs it.
fn hierarchies(root: &Path) -> Vec<PathBuf> {
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let found: BTreeSet<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.path().canonicalize().ok()) // `cpu` may be a link to `cpu,cpuacct`
        .filter(|path| path.join("cgroup.procs").exists() && !path.ends_with("cpuset"))
        .collect();
    found.into_iter().collect()
}

/// Creates `name` in every hierarchy, and hands the controllers of v2 down to it as far as the kernel lets us.
pub(crate) fn create(name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folders = folders(name);
    for folder in &folders {
        std::fs::create_dir_all(folder).with_context(|| format!("creating control group {}", folder.display()))?;
        for ancestor in folder.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(ROOT)) {
            for controller in ["cpu", "memory", "pids"] {
                // Limits inside machines are a convenience; where a controller is not to be had there are none.
                let _ = std::fs::write(ancestor.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
    }
    Ok(folders)
}

/// Limits the memory of the group `name`.
pub(crate) fn limit_memory(name: &str, bytes: u64) -> anyhow::Result<()> {
    for folder in folders(name) {
        for file in ["memory.max", "memory.limit_in_bytes"].map(|file| folder.join(file)) {
            if file.exists() {
                std::fs::write(&file, bytes.to_string()).with_context(|| format!("writing {}", file.display()))?;
                return Ok(());
            }
        }
    }
    anyhow::bail!("limiting the memory of {name}: no hierarchy has a memory controller");
}

/// Stops or continues every process of the group `name`. By cgroup v2 alone: what the freezer of v1 has frozen cannot even
/// be killed, so a world that dies with a frozen machine would never be gone.
pub(crate) fn freeze(name: &str, frozen: bool) -> anyhow::Result<()> {
    for folder in folders(name) {
        let file = folder.join("cgroup.freeze");
        if file.exists() {
            let state = if frozen { "1" } else { "0" };
            return std::fs::write(&file, state).with_context(|| format!("writing {}", file.display()));
        }
    }
    anyhow::bail!("freezing {name}: no cgroup v2 hierarchy is mounted");
}

/// Processes in the group `name` and below, in any hierarchy.
pub(crate) fn processes(name: &str) -> Vec<i32> {
    let mut found = BTreeSet::new();
    for folder in folders(name) {
        for folder in descendants(&folder) {
            let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    found.into_iter().collect()
}

/// Removes the group `name` everywhere. A group that still holds dying processes is tried again until `limit`; answers
/// what is left.
pub(crate) fn remove(name: &str, limit: Duration) -> Vec<PathBuf> {
    let until = Instant::now() + limit;
    loop {
        for folder in folders(name) {
            // Deepest first: a folder with folders in it cannot be removed.
            for folder in descendants(&folder).into_iter().rev() {
                // Busy or gone already: the next look tells.
                let _ = std::fs::remove_dir(folder);
            }
        }
        let left: Vec<PathBuf> = folders(name).into_iter().filter(|folder| folder.exists()).collect();
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Names at the top of any hierarchy that start with `prefix`.
pub(crate) fn starting_with(prefix: &str) -> BTreeSet<String> {
    hierarchies(Path::new(ROOT))
        .iter()
        .filter_map(|hierarchy| std::fs::read_dir(hierarchy).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// A folder and all below it, parents first.
fn descendants(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if folder.is_dir() {
        found.push(folder.to_owned());
        let mut at = 0;
        while let Some(folder) = found.get(at).cloned() {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            found.extend(entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path()));
            at += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hierarchy_or_many() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["memory", "cpuset", "cpu,cpuacct", "other"] {
            std::fs::create_dir(dir.path().join(name)).expect("a hierarchy");
        }
        for name in ["memory", "cpuset", "cpu,cpuacct"] {
            std::fs::write(dir.path().join(name).join("cgroup.procs"), "").expect("a file");
        }
        std::os::unix::fs::symlink("cpu,cpuacct", dir.path().join("cpu")).expect("a link");
        let names: Vec<_> =
            hierarchies(dir.path()).iter().map(|path| path.file_name().expect("a name").to_owned()).collect();
        assert_eq!(names, ["cpu,cpuacct", "memory"]);
        std::fs::write(dir.path().join("cgroup.controllers"), "").expect("a file");
        assert_eq!(hierarchies(dir.path()), [dir.path()]);
    }

    #[test]
    fn descendants_come_after_their_parents() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("a/b")).expect("folders");
        let found = descendants(dir.path());
        assert_eq!(found, [dir.path().to_owned(), dir.path().join("a"), dir.path().join("a/b")]);
        assert!(descendants(&dir.path().join("none")).is_empty());
    }
}
