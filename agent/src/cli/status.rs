//! What the agent on this machine is doing, from what it has kept for a restart of its own.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use dayfly_contract::{Job, Phase};
use serde::Serialize;

use crate::clock::{Clock, Uptime};
use crate::core::State;
use crate::hook::text::plain;
use crate::memory::Memory;
use crate::settings::Settings;

/// An agent's state, for people and programs. Times are milliseconds since the kernel started, where nothing else is
/// said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Now.
    pub uptime_ms: u64,
    /// The instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The instance's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// The stage of the agent's life.
    pub state: String,
    /// When the last phase of the timeline began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The job it runs, or ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Why the instance ends, where it does: `kind: reason`, and what there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// Milliseconds from now to the state's next deadline; negative where it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_in_ms: Option<i64>,
    /// What has happened, in order.
    pub timeline: Vec<Step>,
}

/// A phase that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// When it began.
    pub at_ms: u64,
    /// Milliseconds after the one before.
    pub after_ms: u64,
}

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum NoStatus {
    /// No state was kept.
    #[error("no agent has run here since the machine started: {} is missing", .0.display())]
    None(PathBuf),
    /// It belongs to the agent alone.
    #[error("reading {} needs root", .0.display())]
    Denied(PathBuf),
    /// It is there and can't be read.
    #[error("reading {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can be read and is not of an agent like this one.
    #[error("{} was left by an agent of another version, or before the machine started", .0.display())]
    Other(PathBuf),
}

/// Reads what the agent has kept in the settings' folder.
pub fn read(settings: &Settings) -> Result<Status, NoStatus> {
    let path = settings.state_dir.join("state.json");
    if let Err(source) = File::open(&path) {
        return Err(match source.kind() {
            io::ErrorKind::NotFound => NoStatus::None(path),
            io::ErrorKind::PermissionDenied => NoStatus::Denied(path),
            _ => NoStatus::Unreadable { path, source },
        });
    }
    let memory = Memory::of(&settings.state_dir);
    let state = memory.load().ok_or(NoStatus::Other(path))?;
    let mut status = of(&state, Clock::of_kernel().origin());
    if let Some((identity, config)) = memory.known() {
        status.instance_id = Some(identity.instance_id);
        status.region = Some(identity.region);
        status.fleet = Some(config.fleet);
    }
    Ok(status)
}

/// What `state` says at `now`; nothing of the instance.
fn of(state: &State, now: Uptime) -> Status {
    let mut steps: Vec<(Phase, Uptime)> = state.facts.phases.iter().map(|(phase, at)| (*phase, *at)).collect();
    steps.sort_by_key(|(_, at)| *at);
    let mut before = Uptime(0);
    let mut timeline = Vec::new();
    for (phase, at) in steps {
        timeline.push(Step { phase, at_ms: at.0, after_ms: at.0 - before.0 });
        before = at;
    }
    Status {
        uptime_ms: now.0,
        instance_id: None,
        region: None,
        fleet: None,
        state: state.name().to_owned(),
        since_ms: timeline.last().map(|step| step.at_ms),
        job: state.facts.job.clone(),
        ends: state.facts.verdict.as_ref().map(|verdict| {
            let detail = verdict.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
            format!("{}: {}{detail}", word(&verdict.kind), word(&verdict.reason))
        }),
        deadline_in_ms: state.deadline().map(|at| signed(at.0) - signed(now.0)),
        timeline,
    }
}

impl Status {
    /// Writes it for a person, a line for each thing there is to say.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(id) = &self.instance_id {
            let region = self.region.as_ref().map_or_else(String::new, |region| format!(" in {region}"));
            writeln!(out, "instance  {id}{region}")?;
        }
        if let Some(fleet) = &self.fleet {
            writeln!(out, "fleet     {fleet}")?;
        }
        writeln!(out, "state     {}", self.state)?;
        if let Some(since) = self.since_ms {
            writeln!(out, "since     {}", span(self.uptime_ms.saturating_sub(since)))?;
        }
        if let Some(job) = &self.job {
            writeln!(out, "job       {}", title(job))?;
        }
        if let Some(ends) = &self.ends {
            writeln!(out, "ends      {}", plain(ends))?;
        }
        match self.deadline_in_ms {
            Some(left @ 0..) => writeln!(out, "deadline  in {}", span(left.unsigned_abs()))?,
            Some(over) => writeln!(out, "deadline  {} ago", span(over.unsigned_abs()))?,
            None => {}
        }
        for (number, step) in self.timeline.iter().enumerate() {
            let head = if number == 0 { "timeline" } else { "" };
            let name = step.phase.name();
            writeln!(out, "{head:<8}  {name:<11} {:>12}  +{}", span(step.at_ms), span(step.after_ms))?;
        }
        Ok(())
    }
}

