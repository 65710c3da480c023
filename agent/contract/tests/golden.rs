//! Documents between versions: what stands in `golden/` must be read for ever, and written to the letter.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use dayfly_contract::{
    AgentConfig, ArchiveFormat, Grant, Kind, Lifecycle, Phase, Pool, Reason, Registration, RegistrationError,
    RunnerRelease, names,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const CONFIG: &str = include_str!("../golden/agent-config.v1.json");
const WHOLE_CONFIG: &str = include_str!("../golden/agent-config.v1.whole.json");
const RELEASE: &str = include_str!("../golden/runner-release.v1.json");
const TOKEN_REGISTRATION: &str = include_str!("../golden/registration-token.v1.json");
const TRACED_REGISTRATION: &str = include_str!("../golden/registration-trace.v1.json");
const STANDBY_CONFIG: &str = include_str!("../golden/agent-config-standby.v1.json");
const STOPPED_CONFIG: &str = include_str!("../golden/agent-config-stopped.v1.json");
const IDLE_CONFIG: &str = include_str!("../golden/agent-config-idle.v1.json");
const LEAVE: &str = include_str!("../golden/registration-leave.v1.json");
const LIFECYCLES: [&str; 7] = [
    FINISHED,
    FAILED,
    include_str!("../golden/lifecycle-interrupted.v1.json"),
    include_str!("../golden/lifecycle-retire.v1.json"),
    include_str!("../golden/lifecycle-failed-log.v1.json"),
    include_str!("../golden/lifecycle-standby.v1.json"),
    include_str!("../golden/lifecycle-retire-standby.v1.json"),
];
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
    let config = AgentConfig::read(WHOLE_CONFIG).unwrap();
    assert_eq!(config.runner.source.as_ref().unwrap().version, "latest");
    assert_eq!(serde_json::to_value(&config).unwrap(), value(WHOLE_CONFIG));
}

#[test]
fn agent_config_of_the_first_control_plane_is_read() {
    let config = AgentConfig::read(CONFIG).unwrap();
    assert_eq!(config.runner.user, "runner");
    // What it wrote is still written the same; what came later stands beside it.
    let written = serde_json::to_value(&config).unwrap();
    for (name, value) in value(CONFIG).as_object().unwrap() {
        if name != "runner" {
            assert_eq!(written[name], *value, "{name}");
        }
    }
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
        "claim_seconds": 0, "stop_seconds": "1", "idle_seconds": 0, "metadata_access": "nobody", "before_end": {"script": "x"}, "cloudwatch_agent": "ssm:",
        "runner": {"directory": "opt", "user": "", "source": {"bucket": "B", "prefix": "/", "version": "new"},
                   "minimum_version": "2", "disable_update": 1, "environment": {"A B": "c"}, "hook_started": "/x.js"},
        "log": ""
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
            "idle_seconds",
            "metadata_access",
            "before_end.script",
            "cloudwatch_agent",
            "log",
            "runner.directory",
            "runner.user",
            "runner.source.bucket",
            "runner.source.prefix",
            "runner.source.version",
            "runner.minimum_version",
            "runner.disable_update",
            "runner.environment",
            "runner.hook_started"
        ]
    );
    assert_eq!(problems.0[0].to_string(), "version: found 2, expected a whole number from 1 to 1");
    assert_eq!(problems.0[8].to_string(), "metadata_access: found \"nobody\", expected \"agent\" or \"all\"");
}

#[test]
fn root_can_not_be_kept_from_the_metadata_service() {
    let text = changed(CONFIG, |document| document["runner"]["user"] = json!("root"));
    let problems = AgentConfig::read(&text).unwrap_err().to_string();
    assert!(
        problems.starts_with("metadata_access: found nothing, expected \"all\" where runner.user is root"),
        "{problems}"
    );
    let text = changed(&text, |document| document["metadata_access"] = json!("all"));
    assert_eq!(AgentConfig::read(&text).unwrap().runner.user, "root");
}

