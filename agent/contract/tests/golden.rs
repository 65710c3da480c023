//! Documents between versions: what stands in `golden/` must be read for ever, and written to the letter.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use dayfly_contract::{AgentConfig, Kind, Lifecycle, Phase, Reason, Registration, RegistrationError, names};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const CONFIG: &str = include_str!("../golden/agent-config.v1.json");
const REGISTRATION: &str = include_str!("../golden/registration.v1.json");
const FINISHED: &str = include_str!("../golden/lifecycle-finished.v1.json");
const FAILED: &str = include_str!("../golden/lifecycle-failed.v1.json");

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// `golden` with `change` applied.
fn changed(golden: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut document = value(golden);
    change(&mut document);
    document.to_string()
}

#[test]
fn agent_config_both_ways() {
    let config = AgentConfig::read(CONFIG).unwrap();
    assert_eq!(config.runner.user, "runner");
    assert_eq!(serde_json::to_value(&config).unwrap(), value(CONFIG));
}

#[test]
fn agent_config_has_defaults_and_passes_over_what_it_does_not_know() {
    let text = changed(CONFIG, |document| {
        for field in ["claim_seconds", "stop_seconds", "runner", "log"] {
            document.as_object_mut().unwrap().remove(field);
        }
        document["from_the_future"] = json!({"x": 1});
    });
    assert_eq!(AgentConfig::read(&text).unwrap(), AgentConfig::read(CONFIG).unwrap());
}

#[test]
fn agent_config_tells_every_mistake_at_once() {
    let text = json!({
        "version": 2, "deployment": "Main", "registration_prefix": "x", "lifecycle_queue_url": 7,
        "claim_seconds": 0, "stop_seconds": "1", "runner": {"directory": "opt", "user": "root"}, "log": ""
    });
    let problems = AgentConfig::read(&text.to_string()).unwrap_err();
    let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "version",
            "deployment",
            "fleet",
            "registration_prefix",
            "lifecycle_queue_url",
            "claim_seconds",
            "stop_seconds",
            "log",
            "runner.directory",
            "runner.user"
        ]
    );
    assert_eq!(problems.0[0].to_string(), "version: found 2, expected a whole number from 1 to 1");
    assert_eq!(problems.0[9].to_string(), "runner.user: found \"root\", expected the name of a user other than root");
}

#[test]
fn agent_config_that_is_no_object_is_one_mistake() {
    for text in ["", "nonsense", "[]", "3"] {
        assert_eq!(AgentConfig::read(text).unwrap_err().0.len(), 1, "{text:?}");
    }
}

#[test]
fn registration_both_ways() {
    let registration = Registration::read(REGISTRATION).unwrap();
    assert_eq!(registration.runner_id, 23);
    assert_eq!(value(registration.write().unwrap().expose_secret()), value(REGISTRATION));
}

#[test]
fn a_registration_never_shows_its_secret() {
    let registration = Registration::read(REGISTRATION).unwrap();
    let secret = registration.jit_config.expose_secret().to_owned();
    assert!(!format!("{registration:?}").contains(&secret));
    let broken = changed(REGISTRATION, |document| document["runner_id"] = json!(secret.clone()));
    let error = Registration::read(&broken).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret), "{error:?}");
}

#[test]
fn a_newer_or_broken_registration_is_refused_by_name() {
    let newer = changed(REGISTRATION, |document| document["version"] = json!(2));
    assert_eq!(Registration::read(&newer).unwrap_err(), RegistrationError::TooNew { found: 2 });
    let unversioned = changed(REGISTRATION, |document| document["version"] = Value::Null);
    assert_eq!(Registration::read(&unversioned).unwrap_err(), RegistrationError::NoVersion);
    assert!(matches!(Registration::read("{\"version\":1"), Err(RegistrationError::Unreadable { .. })));
    assert!(matches!(Registration::read("{\"version\":1}"), Err(RegistrationError::Unreadable { .. })));
}

#[test]
fn lifecycle_both_ways() {
    for golden in [FINISHED, FAILED] {
        let message: Lifecycle = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), value(golden));
    }
    let finished: Lifecycle = serde_json::from_str(FINISHED).unwrap();
    assert_eq!(finished.timeline.get(Phase::JobStarted), Some(1_795_186_804_000));
}

#[test]
fn lifecycle_of_a_newer_agent_is_readable() {
    let text = changed(FINISHED, |document| {
        document["version"] = json!(2);
        document["kind"] = json!("hibernated");
        document["reason"] = json!("bored");
        document["mood"] = json!("fine");
        document["timeline"]["dreaming"] = json!(5);
    });
    let message: Lifecycle = serde_json::from_str(&text).unwrap();
    assert_eq!((message.kind, message.reason), (Kind::Unknown, Some(Reason::Unknown)));
    assert_eq!(message.timeline.0["dreaming"], 5);
}

#[test]
fn every_phase_is_written_by_its_name() {
    for phase in Phase::ALL {
        assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
    }
}

#[test]
fn runner_names_lead_back_to_the_instance() {
    let name = names::runner_name("linux-x64", "i-0123456789abcdef0");
    assert_eq!(names::instance_of_runner(&name), Some("i-0123456789abcdef0"));
    assert!(name.len() <= 64);
    for foreign in ["GitHub Actions 5", "my-runner", "x-i-zz", "i-0123456789abcdef0", ""] {
        assert_eq!(names::instance_of_runner(foreign), None, "{foreign}");
    }
}
