//! The few settings that are local to a machine, from `DAYFLY_*` environment variables. All have defaults; a wrong
//! value or an unknown name is a mistake, and all mistakes are told at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_contract::{MetadataAccess, Problem, Problems, names};

use crate::hook;

/// What the agent is told by its own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `DAYFLY_STATE_DIR`: where the agent keeps its memory and the runner's output.
    pub state_dir: PathBuf,
    /// `DAYFLY_CONFIG_FILE`: the agent's config where user-data holds none.
    pub config_file: PathBuf,
    /// `DAYFLY_RUNNER_DIRECTORY`: where the runner is on this machine, whatever the config says.
    pub runner_directory: Option<PathBuf>,
    /// `DAYFLY_RUNNER_USER`: who runs it on this machine, whatever the config says.
    pub runner_user: Option<String>,
    /// `DAYFLY_METADATA_ACCESS`: who may ask the metadata service on this machine, whatever the config says.
    pub metadata_access: Option<MetadataAccess>,
    /// `DAYFLY_HOOK_DIR`: where jobs find our hooks. They can read it, and not write to it.
    pub hook_dir: PathBuf,
    /// `DAYFLY_LOG`: a log filter that overrides the config's.
    pub log: Option<String>,
    /// `DAYFLY_LOG_FILE`: a file that takes the log beside standard output; none where the value is empty.
    pub log_file: Option<PathBuf>,
    /// `DAYFLY_ENDING`: what to do when EC2 does not terminate the instance.
    pub ending: LastResort,
    /// `DAYFLY_METADATA_SECONDS`: how long the metadata service may take to answer.
    pub metadata_limit: Duration,
    /// `DAYFLY_END_SECONDS`: how long EC2 is asked to terminate the instance before the last resort.
    pub end_limit: Duration,
}

/// What is left to do when the EC2 API does not end the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastResort {
    /// Nothing: exit with an error (`terminate`). For an agent that runs as a plain process.
    Exit,
    /// Power the machine off (`terminate-or-power-off`); its shutdown behaviour terminates it.
    PowerOff,
}

/// Where the log goes beside standard output.
const LOG_FILE: &str = "/var/log/dayfly/agent.log";

const NAMES: [&str; 11] = [
    "DAYFLY_CONFIG_FILE",
    "DAYFLY_ENDING",
    "DAYFLY_END_SECONDS",
    "DAYFLY_HOOK_DIR",
    "DAYFLY_LOG",
    "DAYFLY_LOG_FILE",
    "DAYFLY_METADATA_ACCESS",
    "DAYFLY_METADATA_SECONDS",
    "DAYFLY_RUNNER_DIRECTORY",
    "DAYFLY_RUNNER_USER",
    "DAYFLY_STATE_DIR",
];

impl Settings {
    /// Reads the settings from environment variables; others than `DAYFLY_*` are passed over. Where a value is refused,
    /// its default stands in for it, so that the config's mistakes can be found too and told beside these.
    pub fn read(vars: impl IntoIterator<Item = (String, String)>) -> (Self, Problems) {
        let vars: BTreeMap<String, String> = vars.into_iter().filter(|(name, _)| name.starts_with("DAYFLY_")).collect();
        let mut problems = Problems::default();
        for name in vars.keys().filter(|name| !NAMES.contains(&name.as_str())) {
            // Nobody knows what its value is: it may be a secret.
            problems.0.push(Problem::new(name, "a value", format!("no such name; known: {}", NAMES.join(", "))));
        }
        let settings = Self {
            state_dir: path(&vars, "DAYFLY_STATE_DIR", &mut problems).unwrap_or_else(|| "/run/dayfly".into()),
            config_file: path(&vars, "DAYFLY_CONFIG_FILE", &mut problems)
                .unwrap_or_else(|| names::AGENT_CONFIG_PATH.into()),
            runner_directory: path(&vars, "DAYFLY_RUNNER_DIRECTORY", &mut problems),
            runner_user: user(&vars, "DAYFLY_RUNNER_USER", &mut problems),
            metadata_access: access(&vars, "DAYFLY_METADATA_ACCESS", &mut problems),
            hook_dir: path(&vars, "DAYFLY_HOOK_DIR", &mut problems).unwrap_or_else(|| hook::FOLDER.into()),
            log: filter(&vars, "DAYFLY_LOG", &mut problems),
            log_file: match vars.get("DAYFLY_LOG_FILE").map(String::as_str) {
                None => Some(LOG_FILE.into()),
                Some("") => None,
                Some(_) => path(&vars, "DAYFLY_LOG_FILE", &mut problems),
            },
            ending: ending(&vars, "DAYFLY_ENDING", &mut problems),
            metadata_limit: seconds(&vars, "DAYFLY_METADATA_SECONDS", 120, &mut problems),
            end_limit: seconds(&vars, "DAYFLY_END_SECONDS", 60, &mut problems),
        };
        (settings, problems)
    }
}

type Vars = BTreeMap<String, String>;

fn path(vars: &Vars, name: &str, problems: &mut Problems) -> Option<PathBuf> {
    let value = vars.get(name)?;
    if !value.starts_with('/') {
        problems.0.push(Problem::new(name, quoted(value), "an absolute path"));
        return None;
    }
    Some(PathBuf::from(value))
}

fn user(vars: &Vars, name: &str, problems: &mut Problems) -> Option<String> {
    let value = vars.get(name)?;
    if value.is_empty() {
        problems.0.push(Problem::new(name, quoted(value), "the name of a user"));
        return None;
    }
    Some(value.clone())
}

