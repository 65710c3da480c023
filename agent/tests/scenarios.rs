//! Lives of an agent, written down in `tests/scenarios/*.txt` and fed to its core.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dayfly_agent::clock::Uptime;
use dayfly_agent::core::report::{Teller, lifecycle};
use dayfly_agent::core::{Action, Claimed, Event, Exit, Limits, RunnerId, State, step};

#[test]
fn transcripts_hold() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    ensure!(files.len() >= 9, "only {} transcripts", files.len());
    for file in files {
        play(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[test]
fn a_wrong_transcript_is_noticed() {
    assert!(play("+0s began -> Claiming claim").is_err(), "an action is missing");
    assert!(play("+0s began -> Listening claim, read-ahead").is_err(), "another state");
    assert!(play("+0s began -> Claiming claim, read-ahead\n= finished stopped").is_err(), "no message yet");
}

fn play(text: &str) -> Result<()> {
    let mut limits = Limits { claim: Duration::from_mins(2), stop: Duration::from_secs(30) };
    let mut state = None;
    let mut now = Uptime(0);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("line {}: {line}", number + 1);
        if let Some(words) = line.strip_prefix("limits ") {
            limits = read_limits(words).with_context(place)?;
        } else if let Some(expected) = line.strip_prefix("= ") {
            let told = state.as_ref().and_then(message).unwrap_or_else(|| "no message".to_owned());
            ensure!(told == expected, "{}, but is: {told}", place());
        } else {
            let before = state.take().unwrap_or_else(|| State::new(limits, now));
            state = Some(play_line(line, before, &mut now).with_context(place)?);
        }
    }
    Ok(())
}

fn play_line(line: &str, before: State, now: &mut Uptime) -> Result<State> {
    let (cause, effect) = line.split_once("->").context("no ->")?;
    let (time, event) = cause.trim().split_once(char::is_whitespace).context("no event")?;
    let seconds: f64 = time.strip_prefix('+').and_then(|time| time.strip_suffix('s')).context("no +time")?.parse()?;
    *now = *now + Duration::from_secs_f64(seconds);
    let (after, actions) = step(before, read_event(event.trim())?, *now);
    let actions: Vec<String> = actions.iter().map(write_action).collect();
    let is = format!("{} {}", after.name(), actions.join(", "));
    let expected: Vec<&str> = effect.split_whitespace().collect();
    ensure!(is.trim() == expected.join(" "), "but is: {is}");
    Ok(after)
}

fn read_limits(words: &str) -> Result<Limits> {
    let (claim, stop) = words.split_once(' ').context("two limits")?;
    let seconds = |word: &str, name| -> Result<Duration> {
        let number = word.strip_prefix(name).with_context(|| format!("no {name}"))?;
        Ok(Duration::from_secs(number.parse()?))
    };
    Ok(Limits { claim: seconds(claim, "claim=")?, stop: seconds(stop, "stop=")? })
}

fn read_event(text: &str) -> Result<Event> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').context("no )")?.to_owned()),
        None => (text, String::new()),
    };
    Ok(match name {
        "began" => Event::Began,
        "tick" => Event::Tick,
        "claimed" => {
            Event::Claimed(Claimed { reservation: "r-1".to_owned(), runner_id: 23, runner_name: "x".to_owned() })
        }
        "claim-trouble" => Event::ClaimTrouble(argument),
        "claim-refused" => Event::ClaimRefused(argument),
        "installed" => Event::Installed,
        "unusable" => Event::Unusable(argument),
        "started" => Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        "updated" => Event::Updated,
        "listening" => Event::Listening,
        "job-started" => Event::JobStarted { name: argument },
        "job-ended" => Event::JobEnded { result: argument },
        "exited" => Event::Exited(match (argument.as_str(), argument.strip_prefix("signal ")) {
            ("unknown", _) => Exit::Unknown,
            (_, Some(signal)) => Exit::Signal(signal.parse()?),
            (code, None) => Exit::Code(code.parse()?),
        }),
        "stop-asked" => Event::StopAsked,
        "reported" => Event::Reported,
        "terminated" => Event::Terminated,
        "not-terminated" => Event::NotTerminated,
        "not-powered-off" => Event::NotPoweredOff,
        other => bail!("no such event: {other}"),
    })
}

fn write_action(action: &Action) -> String {
    match action {
        Action::Claim => "claim",
        Action::StopClaiming => "stop-claiming",
        Action::ReadAhead => "read-ahead",
        Action::StopReadingAhead => "stop-reading-ahead",
        Action::Install => "install",
        Action::Start => "start",
        Action::AwaitUpdate => "await-update",
        Action::Adopt => "adopt",
        Action::Interrupt => "interrupt",
        Action::Kill => "kill",
        Action::Report => "report",
        Action::Terminate => "terminate",
        Action::PowerOff => "power-off",
        Action::Exit(code) => return format!("exit({code})"),
        Action::Ignore => "ignore",
    }
    .to_owned()
}

fn message(state: &State) -> Option<String> {
    let teller = Teller { instance_id: "i-0123456789abcdef0".to_owned(), fleet: "x".to_owned() };
    let message = serde_json::to_value(lifecycle(&teller, state, 0)?).ok()?;
    let words = ["kind", "reason", "detail"].map(|name| message[name].as_str().unwrap_or_default().to_owned());
    Some(words.join(" ").trim().to_owned())
}
