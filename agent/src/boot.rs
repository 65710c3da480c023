//! Learns who this instance is and what it shall do: identity, config, credentials.
//!
//! The metadata service may come up after the agent does, which starts early. So everything is asked for again and
//! again, soon, up to a limit.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use dayfly_contract::{AgentConfig, Problem, Problems, names};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::aws::imds::{Identity, Imds, MetadataError, UserData};
use crate::backoff::{Backoff, random};
use crate::errors::chain;
use crate::logging;
use crate::settings::Settings;
use crate::user_data;

/// All that is known before the work begins.
#[derive(Clone, Debug)]
pub struct Booted {
    /// Who this instance is.
    pub identity: Identity,
    /// What it shall do.
    pub config: AgentConfig,
    /// Credentials of its role, if it has them already.
    pub credentials: Option<Credentials>,
}

/// Why the work can't begin.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The config has mistakes: all of them.
    #[error("config refused: {0}")]
    Refused(Problems),
    /// The metadata service did not answer in time.
    #[error("no answer from the metadata service within {} s", limit.as_secs())]
    Silent {
        /// How long it was asked.
        limit: Duration,
        /// The last thing that happened.
        #[source]
        source: Option<MetadataError>,
    },
}

/// Asks the metadata service, and the config file where user-data has no config. `problems` are the environment's: with
/// any of them the work can't begin either, but the config is read all the same, so that one run tells every mistake.
pub async fn boot(imds: &Imds, settings: &Settings, mut problems: Problems) -> Result<Booted, BootError> {
    match learn(imds, settings).await {
        Ok(booted) => problems.or(booted).map_err(BootError::Refused),
        Err(BootError::Refused(more)) => {
            problems.0.extend(more.0);
            Err(BootError::Refused(problems))
        }
        // What is known to be wrong is worth more than that nothing else is known.
        Err(BootError::Silent { limit, source }) => {
            Err(problems.or(BootError::Silent { limit, source }).unwrap_or_else(BootError::Refused))
        }
    }
}

async fn learn(imds: &Imds, settings: &Settings) -> Result<Booted, BootError> {
    let limit = settings.metadata_limit;
    let identity = until_answered(limit, || imds.identity()).await?;
    // It answers now, so one try for the credentials will do; if the role is not there yet, the clients ask again.
    let provider = imds.credentials();
    let (user_data, credentials) =
        tokio::join!(until_answered(limit, || imds.user_data()), provider.provide_credentials());
    let config = config(&user_data?, &settings.config_file).map_err(BootError::Refused)?;
    let credentials =
        credentials.inspect_err(|error| warn!(error = %chain(error), "The instance has no credentials yet")).ok();
    Ok(Booted { identity, config, credentials })
}

async fn until_answered<T, F>(limit: Duration, ask: impl Fn() -> F) -> Result<T, BootError>
where
    F: Future<Output = Result<T, MetadataError>>,
{
    let deadline = Instant::now() + limit;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let mut last = None;
    loop {
        match timeout_at(deadline, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                if last.is_none() {
                    info!(error = %chain(&error), "Waiting for the metadata service");
                }
                last = Some(error);
            }
            Err(_elapsed) => return Err(BootError::Silent { limit, source: last }),
        }
        let pause = backoff.next(random());
        if Instant::now() + pause >= deadline {
            return Err(BootError::Silent { limit, source: last });
        }
        sleep(pause).await;
    }
}

/// The config in `user_data`, or else in `file`.
fn config(user_data: &UserData, file: &Path) -> Result<AgentConfig, Problems> {
    let (text, told) = match user_data {
        UserData::Text(text) => (user_data::agent_config(text)?, "user-data about something else"),
        UserData::Absent => (None, "no user-data"),
        UserData::Binary => (None, "user-data that is not text"),
    };
    let text = match text {
        Some(text) => text,
        None => std::fs::read_to_string(file).map_err(|error| {
            let allowed = format!(
                "#cloud-config that writes {}, or a readable file {} ({error})",
                names::AGENT_CONFIG_PATH,
                file.display()
            );
            Problems(vec![Problem::new("user-data", told, allowed)])
        })?,
    };
    let read = AgentConfig::read(&text);
    let log = match &read {
        Ok(config) => Some(config.log.clone()),
        Err(_problems) => log_of(&text),
    };
    let Some(log) = log.filter(|log| !logging::is_filter(log)) else { return read };
    // The contract knows no filters. This mistake is told with all others.
    let mut problems = read.err().unwrap_or_default();
    problems.0.push(Problem::new("log", format!("{log:?}"), logging::FILTER));
    Err(problems)
}

/// The log filter in a config that has mistakes; none where `log` itself was refused already.
fn log_of(text: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    document.get("log")?.as_str().filter(|log| !log.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("../contract/golden/agent-config.v1.json");

    #[test]
    fn user_data_comes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.json");
        std::fs::write(&file, CONFIG.replace("linux-x64", "from-file")).unwrap();
        let fleet = |user_data| config(&user_data, &file).unwrap().fleet;
        assert_eq!(fleet(UserData::Text(CONFIG.to_owned())), "linux-x64");
        assert_eq!(fleet(UserData::Text("#!/bin/sh\n".to_owned())), "from-file");
        assert_eq!(fleet(UserData::Absent), "from-file");
        assert_eq!(fleet(UserData::Binary), "from-file");
    }

    #[test]
    fn no_config_anywhere_is_told_with_both_places() {
        let problem = config(&UserData::Absent, Path::new("/nonexistent/agent.json")).unwrap_err().to_string();
        assert!(problem.starts_with("user-data: found no user-data, expected #cloud-config that writes"), "{problem}");
        assert!(problem.contains("/nonexistent/agent.json"), "{problem}");
    }

    #[test]
    fn a_log_filter_is_checked() {
        let text = CONFIG.replace("\"log\": \"info\"", "\"log\": \"loud=very\"");
        let problem = config(&UserData::Text(text), Path::new("/none")).unwrap_err().to_string();
        assert!(problem.starts_with("log: found \"loud=very\", expected a log filter"), "{problem}");
    }

    #[test]
    fn a_log_filters_mistake_is_told_with_the_others() {
        let problems = |log: &str| {
            let text = CONFIG.replace("\"log\": \"info\"", log).replace("linux-x64", "Linux X64");
            let problems = config(&UserData::Text(text), Path::new("/none")).unwrap_err();
            problems.0.iter().map(|problem| problem.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(problems("\"log\": \"loud=very\""), ["fleet", "log"]);
        assert_eq!(problems("\"log\": \"\""), ["fleet", "log"]);
        assert_eq!(problems("\"log\": 5"), ["fleet", "log"]);
        assert_eq!(problems("\"log\": \"debug\""), ["fleet"]);
    }

    #[tokio::test]
    async fn a_silent_service_is_asked_until_the_limit() {
        let began = Instant::now();
        let result: Result<(), _> = until_answered(Duration::from_millis(300), || async {
            Err(MetadataError::NoAnswer { path: "/x", why: "refused".to_owned() })
        })
        .await;
        let error = result.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(
            chain(&error),
            "no answer from the metadata service within 0 s: asking the metadata service for /x: refused"
        );
    }

    #[tokio::test]
    async fn a_service_that_hangs_is_given_up_too() {
        let result: Result<(), _> = until_answered(Duration::from_millis(300), std::future::pending).await;
        assert!(matches!(result, Err(BootError::Silent { source: None, .. })), "{result:?}");
    }
}