fn access(vars: &Vars, name: &str, problems: &mut Problems) -> Option<MetadataAccess> {
    let value = vars.get(name)?;
    let known = MetadataAccess::WORDS.iter().find(|(word, _)| word == value);
    if known.is_none() {
        problems.0.push(Problem::new(name, quoted(value), "\"agent\" or \"all\""));
    }
    known.map(|(_, access)| *access)
}

fn filter(vars: &Vars, name: &str, problems: &mut Problems) -> Option<String> {
    let value = vars.get(name)?;
    if !crate::logging::is_filter(value) {
        problems.0.push(Problem::new(name, quoted(value), crate::logging::FILTER));
        return None;
    }
    Some(value.clone())
}

fn ending(vars: &Vars, name: &str, problems: &mut Problems) -> LastResort {
    match vars.get(name).map(String::as_str) {
        None | Some("terminate-or-power-off") => LastResort::PowerOff,
        Some("terminate") => LastResort::Exit,
        Some(value) => {
            problems.0.push(Problem::new(name, quoted(value), "\"terminate\" or \"terminate-or-power-off\""));
            LastResort::PowerOff
        }
    }
}

fn seconds(vars: &Vars, name: &str, default: u64, problems: &mut Problems) -> Duration {
    let number = vars.get(name).map_or(Some(default), |value| value.parse().ok().filter(|n| (1..=3600).contains(n)));
    Duration::from_secs(number.unwrap_or_else(|| {
        problems.0.push(Problem::new(name, quoted(&vars[name]), "a whole number from 1 to 3600"));
        default
    }))
}

fn quoted(value: &str) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> (Settings, Problems) {
        Settings::read(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let (settings, problems) = read(&[("PATH", "/bin")]);
        assert_eq!(problems, Problems::default());
        assert_eq!(settings.state_dir, PathBuf::from("/run/dayfly"));
        assert_eq!(settings.config_file, PathBuf::from("/etc/dayfly/agent.json"));
        assert_eq!(settings.log, None);
        assert_eq!(settings.log_file, Some(PathBuf::from("/var/log/dayfly/agent.log")));
        assert_eq!(settings.hook_dir, PathBuf::from("/run/dayfly-hook"));
        assert_eq!(settings.metadata_access, None);
        assert_eq!(read(&[("DAYFLY_LOG_FILE", "")]).0.log_file, None);
        assert_eq!(settings.ending, LastResort::PowerOff);
        assert_eq!(settings.metadata_limit, Duration::from_mins(2));
        assert_eq!(settings.end_limit, Duration::from_mins(1));
    }

    #[test]
    fn each_can_be_set() {
        let (settings, problems) = read(&[
            ("DAYFLY_STATE_DIR", "/tmp/d"),
            ("DAYFLY_CONFIG_FILE", "/tmp/c.json"),
            ("DAYFLY_RUNNER_DIRECTORY", "/tmp/r"),
            ("DAYFLY_RUNNER_USER", "nobody"),
            ("DAYFLY_LOG", "debug"),
            ("DAYFLY_LOG_FILE", "/tmp/l"),
            ("DAYFLY_HOOK_DIR", "/tmp/h"),
            ("DAYFLY_METADATA_ACCESS", "all"),
            ("DAYFLY_ENDING", "terminate"),
            ("DAYFLY_METADATA_SECONDS", "3"),
            ("DAYFLY_END_SECONDS", "4"),
        ]);
        assert_eq!(problems, Problems::default());
        assert_eq!(
            settings,
            Settings {
                state_dir: PathBuf::from("/tmp/d"),
                config_file: PathBuf::from("/tmp/c.json"),
                runner_directory: Some(PathBuf::from("/tmp/r")),
                runner_user: Some("nobody".to_owned()),
                metadata_access: Some(MetadataAccess::All),
                hook_dir: PathBuf::from("/tmp/h"),
                log: Some("debug".to_owned()),
                log_file: Some(PathBuf::from("/tmp/l")),
                ending: LastResort::Exit,
                metadata_limit: Duration::from_secs(3),
                end_limit: Duration::from_secs(4),
            }
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let (settings, problems) = read(&[
            ("DAYFLY_STATE_DIR", "here"),
            ("DAYFLY_RUNNER_USER", ""),
            ("DAYFLY_METADATA_ACCESS", "nobody"),
            ("DAYFLY_HOOK_DIR", "hooks"),
            ("DAYFLY_LOG", "dayfly_agent=loud"),
            ("DAYFLY_LOG_FILE", "agent.log"),
            ("DAYFLY_ENDING", "never"),
            ("DAYFLY_METADATA_SECONDS", "0"),
            ("DAYFLY_END_SECONDS", "soon"),
            ("DAYFLY_STATEDIR", "hunter2"),
        ]);
        let defaults = Settings { log_file: None, ..read(&[]).0 };
        assert_eq!(settings, defaults, "defaults stand in for what was refused");
        let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "DAYFLY_STATEDIR",
                "DAYFLY_STATE_DIR",
                "DAYFLY_RUNNER_USER",
                "DAYFLY_METADATA_ACCESS",
                "DAYFLY_HOOK_DIR",
                "DAYFLY_LOG",
                "DAYFLY_LOG_FILE",
                "DAYFLY_ENDING",
                "DAYFLY_METADATA_SECONDS",
                "DAYFLY_END_SECONDS"
            ]
        );
        let text = problems.to_string();
        assert!(text.contains("DAYFLY_STATEDIR: found a value, expected no such name; known: DAYFLY_"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("DAYFLY_ENDING: found \"never\", expected \"terminate\" or"), "{text}");
    }
}
