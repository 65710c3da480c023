//! Arguments, and the environment variables that stand for arguments.
//!
//! `ACTIONS_RUNNER_INPUT_<NAME>` is argument `NAME`; all of them are taken out of the environment that the listener
//! hands on. (They still stand in `/proc/<pid>/environ` of the listener, as with the real one.)

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use anyhow::{Context, bail};
use secrecy::SecretString;

const INPUT: &str = "ACTIONS_RUNNER_INPUT_";
/// Options that take no value.
const FLAGS: &[&str] = &[
    "unattended",
    "ephemeral",
    "disableupdate",
    "no-default-labels",
    "replace",
    "once",
    "version",
    "commit",
    "help",
    "local",
    "generateserviceconfig",
];
/// Options that take one.
const VALUES: &[&str] = &[
    "jitconfig",
    "url",
    "token",
    "name",
    "labels",
    "runnergroup",
    "work",
    "pat",
    "auth",
    "startuptype",
    "monitorsocketaddress",
];

/// The environment to hand on.
pub type Env = Vec<(OsString, OsString)>;

/// What the listener was asked to do.
#[derive(Debug)]
pub struct Input {
    /// `run` where nothing else is said, as with the real one.
    pub command: Command,
    flags: BTreeSet<String>,
    /// All in one secret wrapper: the JIT config and tokens are among them.
    values: BTreeMap<String, SecretString>,
    /// The environment without the inputs.
    pub env: Env,
}

/// The listener's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Wait for jobs.
    Run,
    /// Register, behind `config.sh`.
    Configure,
    /// Take the registration back.
    Remove,
    /// Load everything once, for image builds.
    Warmup,
}

impl Input {
    /// Reads arguments first, then the environment: an argument wins over a variable.
    pub fn read(args: &[OsString], env: Env) -> anyhow::Result<Self> {
        let (inputs, env): (Env, Env) =
            env.into_iter().partition(|(name, _)| name.to_string_lossy().starts_with(INPUT));
        let mut input = Self { command: Command::Run, flags: BTreeSet::new(), values: BTreeMap::new(), env };
        for (name, value) in inputs {
            let name = name.to_string_lossy()[INPUT.len()..].to_lowercase();
            input.set(&name.replace('_', "-"), &value.to_string_lossy());
        }
        let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some(name) if FLAGS.contains(&name) => input.set(name, "true"),
                Some(name) if VALUES.contains(&name) => {
                    let value = args.next().with_context(|| format!("--{name} needs a value"))?;
                    input.set(name, &value);
                }
                Some(name) => bail!("Unrecognized command-line input arguments: '{name}'"),
                None => input.command = command(&arg)?,
            }
        }
        Ok(input)
    }

    /// Whether a flag is on.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.flags.contains(name)
    }

    /// The value of an option.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// The value of a variable in the environment that is handed on.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        var(&self.env, name)
    }

    fn set(&mut self, name: &str, value: &str) {
        if FLAGS.contains(&name) {
            if matches!(value.to_lowercase().as_str(), "true" | "1" | "yes" | "y") {
                self.flags.insert(name.to_owned());
            }
        } else if !value.is_empty() {
            self.values.insert(name.to_owned(), SecretString::from(value.to_owned()));
        }
    }
}

/// The last value of `name` in `env`.
#[must_use]
pub fn var(env: &Env, name: &str) -> Option<String> {
    env.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.to_string_lossy().into_owned())
}

fn command(word: &str) -> anyhow::Result<Command> {
    Ok(match word {
        "run" => Command::Run,
        "configure" => Command::Configure,
        "remove" => Command::Remove,
        "warmup" => Command::Warmup,
        other => bail!("Unrecognized command-line input arguments: '{other}'"),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn args(words: &str) -> Vec<OsString> {
        words.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn inputs_are_taken_out_of_the_environment() {
        let input = Input::read(
            &args("run"),
            env(&[("ACTIONS_RUNNER_INPUT_JITCONFIG", "abc"), ("ACTIONS_RUNNER_INPUT_WHATEVER", "x"), ("HOME", "/h")]),
        )
        .unwrap();
        assert_eq!(input.value("jitconfig").unwrap().expose_secret(), "abc");
        assert_eq!(input.env, env(&[("HOME", "/h")]));
        assert!(!format!("{input:?}").contains("abc"), "a secret in Debug");
    }

    #[test]
    fn an_argument_wins_over_a_variable() {
        let input = Input::read(&args("--jitconfig arg"), env(&[("ACTIONS_RUNNER_INPUT_JITCONFIG", "var")])).unwrap();
        assert_eq!(input.command, Command::Run);
        assert_eq!(input.value("jitconfig").unwrap().expose_secret(), "arg");
    }

    #[test]
    fn flags_by_argument_and_by_variable() {
        let input =
            Input::read(&args("configure --unattended"), env(&[("ACTIONS_RUNNER_INPUT_NO_DEFAULT_LABELS", "true")]))
                .unwrap();
        assert_eq!(input.command, Command::Configure);
        assert!(input.flag("unattended") && input.flag("no-default-labels") && !input.flag("replace"));
    }

    #[test]
    fn unknown_words_are_refused_by_name() {
        for bad in ["fly", "--fly", "--url"] {
            let error = Input::read(&args(bad), Vec::new()).unwrap_err().to_string();
            assert!(error.contains(bad.trim_start_matches("--")), "{error}");
        }
    }
}
