//! What a world that has ended left on the computer.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cgroup;

/// Removes what can be removed, and lists what is still there after `limit`.
pub(super) fn remove_and_list(world: &str, limit: Duration) -> Vec<String> {
    let until = Instant::now() + limit;
    loop {
        cgroup::remove(world, Duration::ZERO);
        let found = list(world);
        if found.is_empty() || Instant::now() >= until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn list(world: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut processes = cgroup::processes(world);
    processes.extend(marked(world));
    processes.sort_unstable();
    processes.dedup();
    for pid in processes {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        found.push(format!("process {pid} {}", name.trim()));
    }
    found.extend(mounts().into_iter().map(|mount| format!("mount {mount}")));
    for (device, file) in loops(world) {
        found.push(format!("loop device {device} of {file}"));
        // Only one that its world had no time to hand over to its mount; the others go by themselves.
        let _ = Command::new("losetup").args(["--detach", &device]).output();
    }
    found.extend(
        cgroup::folders(world)
            .into_iter()
            .filter(|folder| folder.exists())
            .map(|folder| format!("control group {}", folder.display())),
    );
    found
}

/// Processes whose environment says that they belong to the world.
fn marked(world: &str) -> Vec<i32> {
    let marks = ["init", "inside"].map(|place| format!("{}={place}:{world}", super::PLACE));
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| marks.iter().any(|mark| mark.as_bytes() == entry))
        })
        .collect()
}

/// Mounts of machines that are seen outside, which none should be at any time.
fn mounts() -> Vec<String> {
    std::fs::read_to_string("/proc/self/mounts")
        .unwrap_or_default()
        .lines()
        .filter(|line| ["dayfly-world ", "dayfly-root ", "dayfly-disk "].iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect()
}

/// Loop devices whose file bears the world's name, with that file.
fn loops(world: &str) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let file = std::fs::read_to_string(Path::new("/sys/block").join(&name).join("loop/backing_file")).ok()?;
            file.contains(world).then(|| (format!("/dev/{name}"), file.trim().to_owned()))
        })
        .collect()
}
