//! The registration as the runner wants it: the files of GitHub's JIT config, beside the runner.
//!
//! The runner would also take it from an environment variable and write the same files itself. Written by the agent it
//! leaks less: it is then on no command line and in no `/proc/<pid>/environ`, which the job's steps can read, as they
//! run under the same user. The files themselves stay, 0600 and owned by that user: the listener reads its key from
//! `.credentials_rsaparams` again whenever it needs a new token during a long job (`RSAFileKeyManager` in actions/runner),
//! so nothing could hide them from the job without breaking it. They are worth little by then: the registration is for
//! one job, and this is it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::account::Account;

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

    /// Writes them into `directory`, for `account` alone.
    pub fn write(&self, directory: &Path, account: &Account) -> io::Result<()> {
        self.0.iter().try_for_each(|(name, contents)| {
            let path = directory.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // The folder may belong to the runner's user: `create_new` follows no link that was left there.
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            if account.switch {
                fchown(&file, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
            }
            file.write_all(contents.expose_secret())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::{Gid, Uid};

    use super::*;

    fn packed(json: &str) -> SecretString {
        SecretString::from(BASE64.encode(json))
    }

    fn own_account() -> Account {
        Account {
            name: "me".to_owned(),
            uid: Uid::current(),
            gid: Gid::current(),
            groups: vec![],
            home: "/".into(),
            shell: "/bin/sh".into(),
            switch: false,
        }
    }

    #[test]
    fn files_are_written_for_the_runner_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".runner"), "old").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join(".credentials")).unwrap();
        let jit = packed(r#"{".runner": "e30=", ".credentials": "c2VjcmV0"}"#);
        JitFiles::decode(&jit).unwrap().write(folder.path(), &own_account()).unwrap();
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

    #[test]
    fn debug_shows_no_contents() {
        let files = JitFiles::decode(&packed(r#"{".runner": "c2VjcmV0"}"#)).unwrap();
        assert!(!format!("{files:?}").contains("c2VjcmV0") && !format!("{files:?}").contains("secret"));
    }
}
