//! Lives of an agent, written down in `tests/scenarios/*.txt` and fed to its core.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dayfly_agent::clock::Uptime;
use dayfly_agent::core::report::{self, Teller};
use dayfly_agent::core::{Action, Claimed, Event, Exit, HookCall, Limits, Notice, RunnerId, Saying, State, step};
use dayfly_contract::{JobFacts, Reason};

#[test]
fn transcripts_hold() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    ensure!(files.len() >= 20, "only {} transcripts", files.len());
    for file in files {
        let text = fs::read_to_string(&file)?;
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, told_anew(&text).with_context(|| file.display().to_string())?)?;
        } else {
            play(&text).with_context(|| file.display().to_string())?;
        }
    }
    Ok(())
}

#[test]
fn a_wrong_transcript_is_noticed() {
    assert!(play("+0s began -> Claiming claim").is_err(), "an action is missing");
    assert!(play("+0s began -> Listening claim, prepare").is_err(), "another state");
    assert!(play("+0s began -> Claiming claim, prepare\n= finished stopped").is_err(), "no message yet");
}

fn play(text: &str) -> Result<()> {
    let is = told_anew(text)?;
    for (number, (expected, is)) in text.lines().zip(is.lines()).enumerate() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        ensure!(words(expected) == words(is), "line {}: {expected}\nbut is: {is}", number + 1);
    }
    Ok(())
}

