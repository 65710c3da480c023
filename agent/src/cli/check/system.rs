//! What the agent needs of the system: its unit, systemd, control groups, a firewall, room.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dayfly_contract::{MetadataAccess, RunnerConfig};

use super::Finding;
use super::image::Image;

const UNIT: &str = "dayfly-agent.service";
/// Its `OnFailure=`; systemd itself only logs where it is missing.
const END_UNIT: &str = "dayfly-agent-end.service";
/// Where units are, the administrator's own first (systemd.unit(5)).
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// The oldest systemd the unit is written for.
const OLDEST_SYSTEMD: u32 = 247;
/// Free bytes for the runner's files, and for a job's.
const ROOM: u64 = 2 << 30;

pub(super) fn unit(image: &Image<'_>) -> Finding {
    let Some(path) = UNITS.iter().map(|folder| Path::new(folder).join(UNIT)).find(|path| {
        // A link out of the image is there as well, as far as systemd is concerned.
        fs::symlink_metadata(image.at(path)).is_ok()
    }) else {
        return Finding::missing(
            "unit",
            format!("no {UNIT}"),
            "install agent/systemd/dayfly-agent.service and enable it",
        );
    };
    let shown = path.display();
    let masked = fs::read_link(image.at(&path)).is_ok_and(|target| target == Path::new("/dev/null"));
    let text = image.read(&path).unwrap_or_default();
    let program = text.lines().find_map(|line| line.trim().strip_prefix("ExecStart=")).and_then(program_of);
    let Some(program) = program.filter(|_| !masked) else {
        return Finding::missing(
            "unit",
            format!("{shown} is masked, or has no ExecStart"),
            format!("systemctl unmask {UNIT}"),
        );
    };
    if !image.is_program(program) {
        return Finding::missing(
            "unit",
            format!("{shown} starts {program}, which is no program"),
            "install the agent there",
        );
    }
    let end = UNITS
        .iter()
        .map(|folder| Path::new(folder).join(END_UNIT))
        .find(|path| !image.read(path).unwrap_or_default().is_empty());
    if end.is_none() {
        return Finding::missing(
            "unit",
            format!("no {END_UNIT}, which ends the machine where the agent can't"),
            "install agent/systemd/dayfly-agent-end.service beside the other",
        );
    }
    match enabled_by(image) {
        Some(by) => Finding::ok("unit", format!("{shown}, enabled by {by}")),
        None => Finding::missing("unit", format!("{shown} is not enabled"), format!("systemctl enable {UNIT}")),
    }
}

/// The program of an `ExecStart=` line, after what may stand before it (systemd.service(5)).
fn program_of(command: &str) -> Option<&str> {
    command.split_ascii_whitespace().next().map(|word| word.trim_start_matches(['-', '@', ':', '+', '!']))
}

/// The unit that starts ours with itself: its folder of links.
fn enabled_by(image: &Image<'_>) -> Option<String> {
    UNITS.iter().find_map(|folder| {
        image.names(folder).into_iter().find(|name| {
            let wants = Path::new(name).extension().is_some_and(|kind| kind == "wants" || kind == "requires");
            wants && fs::symlink_metadata(image.at(Path::new(folder).join(name).join(UNIT))).is_ok()
        })
    })
}

pub(super) fn systemd(image: &Image<'_>) -> Finding {
    // Its version is part of the name of its own library: libsystemd-shared-252.so, …-252.23-3.amzn2023.so.
    let debian = format!("/usr/lib/{}/systemd", image.triplet());
    let folders = ["/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd", &debian];
    let version = folders.iter().flat_map(|folder| image.names(folder)).find_map(|name| {
        let rest = name.strip_prefix("libsystemd-shared-")?;
        rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse::<u32>().ok()
    });
    let advice = format!("use an image with systemd {OLDEST_SYSTEMD} or newer");
    match version {
        Some(version) if version >= OLDEST_SYSTEMD => Finding::ok("systemd", version.to_string()),
        Some(version) => Finding::missing("systemd", version.to_string(), advice),
        None if image.exists("/usr/lib/systemd/systemd") || image.exists("/lib/systemd/systemd") => {
            Finding::note("systemd", "there, of an unknown version", advice)
        }
        None => Finding::missing("systemd", "not there", advice),
    }
}

pub(super) fn cgroups(image: &Image<'_>) -> Finding {
    let advice = "version 2 ends all of a job's processes at once; boot with systemd.unified_cgroup_hierarchy=1";
    if image.exists("/sys/fs/cgroup/cgroup.controllers") {
        Finding::ok("cgroup", "version 2")
    } else if image.exists("/sys/fs/cgroup/systemd") {
        Finding::note("cgroup", "version 1, or both", advice)
    } else {
        Finding::ok("cgroup", "not mounted here; seen on a running machine only")
    }
}

pub(super) fn firewall(image: &Image<'_>, access: MetadataAccess) -> Option<Finding> {
    match access {
        MetadataAccess::All => None,
        MetadataAccess::Agent => Some(match image.program("nft").or_else(|| image.program("iptables")) {
            Some(program) => Finding::ok("firewall", program.display().to_string()),
            None => Finding::missing(
                "firewall",
                "neither nft nor iptables, by which jobs are kept from the metadata service",
                "install nftables, or set metadata_access to \"all\"",
            ),
        }),
    }
}

/// The room on the file systems of the runner's and the jobs' folders.
pub(super) fn space(image: &Image<'_>, config: &RunnerConfig) -> Vec<Finding> {
    let runner = PathBuf::from(&config.directory);
    // An absolute one stands for itself.
    let work = runner.join(&config.work_folder);
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for folder in [runner, work] {
        // The folder may yet have to be made.
        let Some(there) = folder.ancestors().map(|folder| image.at(folder)).find(|path| path.is_dir()) else {
            continue;
        };
        let device = fs::metadata(&there).map(|metadata| metadata.dev()).ok();
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        findings.push(room(image, &folder, &there));
    }
    findings
}

fn room(image: &Image<'_>, folder: &Path, there: &Path) -> Finding {
    let shown = folder.display();
    match (image.free)(there) {
        Ok(bytes) if bytes >= ROOM => Finding::ok("space", format!("{} MiB free for {shown}", bytes >> 20)),
        Ok(bytes) => Finding::missing(
            "space",
            format!("{} MiB free for {shown}", bytes >> 20),
            format!("make room for {} MiB, or use a larger volume", ROOM >> 20),
        ),
        Err(error) => Finding::missing("space", format!("no word on the room for {shown} ({error})"), "mount it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_stands_after_its_prefixes() {
        assert_eq!(program_of("/usr/local/bin/dayfly-agent"), Some("/usr/local/bin/dayfly-agent"));
        assert_eq!(program_of("-+/bin/x --y"), Some("/bin/x"));
        assert_eq!(program_of(""), None);
    }
}
