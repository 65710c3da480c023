//! What is known of this machine's config without asking the metadata service: the config file, if the image has one,
//! and the settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dayfly_contract::{AgentConfig, Problem, Problems};

use crate::settings::Settings;

/// The fields that have no default, filled so that the others' defaults can be asked for.
const EMPTY: &str = r#"{"version": 1, "deployment": "x", "fleet": "x", "registration_prefix": "/x", "lifecycle_queue_url": "https://x"}"#;

/// The config of the machine whose root folder is `root`, and whether it has a config file; otherwise the defaults.
pub(super) fn read(root: &Path, settings: &Settings) -> Result<(AgentConfig, bool), Problems> {
    let file = settings.config_file.as_path();
    let (text, found) = match fs::read_to_string(within(root, file)) {
        Ok(text) => (text, true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (EMPTY.to_owned(), false),
        Err(error) => {
            let problem =
                Problem::new(file.display().to_string(), format!("a file with an error ({error})"), "a readable file");
            return Err(Problems(vec![problem]));
        }
    };
    let mut config = AgentConfig::read(&text)?;
    if let Some(directory) = &settings.runner_directory {
        config.runner.directory = directory.display().to_string();
    }
    if let Some(user) = &settings.runner_user {
        config.runner.user.clone_from(user);
    }
    Ok((config, found))
}

/// `path`, which is absolute, below `root`.
pub(super) fn within(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Settings {
        Settings::read(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).0
    }

    #[test]
    fn defaults_file_and_settings_add_up() {
        let root = tempfile::tempdir().unwrap();
        let (config, found) = read(root.path(), &settings(&[])).unwrap();
        assert!(!found && config.runner.directory == "/opt/actions-runner" && config.runner.user == "runner");

        fs::create_dir_all(root.path().join("etc/dayfly")).unwrap();
        let file = root.path().join("etc/dayfly/agent.json");
        fs::write(&file, include_str!("../../contract/golden/agent-config.v1.json")).unwrap();
        let vars = [("DAYFLY_RUNNER_DIRECTORY", "/r"), ("DAYFLY_RUNNER_USER", "u")];
        let (config, found) = read(root.path(), &settings(&vars)).unwrap();
        assert!(found && config.runner.directory == "/r" && config.runner.user == "u", "{config:?}");

        fs::write(&file, "{\"version\": 1}").unwrap();
        assert!(read(root.path(), &settings(&[])).unwrap_err().to_string().contains("fleet: found nothing"));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(read(root.path(), &settings(&[])).unwrap_err().to_string().contains("a readable file"));
    }
}