/// A job on one line. Its name and facts are words of a workflow's author.
fn title(job: &Job) -> String {
    let facts = &job.facts;
    let run = facts.run_id.map(|id| match facts.run_attempt {
        Some(attempt) => format!("run {id} attempt {attempt}"),
        None => format!("run {id}"),
    });
    let actor = facts.actor.as_ref().map(|actor| format!("by {actor}"));
    let more: Vec<String> =
        [facts.repository.clone(), facts.workflow.clone(), run, actor].into_iter().flatten().collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let result = job.result.as_ref().map_or_else(String::new, |result| format!(": {result}"));
    format!("{}{}{}", plain(&job.name), plain(&result), plain(&more))
}

/// A word of a lifecycle message, as it stands there.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or("unknown").to_owned()
}

/// Milliseconds as a person reads them.
fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dayfly_contract::{AgentConfig, JobFacts};

    use super::*;
    use crate::aws::imds::Identity;
    use crate::cli::tests::settings;
    use crate::core::tests::limits;

    /// The state of an agent that has begun, as the core makes it.
    fn begun() -> State {
        State::new(limits(), Uptime(2_150))
    }

    fn text(status: &Status) -> String {
        let mut out = Vec::new();
        status.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_state_that_was_kept_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let memory = Memory::of(&settings.state_dir);
        memory.prepare().unwrap();
        assert!(matches!(read(&settings), Err(NoStatus::None(_))));
        memory.save(&begun());
        let status = read(&settings).unwrap();
        assert_eq!((status.state.as_str(), status.instance_id.as_ref()), ("Booting", None));

        let identity: Identity = Identity {
            instance_id: "i-0123456789abcdef0".to_owned(),
            region: "eu-west-1".to_owned(),
            ..Identity::default()
        };
        memory.keep(&identity, &AgentConfig::read(include_str!("../../contract/golden/agent-config.v1.json")).unwrap());
        let status = read(&settings).unwrap();
        assert!(
            text(&status).starts_with("instance  i-0123456789abcdef0 in eu-west-1\nfleet     "),
            "{}",
            text(&status)
        );

        fs::write(settings.state_dir.join("state.json"), "{}").unwrap();
        assert!(matches!(read(&settings), Err(NoStatus::Other(_))));
    }

    #[test]
    fn times_are_counted_from_phase_to_phase_and_to_the_deadline() {
        let mut state = begun();
        state.facts.began(Phase::Claimed, Uptime(3_400));
        let status = of(&state, Uptime(5_000));
        let steps: Vec<(&str, u64, u64)> =
            status.timeline.iter().map(|step| (step.phase.name(), step.at_ms, step.after_ms)).collect();
        assert_eq!(steps, [("kernel", 0, 0), ("agent", 2150, 2150), ("claimed", 3400, 1250)]);
        assert_eq!(
            (status.since_ms, status.deadline_in_ms),
            (Some(3400), state.deadline().map(|at| signed(at.0) - 5000))
        );
    }

    #[test]
    fn a_person_reads_aligned_lines() {
        let step = |phase, at_ms, after_ms| Step { phase, at_ms, after_ms };
        let facts = JobFacts {
            repository: Some("octo/repo".to_owned()),
            run_id: Some(7),
            run_attempt: Some(2),
            ..JobFacts::default()
        };
        let status = Status {
            uptime_ms: 75_000,
            instance_id: None,
            region: None,
            fleet: None,
            state: "Running".to_owned(),
            since_ms: Some(70_000),
            job: Some(Job { name: "build\u{1b}[2J\nstate Over".to_owned(), result: None, facts }),
            ends: Some("finished: job_done".to_owned()),
            deadline_in_ms: Some(-3_700_000),
            timeline: vec![step(Phase::Kernel, 0, 0), step(Phase::JobStarted, 70_000, 70_000)],
        };
        let expected = "\
state     Running
since     5.0 s
job       build\u{fffd}[2J\u{fffd}state Over (octo/repo, run 7 attempt 2)
ends      finished: job_done
deadline  1 h 01 min ago
timeline  kernel             0.0 s  +0.0 s
          job_started   1 min 10 s  +1 min 10 s
";
        assert_eq!(text(&status), expected);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["timeline"][1]["phase"], "job_started");
        assert_eq!(json["job"]["run_id"], 7);
    }
}