#[test]
fn a_pool_is_read_and_written() {
    for (golden, pool) in [
        (STANDBY_CONFIG, Pool::Standby { lifetime_seconds: 14_400 }),
        (STOPPED_CONFIG, Pool::Stopped { lifetime_seconds: 14_400 }),
        (IDLE_CONFIG, Pool::Idle),
    ] {
        let config = AgentConfig::read(golden).unwrap();
        assert_eq!(config.pool, Some(pool));
        assert_eq!(serde_json::to_value(&config).unwrap()["pool"], value(golden)["pool"]);
    }
    for (bad, path) in [
        (json!({}), "pool.kind"),
        (json!({"kind": "hibernated"}), "pool.kind"),
        (json!({"kind": "stopped"}), "pool.lifetime_seconds"),
        (json!({"kind": "standby"}), "pool.lifetime_seconds"),
        // Nothing would ever end it where control does not.
        (json!({"kind": "idle"}), "max_lifetime_seconds"),
    ] {
        let text = changed(CONFIG, |document| document["pool"] = bad);
        assert_eq!(AgentConfig::read(&text).unwrap_err().0[0].path, path);
    }
}

#[test]
fn a_registration_may_tell_to_leave() {
    let registration = Registration::read(LEAVE).unwrap();
    assert!(matches!(&registration.grant, Grant::Leave { leave } if leave == "surplus"));
    assert_eq!(registration.runner_id(), None);
    assert_eq!(value(registration.write().unwrap().expose_secret()), value(LEAVE));
}

#[test]
fn a_bucket_changes_what_the_prefix_may_be() {
    let text = changed(CONFIG, |document| document["registration_bucket"] = json!("dayfly-main"));
    assert!(AgentConfig::read(&text).unwrap_err().to_string().starts_with("registration_prefix: found"));
}

#[test]
fn runner_release_both_ways() {
    let release = RunnerRelease::read(RELEASE).unwrap();
    assert_eq!(release.archives[1].format, ArchiveFormat::TarGz);
    assert_eq!(serde_json::to_value(&release).unwrap(), value(RELEASE));
    let newer = changed(RELEASE, |document| document["archives"][0]["format"] = json!("tar.br"));
    assert_eq!(RunnerRelease::read(&newer).unwrap().archives[0].format, ArchiveFormat::Unknown);
    let bad = changed(RELEASE, |document| {
        document["version"] = json!(2);
        document["runner_version"] = json!("2.336");
        document["archives"][1]["sha256"] = json!("none");
    });
    let problems = RunnerRelease::read(&bad).unwrap_err();
    let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["version", "runner_version", "archives[1].sha256"]);
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
    assert_eq!(registration.runner_id(), Some(23));
    assert_eq!(value(registration.write().unwrap().expose_secret()), value(REGISTRATION));
    assert_eq!(registration.trace, None, "an older control plane's");
    let registration = Registration::read(TRACED_REGISTRATION).unwrap();
    assert_eq!(registration.trace.as_deref(), Some("1-5759e988-bd862e3fe1be46a994272793"));
    assert_eq!(value(registration.write().unwrap().expose_secret()), value(TRACED_REGISTRATION));
    let registration = Registration::read(TOKEN_REGISTRATION).unwrap();
    assert_eq!(registration.runner_id(), None);
    assert_eq!(value(registration.write().unwrap().expose_secret()), value(TOKEN_REGISTRATION));
}

#[test]
fn a_registration_never_shows_its_secret() {
    let registration = Registration::read(REGISTRATION).unwrap();
    let Grant::Jit { jit_config, .. } = &registration.grant else { panic!("another grant") };
    let secret = jit_config.expose_secret().to_owned();
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
    assert_eq!(Registration::read("{\"version\":1}").unwrap_err(), RegistrationError::Fields);
}

#[test]
fn lifecycle_both_ways() {
    for golden in LIFECYCLES {
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
