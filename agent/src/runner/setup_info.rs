//! What a job's "Set up job" step shows of the machine: `.setup_info` beside the runner, which reads it for each job.

use std::io;
use std::path::Path;

use dayfly_contract::{Phase, Timeline};
use serde_json::json;

use super::account::Account;
use super::files::replace;

/// What is told. No secrets: it stands in the log of each job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupFacts {
    /// The machine image.
    pub image: Option<String>,
    /// Instance type.
    pub instance_type: Option<String>,
    /// Availability zone.
    pub zone: Option<String>,
    /// Instance id.
    pub instance_id: String,
    /// The agent's version.
    pub agent_version: String,
    /// The fleet it was launched for.
    pub fleet: String,
    /// The runner's version.
    pub runner_version: Option<String>,
    /// When each phase began.
    pub timeline: Timeline,
}

/// The document: a list of groups, each with a heading and lines below it.
#[must_use]
pub fn setup_info(facts: &SetupFacts) -> String {
    let known = [
        ("Fleet", Some(&facts.fleet)),
        ("Instance", Some(&facts.instance_id)),
        ("Instance type", facts.instance_type.as_ref()),
        ("Zone", facts.zone.as_ref()),
        ("Image", facts.image.as_ref()),
        ("Agent", Some(&facts.agent_version)),
        ("Runner", facts.runner_version.as_ref()),
    ];
    let lines: Vec<String> =
        known.iter().filter_map(|(name, value)| value.map(|value| format!("{name}: {value}"))).collect();
    let mut groups = vec![json!({"group": "Dayfly", "detail": lines.join("\n")})];
    let timeline = boot_timeline(&facts.timeline);
    if !timeline.is_empty() {
        groups.push(json!({"group": "Boot timeline", "detail": timeline.join("\n")}));
    }
    json!(groups).to_string()
}

/// Up to the runner's start: when each phase began after the first, and how long the one before it took.
fn boot_timeline(timeline: &Timeline) -> Vec<String> {
    let boot = [Phase::Kernel, Phase::Agent, Phase::Claimed, Phase::Installed, Phase::Started];
    let began: Vec<(Phase, u64)> = boot.into_iter().filter_map(|phase| Some((phase, timeline.get(phase)?))).collect();
    let Some(&(_, first)) = began.first() else { return vec![] };
    let mut before = first;
    began
        .into_iter()
        .map(|(phase, millis)| {
            // The time of day may have been set back meanwhile.
            let line = format!(
                "{}: {} ms (+{} ms)",
                phase.name(),
                millis.saturating_sub(first),
                millis.saturating_sub(before)
            );
            before = millis;
            line
        })
        .collect()
}

/// Writes it beside the runner in `directory`.
pub fn write(directory: &Path, account: &Account, facts: &SetupFacts) -> io::Result<()> {
    replace(&directory.join(".setup_info"), setup_info(facts).as_bytes(), 0o644, account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> SetupFacts {
        let mut timeline = Timeline::default();
        for (phase, millis) in
            [(Phase::Kernel, 1000), (Phase::Agent, 3100), (Phase::Claimed, 3500), (Phase::Started, 3400)]
        {
            timeline.set(phase, millis);
        }
        timeline.set(Phase::Listening, 9000);
        SetupFacts {
            image: Some("ami-0abc".to_owned()),
            instance_type: Some("c7i.large".to_owned()),
            zone: Some("eu-west-1a".to_owned()),
            instance_id: "i-0123".to_owned(),
            agent_version: "0.1.0".to_owned(),
            fleet: "linux-x64".to_owned(),
            runner_version: None,
            timeline,
        }
    }

    #[test]
    fn it_tells_the_machine_and_how_it_booted() {
        let groups: serde_json::Value = serde_json::from_str(&setup_info(&facts())).unwrap();
        let machine = "Fleet: linux-x64\nInstance: i-0123\nInstance type: c7i.large\nZone: eu-west-1a\nImage: \
                       ami-0abc\nAgent: 0.1.0";
        // The last began when the clock had been set back.
        let boot =
            "kernel: 0 ms (+0 ms)\nagent: 2100 ms (+2100 ms)\nclaimed: 2500 ms (+400 ms)\nstarted: 2400 ms (+0 ms)";
        assert_eq!(groups, json!([{"group": "Dayfly", "detail": machine}, {"group": "Boot timeline", "detail": boot}]));
    }

    #[test]
    fn it_is_written_for_all_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &Account::for_tests(), &facts()).unwrap();
        let path = folder.path().join(".setup_info");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), setup_info(&facts()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
