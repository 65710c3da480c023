//! Which archive of which version is installed, as the release's document in S3 says.

use dayfly_contract::{Archive, ArchiveFormat, RunnerRelease, RunnerSource};

use super::error::InstallError;
use super::objects::Objects;
use super::patience::{Patience, Tries};
use super::version::{Lack, judge};
use crate::aws::{CallError, Fault};

/// What is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) version: String,
    pub(super) archive: Archive,
}

/// Reads the release that `source` names, and chooses from it.
pub(super) async fn choose(
    objects: &dyn Objects,
    source: &RunnerSource,
    minimum: Option<&str>,
    patience: Patience,
) -> Result<Choice, InstallError> {
    let key = RunnerRelease::key(&source.prefix, &source.version);
    let text = read(objects, &key, patience).await?;
    decide(&text, key, minimum)
}

async fn read(objects: &dyn Objects, key: &str, patience: Patience) -> Result<String, InstallError> {
    let mut tries = Tries::new(patience);
    loop {
        let error = match objects.text(key).await {
            Ok(Some(text)) => return Ok(text),
            Ok(None) => CallError {
                doing: format!("reading {key}"),
                why: "there is no such object".to_owned(),
                fault: Fault::Refused,
            },
            Err(error) => error,
        };
        let gave_up =
            |gave_up: super::patience::GaveUp| InstallError::NoRelease { after: gave_up.after, source: gave_up.error };
        tries.pause(error).await.map_err(gave_up)?;
    }
}

fn decide(text: &str, key: String, minimum: Option<&str>) -> Result<Choice, InstallError> {
    let release = match RunnerRelease::read(text) {
        Ok(release) => release,
        Err(source) => return Err(InstallError::BadRelease { key, source }),
    };
    let version = release.runner_version;
    if let Err(Lack::Old { found, minimum }) = judge(Some(&version), minimum) {
        return Err(InstallError::OldRelease { key, found, minimum });
    }
    let archive = release.archives.into_iter().find(|archive| archive.format != ArchiveFormat::Unknown);
    archive.map(|archive| Choice { version, archive }).ok_or(InstallError::NoKnownFormat { key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::chain;

    const GOLDEN: &str = include_str!("../../contract/golden/runner-release.v1.json");

    fn told(text: &str, minimum: Option<&str>) -> String {
        chain(&decide(text, "p/latest.json".to_owned(), minimum).unwrap_err())
    }

    #[test]
    fn the_first_archive_that_can_be_read_is_chosen() {
        let choice = |text: &str| decide(text, String::new(), None).unwrap();
        let golden = choice(GOLDEN);
        assert_eq!((golden.version.as_str(), golden.archive.format), ("2.336.0", ArchiveFormat::TarZst));
        assert_eq!(choice(&GOLDEN.replace("tar.zst\",", "tar.br\",")).archive.format, ArchiveFormat::TarGz);
    }

    #[test]
    fn what_can_not_be_installed_is_explained() {
        let unknown = GOLDEN.replace("\"tar.zst\"", "\"tar.br\"").replace("\"tar.gz\"", "\"tar.xz\"");
        assert_eq!(
            told(&unknown, None),
            "runner.source: p/latest.json names no archive that this agent can read, expected one in tar.zst or tar.gz"
        );
        assert_eq!(
            told(GOLDEN, Some("2.400.0")),
            "runner.source: p/latest.json is version 2.336.0, runner.minimum_version asks for 2.400.0 or newer"
        );
        assert!(told("{}", None).starts_with("runner.source: p/latest.json is no release of the runner: "));
    }
}