/// The transcript `text`, with what follows from its events as it is now.
fn told_anew(text: &str) -> Result<String> {
    let mut limits = usual();
    let mut state: Option<State> = None;
    let mut now = Uptime(0);
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = || format!("line {}: {line}", number + 1);
        if let Some(words) = line.strip_prefix("limits ") {
            read_limits(&mut limits, words).with_context(place)?;
        }
        lines.push(if line.starts_with('+') {
            let before = state.take().unwrap_or_else(|| State::new(limits, now));
            let (after, line) = told_line(line, before, &mut now).with_context(place)?;
            state = Some(after);
            line
        } else if line.starts_with('=') {
            format!("= {}", state.as_ref().and_then(message).unwrap_or_else(|| "no message".to_owned()))
        } else {
            line.to_owned()
        });
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn told_line(line: &str, before: State, now: &mut Uptime) -> Result<(State, String)> {
    let cause = line.split_once("->").map_or(line, |(cause, _)| cause).trim();
    let (time, event) = cause.split_once(char::is_whitespace).context("no event")?;
    let event = event.trim();
    let seconds: f64 = time.strip_prefix('+').and_then(|time| time.strip_suffix('s')).context("no +time")?.parse()?;
    *now = *now + Duration::from_secs_f64(seconds);
    let read = read_event(event, &before, *now)?;
    let (after, actions) = step(before, read, *now);
    let actions: Vec<String> = actions.iter().map(write_action).collect();
    let line = format!("{time:<7} {event:<24} -> {:<10} {}", after.name(), actions.join(", "));
    Ok((after, line.trim_end().to_owned()))
}

fn usual() -> Limits {
    Limits {
        claim: Duration::from_mins(2),
        stop: Duration::from_secs(30),
        idle: Duration::from_mins(5),
        minimum_running: Duration::ZERO,
        lifetime: None,
        job: Duration::from_hours(6),
        grace: Duration::from_secs(30),
        retire: Duration::from_mins(1),
        before_end: None,
        standby: None,
        stopped: false,
        kept: false,
    }
}

fn read_limits(limits: &mut Limits, words: &str) -> Result<()> {
    for word in words.split_whitespace() {
        let (name, seconds) = word.split_once('=').context("no =")?;
        let limit = Duration::from_secs(seconds.parse()?);
        match name {
            "claim" => limits.claim = limit,
            "stop" => limits.stop = limit,
            "idle" => limits.idle = limit,
            "minimum-running" => limits.minimum_running = limit,
            "lifetime" => limits.lifetime = Some(limit),
            "job" => limits.job = limit,
            "grace" => limits.grace = limit,
            "retire" => limits.retire = limit,
            "before-end" => limits.before_end = Some(limit),
            "standby" => limits.standby = Some(limit),
            "stopped" => limits.stopped = !limit.is_zero(),
            "kept" => limits.kept = !limit.is_zero(),
            other => bail!("no such limit: {other}"),
        }
    }
    Ok(())
}

fn read_event(text: &str, state: &State, now: Uptime) -> Result<Event> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').context("no )")?.to_owned()),
        None => (text, String::new()),
    };
    // Lines are numbered; a transcript says which are heard again.
    let said = |saying| Event::Said { number: state.facts.heard + 1, saying };
    let notice = |reason| -> Result<Event> {
        let at = match argument.strip_prefix("in ").and_then(|rest| rest.strip_suffix('s')) {
            Some(seconds) => Some(now + Duration::from_secs(seconds.parse()?)),
            None => None,
        };
        Ok(Event::Notice(Notice { reason, at, detail: String::new() }))
    };
    Ok(match name {
        "began" => Event::Began,
        "tick" => Event::Tick,
        "claimed" => {
            let ephemeral = argument != "reusable";
            let runner_id = ephemeral.then_some(23);
            Event::Claimed(Claimed {
                reservation: "r-1".to_owned(),
                runner_id,
                runner_name: "x".to_owned(),
                ephemeral,
                trace: None,
            })
        }
        "claim-trouble" => Event::ClaimTrouble(argument),
        "claim-refused" => Event::ClaimRefused(argument),
        "withdrawn" => Event::Withdrawn(argument),
        "prepared" => Event::Prepared,
        "installed" => Event::Installed,
        "unusable" => Event::Unusable { reason: Reason::RunnerUnusable, why: argument },
        "not-installed" => Event::Unusable { reason: Reason::InstallFailed, why: argument },
        "started" => Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        "updated" => Event::Updated,
        "listening" => said(Saying::Listening),
        "job-started" => said(Saying::JobStarted { name: argument }),
        "job-ended" => said(Saying::JobEnded { result: argument }),
        "job-started-again" => Event::Said { number: 1, saying: Saying::JobStarted { name: argument } },
        "listening-again" => Event::Said { number: 1, saying: Saying::Listening },
        "hook-started" => Event::Hook(HookCall::Started(JobFacts { job: Some(argument), ..JobFacts::default() })),
        "hook-completed" => Event::Hook(HookCall::Completed(JobFacts::default())),
        "worker" => Event::Worker(true),
        "no-worker" => Event::Worker(false),
        "exited" => Event::Exited(match (argument.as_str(), argument.strip_prefix("signal ")) {
            ("unknown", _) => Exit::Unknown,
            (_, Some(signal)) => Exit::Signal(signal.parse()?),
            (code, None) => Exit::Code(code.parse()?),
        }),
        "spot" => notice(Reason::SpotInterruption)?,
        "rebalance" => notice(Reason::Rebalance)?,
        "maintenance" => notice(Reason::Maintenance)?,
        "disk-low" => Event::DiskLow { free_mib: 100 },
        "slept" => Event::Slept(Duration::from_secs(argument.parse()?)),
        "heartbeat-due" => Event::HeartbeatDue,
        "stop-asked" => Event::StopAsked,
        "closed-up" => Event::ClosedUp,
        "reported" => Event::Reported,
        "terminated" => Event::Terminated,
        "not-terminated" => Event::NotTerminated,
        "not-powered-off" => Event::NotPoweredOff,
        other => bail!("no such event: {other}"),
    })
}

fn write_action(action: &Action) -> String {
    match action {
        Action::Exit(code) => format!("exit({code})"),
        Action::Tell(kind) => format!("tell({})", dashed(kind)),
        Action::Disagree(how) => format!("disagree({})", dashed(how)),
        other => dashed(other),
    }
}

/// `StopClaiming` as `stop-claiming`.
fn dashed(name: &impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{name:?}").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn message(state: &State) -> Option<String> {
    let teller = Teller { instance_id: "i-0123456789abcdef0".to_owned(), fleet: "x".to_owned() };
    let message = serde_json::to_value(report::last(&teller, state, &[], 0)?).ok()?;
    let words = ["kind", "reason", "detail"].map(|name| message[name].as_str().unwrap_or_default().to_owned());
    Some(words.join(" ").trim().to_owned())
}
