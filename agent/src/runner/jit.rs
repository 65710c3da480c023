//! The registration as the runner wants it: the files of GitHub's JIT config, beside the runner.
//!
//! The runner would also take it from an environment variable and write the same files itself. Written by the agent it
//! leaks less: it is then on no command line and in no `/proc/<pid>/environ`, which the job's steps can read, as they
//! run under the same user. The files themselves stay, 0600 and owned by that user: the listener reads its key from
//! `.credentials_rsaparams` again whenever it needs a new token during a long job (`RSAFileKeyManager` in actions/runner),
//! so nothing could hide them from the job without breaking it. They are worth little by then: the registration is for
//! one job, and this is it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Map, Value};

use super::account::Account;
use super::files::replace;

/// The files of a JIT config. `Debug` shows no contents.
#[derive(Debug)]
pub struct JitFiles(Vec<(String, SecretSlice<u8>)>);

/// Why a JIT config is none. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JitError {
    /// Not base64 of JSON.
    #[error("jit_config is not base64 of a JSON object of texts")]
    NotJson,
    /// A file's contents are not base64.
    #[error("jit_config has a file whose contents are not base64")]
    NotBase64,
    /// A name that is none of a file of the runner's.
    #[error("jit_config has a file whose name is not that of a dot file")]
    Name,
    /// Without `.runner` there is nothing to start.
    #[error("jit_config has no file .runner")]
    NoRunner,
    /// The runner's settings are none.
    #[error("jit_config has a file .runner that is not a JSON object")]
    Settings,
}

impl JitFiles {
    /// Unpacks GitHub's `encoded_jit_config`: base64 of a JSON object, file names to base64 of contents.
    pub fn decode(jit_config: &SecretString) -> Result<Self, JitError> {
        let json = BASE64.decode(jit_config.expose_secret().trim()).map_err(|_error| JitError::NotJson)?;
        let files: BTreeMap<String, String> = serde_json::from_slice(&json).map_err(|_error| JitError::NotJson)?;
        if !files.contains_key(".runner") {
            return Err(JitError::NoRunner);
        }
        let files = files.into_iter().map(|(name, contents)| {
            let plain = name.len() > 1
                && name.starts_with('.')
                && name.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !plain {
                return Err(JitError::Name);
            }
            let contents = BASE64.decode(contents).map_err(|_error| JitError::NotBase64)?;
            Ok((name, SecretSlice::from(contents)))
        });
        Ok(Self(files.collect::<Result<_, _>>()?))
    }

    /// The same, but that the runner may not replace itself by a newer version.
    pub fn without_updates(self) -> Result<Self, JitError> {
        self.changed("disableUpdate", &Value::Bool(true))
    }

    /// The same, but that jobs work in `folder`.
    pub fn with_work_folder(self, folder: &str) -> Result<Self, JitError> {
        self.changed("workFolder", &Value::from(folder))
    }

    fn changed(self, name: &str, value: &Value) -> Result<Self, JitError> {
        let files = self.0.into_iter().map(|(file, contents)| {
            let is_settings = file == ".runner";
            let contents =
                if is_settings { changed(contents.expose_secret(), name, value.clone())?.into() } else { contents };
            Ok((file, contents))
        });
        Ok(Self(files.collect::<Result<_, _>>()?))
    }

    /// Writes them into `directory`, for `account` alone.
    pub fn write(&self, directory: &Path, account: &Account) -> io::Result<()> {
        self.0
            .iter()
            .try_for_each(|(name, contents)| replace(&directory.join(name), contents.expose_secret(), 0o600, account))
    }
}

/// The runner's settings with `value` under `name`; the rest stays. The runner reads keys in any case, and GitHub has
/// sent them in more than one.
fn changed(settings: &[u8], name: &str, value: Value) -> Result<Vec<u8>, JitError> {
    // .NET writes a byte order mark, and serde knows none.
    let settings = settings.strip_prefix(b"\xef\xbb\xbf").unwrap_or(settings);
    let mut settings: Map<String, Value> = serde_json::from_slice(settings).map_err(|_error| JitError::Settings)?;
    settings.retain(|key, _| !key.eq_ignore_ascii_case(name));
    settings.insert(name.to_owned(), value);
    serde_json::to_vec(&settings).map_err(|_error| JitError::Settings)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn packed(json: &str) -> SecretString {
        SecretString::from(BASE64.encode(json))
    }

    #[test]
    fn files_are_written_for_the_runner_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".runner"), "old").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join(".credentials")).unwrap();
        let jit = packed(r#"{".runner": "e30=", ".credentials": "c2VjcmV0"}"#);
        JitFiles::decode(&jit).unwrap().write(folder.path(), &Account::for_tests()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(".runner")).unwrap(), "{}");
        let credentials = folder.path().join(".credentials");
        assert_eq!(fs::read_to_string(&credentials).unwrap(), "secret");
        let metadata = fs::symlink_metadata(credentials).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn bad_ones_are_refused_without_being_quoted() {
        let refused = |jit: SecretString| JitFiles::decode(&jit).unwrap_err();
        assert_eq!(refused(SecretString::from("hunter2!")), JitError::NotJson);
        assert_eq!(refused(packed("[]")), JitError::NotJson);
        assert_eq!(refused(packed(r#"{".runner": 1}"#)), JitError::NotJson);
        assert_eq!(refused(packed("{}")), JitError::NoRunner);
        assert_eq!(refused(packed(r#"{".runner": "%"}"#)), JitError::NotBase64);
        for name in ["../x", "x", ".", "./x", ".a/b", ".."] {
            assert_eq!(refused(packed(&format!(r#"{{".runner": "", "{name}": ""}}"#))), JitError::Name, "{name}");
        }
    }

    fn settings_without_updates(settings: &str) -> Result<Value, JitError> {
        let folder = tempfile::tempdir().unwrap();
        let jit = packed(&format!(r#"{{".runner": "{}", ".credentials": "c2VjcmV0"}}"#, BASE64.encode(settings)));
        JitFiles::decode(&jit).unwrap().without_updates()?.write(folder.path(), &Account::for_tests()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(".credentials")).unwrap(), "secret");
        Ok(serde_json::from_slice(&fs::read(folder.path().join(".runner")).unwrap()).unwrap())
    }

    #[test]
    fn updates_are_disabled_and_nothing_else_is_changed() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (settings, expected) in [
            (r#"{"agentId": 23, "x": [1.5, null]}"#, r#"{"agentId": 23, "x": [1.5, null], "disableUpdate": true}"#),
            (r#"{"DisableUpdate": "False", "AgentId": "23"}"#, r#"{"AgentId": "23", "disableUpdate": true}"#),
            ("\u{feff}{}", r#"{"disableUpdate": true}"#),
        ] {
            assert_eq!(settings_without_updates(settings).unwrap(), json(expected), "{settings}");
        }
        assert_eq!(settings_without_updates("[]").unwrap_err(), JitError::Settings);
    }

    #[test]
    fn the_work_folder_can_be_another() {
        let files = JitFiles::decode(&packed(r#"{".runner": "eyJXb3JrRm9sZGVyIjogIl93b3JrIn0="}"#)).unwrap();
        let JitFiles(files) = files.with_work_folder("/mnt/work").unwrap();
        assert_eq!(files[0].1.expose_secret(), br#"{"workFolder":"/mnt/work"}"#);
    }

    #[test]
    fn debug_shows_no_contents() {
        let files = JitFiles::decode(&packed(r#"{".runner": "c2VjcmV0"}"#)).unwrap();
        assert!(!format!("{files:?}").contains("c2VjcmV0") && !format!("{files:?}").contains("secret"));
    }
}
