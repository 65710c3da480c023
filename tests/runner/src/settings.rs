//! `.runner`, `.credentials` and `.credentials_rsaparams`: who this runner is and how it proves it.
//!
//! They come inside a JIT config, from `config.sh`, or were written by whoever starts the listener.

use std::{collections::BTreeMap, fs, io::Write, os::unix::fs::OpenOptionsExt};

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::root::Root;

/// The settings' file.
pub const RUNNER: &str = ".runner";
/// All files that a configuration consists of.
pub const FILES: [&str; 3] = [RUNNER, ".credentials", ".credentials_rsaparams"];

/// `.runner`. GitHub has sent its keys in both spellings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runner {
    /// The runner's id at the server.
    #[serde(alias = "AgentId", deserialize_with = "crate::job::text")]
    pub agent_id: String,
    /// Its name.
    #[serde(alias = "AgentName")]
    pub agent_name: String,
    /// Taken off the server after one job.
    #[serde(alias = "Ephemeral", default, deserialize_with = "truth")]
    pub ephemeral: bool,
    /// Must not replace itself by a newer version.
    #[serde(alias = "DisableUpdate", default, deserialize_with = "truth")]
    pub disable_update: bool,
    /// Base address of the server, ending in a slash.
    #[serde(alias = "ServerUrl")]
    pub server_url: String,
    /// `https://github.com/<owner>`.
    #[serde(alias = "GitHubUrl", default)]
    pub git_hub_url: String,
    /// Relative to the root folder.
    #[serde(alias = "WorkFolder", default = "work")]
    pub work_folder: String,
    /// Who wants to be told by TCP when jobs start and end.
    #[serde(alias = "MonitorSocketAddress", default)]
    pub monitor_socket_address: Option<String>,
}

/// `.runner` and the token of `.credentials`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `.runner`.
    pub runner: Runner,
    /// The runner's own secret at the server.
    pub token: SecretString,
}

#[derive(Deserialize)]
struct Credentials {
    data: CredentialData,
}

#[derive(Deserialize)]
struct CredentialData {
    token: SecretString,
}

impl Settings {
    /// Whether there is a configuration.
    #[must_use]
    pub fn exist(root: &Root) -> bool {
        FILES[..2].iter().all(|name| root.join(name).exists())
    }

    /// Reads the files.
    pub fn load(root: &Root) -> anyhow::Result<Self> {
        let text = read(root, RUNNER)?;
        let runner = serde_json::from_str(&text).context("reading .runner")?;
        // serde's messages can quote values, and here one is a secret.
        let Ok(credentials) = serde_json::from_str::<Credentials>(&read(root, ".credentials")?) else {
            bail!("reading .credentials: not JSON with data.token");
        };
        Ok(Self { runner, token: credentials.data.token })
    }

    /// Deletes the files, as after an ephemeral runner's job.
    pub fn delete(root: &Root) {
        for name in FILES {
            drop(fs::remove_file(root.join(name)));
        }
    }
}

/// Writes the files of a JIT config: base64 of a JSON object `{file name: base64 of contents}`.
pub fn write_jit(root: &Root, config: &SecretString) -> anyhow::Result<()> {
    let json = BASE64_STANDARD.decode(config.expose_secret().trim()).ok().context("the JIT config is not base64")?;
    let files: BTreeMap<String, SecretString> =
        serde_json::from_slice(&json).ok().context("the JIT config is not base64 of a JSON object of texts")?;
    write_files(root, &files)
}

/// Writes configuration files that came as base64, readable by their owner alone.
pub fn write_files(root: &Root, files: &BTreeMap<String, SecretString>) -> anyhow::Result<()> {
    if let Some(name) = files.keys().find(|name| !FILES.contains(&name.as_str())) {
        bail!("the configuration holds a file {name:?}; allowed are {}", FILES.join(", "));
    }
    for (name, content) in files {
        let content =
            BASE64_STANDARD.decode(content.expose_secret()).ok().with_context(|| format!("{name} is not base64"))?;
        write(root, name, &content)?;
    }
    Ok(())
}

/// Writes one file with mode 0600.
pub fn write(root: &Root, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = root.join(name);
    // Created anew: the mode of an older file would stay.
    drop(fs::remove_file(&path));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(content).with_context(|| format!("writing {}", path.display()))
}

fn read(root: &Root, name: &str) -> anyhow::Result<String> {
    let path = root.join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // .NET writes a byte order mark.
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn work() -> String {
    "_work".to_owned()
}

/// GitHub sends `true` or `"True"`.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Plain(bool),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Plain(truth) => truth,
        Either::Text(text) => text.eq_ignore_ascii_case("true"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn b64(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    #[test]
    fn a_jit_config_becomes_private_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().to_owned());
        let runner = r#"{"AgentId":"23","AgentName":"n","Ephemeral":"True","ServerUrl":"http://x/_runner/"}"#;
        let credentials = r#"{"scheme":"OAuth","data":{"token":"hush"}}"#;
        let files = format!(
            r#"{{".runner":"{}",".credentials":"{}",".credentials_rsaparams":"{}"}}"#,
            b64(&format!("\u{feff}{runner}")),
            b64(credentials),
            b64("{}")
        );
        write_jit(&root, &SecretString::from(b64(&files))).unwrap();
        for name in FILES {
            assert_eq!(fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        let settings = Settings::load(&root).unwrap();
        assert_eq!(settings.runner.agent_id, "23");
        assert!(settings.runner.ephemeral && !settings.runner.disable_update);
        assert_eq!(settings.token.expose_secret(), "hush");
        assert!(!format!("{settings:?}").contains("hush"));
        Settings::delete(&root);
        assert!(!Settings::exist(&root));
    }

    #[test]
    fn bad_jit_configs_are_refused_without_quoting_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().to_owned());
        for bad in ["secret!", &b64("secret"), &b64(r#"{".runner":"secret!"}"#), &b64(r#"{"../x":"YQ=="}"#)] {
            let error = format!("{:#}", write_jit(&root, &SecretString::from(bad.to_owned())).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(!dir.path().join("../x").exists());
    }
}
