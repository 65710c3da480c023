//! The image's runner: whether there is one, its version, and whether that will do.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dayfly_contract::version_numbers;
use serde::{Deserialize, Serialize};

/// Says the version of the runner beside it. Written by the agent with what it installs, and by image builds.
pub const MARKER: &str = ".dayfly-runner.json";

/// The runner's program, in its directory.
const LISTENER: &str = "bin/Runner.Listener";

/// The document in [`MARKER`].
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    version: String,
}

/// Whether `directory` holds a runner that could be started.
pub(super) fn has_listener(directory: &Path) -> bool {
    fs::metadata(directory.join(LISTENER))
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The version of the runner in `directory`, by its [`MARKER`].
pub(super) fn marked(directory: &Path) -> Option<String> {
    let text = fs::read_to_string(directory.join(MARKER)).ok()?;
    let marker: Marker = serde_json::from_str(&text).ok()?;
    version_numbers(&marker.version).map(|_| marker.version)
}

/// The [`MARKER`] of a runner of this version.
#[must_use]
pub fn marker(version: &str) -> String {
    // Writing a text with one field has no way to fail.
    serde_json::to_string(&Marker { version: version.to_owned() }).unwrap_or_default()
}

/// The version in what `bin/Runner.Listener --version` prints.
#[must_use]
pub fn printed(output: &str) -> Option<String> {
    output.lines().map(str::trim).rfind(|line| version_numbers(line).is_some()).map(str::to_owned)
}

/// What is wrong with the image's runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// There is none.
    Absent,
    /// It is older than the config allows.
    Old {
        /// Its version.
        found: String,
        /// The config's minimum.
        minimum: String,
    },
    /// It may be older than the config allows.
    Unknown {
        /// The config's minimum.
        minimum: String,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "found no program {LISTENER}"),
            Self::Old { found, minimum } => {
                write!(f, "found a runner of version {found}, runner.minimum_version asks for {minimum} or newer")
            }
            Self::Unknown { minimum } => {
                write!(
                    f,
                    "found a runner that can't tell its version, runner.minimum_version asks for {minimum} or newer"
                )
            }
        }
    }
}

/// Whether a runner of version `found` will do; the other way round, what is wrong with it.
pub(super) fn judge(found: Option<&str>, minimum: Option<&str>) -> Result<(), Lack> {
    let Some(minimum) = minimum else { return Ok(()) };
    let numbers = found.and_then(|found| version_numbers(found).map(|numbers| (found, numbers)));
    match numbers {
        None => Err(Lack::Unknown { minimum: minimum.to_owned() }),
        // A minimum that is no version is below all of them.
        Some((_, numbers)) if Some(numbers) >= version_numbers(minimum) => Ok(()),
        Some((found, _)) => Err(Lack::Old { found: found.to_owned(), minimum: minimum.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(judge(Some("2.336.0"), Some("2.99.0")), Ok(()));
        assert_eq!(judge(Some("2.336.0"), Some("2.336.0")), Ok(()));
        let old = Lack::Old { found: "2.99.0".to_owned(), minimum: "2.336.0".to_owned() };
        assert_eq!(judge(Some("2.99.0"), Some("2.336.0")), Err(old));
    }

    #[test]
    fn an_unknown_version_will_do_only_where_none_is_asked_for() {
        for found in [None, Some("a lot")] {
            assert_eq!(judge(found, None), Ok(()));
            assert_eq!(judge(found, Some("2.1.0")), Err(Lack::Unknown { minimum: "2.1.0".to_owned() }));
        }
    }

    #[test]
    fn the_marker_is_read_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(marked(folder.path()), None);
        let path = folder.path().join(MARKER);
        fs::write(&path, marker("2.336.0")).unwrap();
        assert_eq!(marked(folder.path()).as_deref(), Some("2.336.0"));
        // Image builds write it with whatever they have; more fields may come.
        fs::write(&path, r#"{ "version": "2.1.0", "built": 1 }"#).unwrap();
        assert_eq!(marked(folder.path()).as_deref(), Some("2.1.0"));
        for bad in ["", "2.1.0", r#"{"version": "new"}"#] {
            fs::write(&path, bad).unwrap();
            assert_eq!(marked(folder.path()), None, "{bad}");
        }
    }

    #[test]
    fn the_listeners_own_word_is_found_among_others() {
        assert_eq!(printed("2.336.0\n").as_deref(), Some("2.336.0"));
        assert_eq!(printed("warning: 2 cores\n 2.336.0 \r\n\n").as_deref(), Some("2.336.0"));
        assert_eq!(printed("Segmentation fault"), None);
    }

    #[test]
    fn a_listener_is_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LISTENER);
        assert!(!has_listener(folder.path()));
        fs::create_dir_all(&path).unwrap();
        assert!(!has_listener(folder.path()), "a folder");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!has_listener(folder.path()), "not executable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(has_listener(folder.path()));
    }
}
