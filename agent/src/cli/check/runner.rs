//! The runner, its user, and the user's own scripts.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dayfly_contract::{AgentConfig, RunnerConfig, is_version, version_numbers};

use super::image::Image;
use super::{Finding, Verdict};
use crate::runner::LISTENER;

/// The file in which image builds and our own installer keep the runner's version.
const VERSION_FILE: &str = ".dayfly-runner.json";

pub(super) fn runner(image: &Image<'_>, config: &RunnerConfig) -> Finding {
    let finding = |found: String, advice: Option<String>| Finding {
        name: "runner".to_owned(),
        verdict: if advice.is_some() { Verdict::Missing } else { Verdict::Ok },
        found,
        advice,
    };
    let program = Path::new(&config.directory).join(LISTENER);
    let source = config.source.as_ref().map(|source| format!("s3://{}/{}", source.bucket, source.prefix));
    if !image.is_program(&program) {
        return match source {
            Some(source) => finding(format!("none in {}; it will be installed from {source}", config.directory), None),
            None => finding(
                format!("no program {}", program.display()),
                Some(format!("unpack a runner into {}, or set runner.source", config.directory)),
            ),
        };
    }
    if let Some(other) = machine(image, &program).filter(|machine| *machine != image.arch) {
        let advice = format!("install the runner for {}", image.arch);
        return finding(format!("{} is a program for {other}", program.display()), Some(advice));
    }
    let version = version(image, config);
    let told = version.as_deref().map_or_else(|| "version unknown".to_owned(), |version| format!("version {version}"));
    let told = format!("{}, {told}", config.directory);
    let Some(minimum) = &config.minimum_version else { return finding(told, None) };
    match (&version, source) {
        (None, _) => Finding::note(
            "runner",
            told,
            format!("write {{\"version\": \"…\"}} to {VERSION_FILE} there, or the agent has to run it to ask"),
        ),
        (Some(version), _) if version_numbers(version) >= version_numbers(minimum) => finding(told, None),
        (Some(_), Some(source)) => {
            finding(format!("{told}; older than {minimum}, it will be replaced from {source}"), None)
        }
        (Some(_), None) => finding(told, Some(format!("install {minimum} or a newer one, or set runner.source"))),
    }
}

fn version(image: &Image<'_>, config: &RunnerConfig) -> Option<String> {
    let text = image.read(Path::new(&config.directory).join(VERSION_FILE))?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    value["version"].as_str().filter(|version| is_version(version)).map(str::to_owned)
}

/// The processor a program is for, where it is one of those a runner can be for. Scripts are for all.
fn machine(image: &Image<'_>, program: &Path) -> Option<&'static str> {
    let mut head = [0; 20];
    File::open(image.at(program)).ok()?.read_exact(&mut head).ok()?;
    // e_machine of the ELF header (elf(5)); both are little-endian.
    match (&head[..4], u16::from_le_bytes([head[18], head[19]])) {
        (b"\x7fELF", 62) => Some("x86_64"),
        (b"\x7fELF", 183) => Some("aarch64"),
        (b"\x7fELF", 40) => Some("arm"),
        _ => None,
    }
}

pub(super) fn user(image: &Image<'_>, name: &str) -> Finding {
    match image.user_id(name) {
        Some(0) if name == "root" => Finding::ok("user", "root, as configured"),
        Some(0) => {
            Finding::missing("user", format!("{name} is root by another name"), "set runner.user to another user")
        }
        Some(uid) => Finding::ok("user", format!("{name}, user id {uid}")),
        None => match image.program("useradd") {
            Some(useradd) => Finding::ok("user", format!("no {name}; it will be created by {}", useradd.display())),
            None => Finding::missing(
                "user",
                format!("no {name}, and no useradd to create it"),
                "create the user, or install useradd (package passwd or shadow-utils)",
            ),
        },
    }
}

/// The user's scripts that the config names.
pub(super) fn scripts(image: &Image<'_>, config: &AgentConfig) -> Vec<Finding> {
    let missing = |name: &str, path: &str, what: &str| {
        Finding::missing(
            name,
            format!("{path} is not there{what}"),
            "put it into the image, or take it out of the config",
        )
    };
    let mut findings = Vec::new();
    for (name, path) in
        [("hook_started", &config.runner.hook_started), ("hook_completed", &config.runner.hook_completed)]
    {
        if let Some(path) = path {
            findings.push(if image.at(path).is_file() { Finding::ok(name, path) } else { missing(name, path, "") });
        }
    }
    if let Some(before_end) = &config.before_end {
        let path = &before_end.script;
        let good = image.is_program(path);
        findings.push(if good {
            Finding::ok("before_end", path)
        } else {
            missing("before_end", path, " as a program")
        });
    }
    findings
}
