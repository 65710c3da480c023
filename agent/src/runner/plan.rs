//! How the runner of this machine is to be run: the config, and what this machine's settings say instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_contract::{AgentConfig, MetadataAccess, Problem, Problems, RunnerConfig};

use crate::aws::imds::Identity;
use crate::settings::{LastResort, Settings};

/// How the runner of this machine is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The runner, with this machine's directory and user.
    pub runner: RunnerConfig,
    /// Who may ask the metadata service.
    pub metadata_access: MetadataAccess,
    /// What runs before the end, and for how long at most.
    pub before_end: Option<(PathBuf, Duration)>,
    /// The CloudWatch agent's configuration.
    pub cloudwatch_agent: Option<String>,
    /// The instance's fleet.
    pub fleet: String,
    /// The instance.
    pub identity: Identity,
    /// The file that takes the runner's output.
    pub output: PathBuf,
    /// Where jobs find our hooks.
    pub hook_dir: PathBuf,
    /// What is left to do when EC2 does not end the instance.
    pub last_resort: LastResort,
}

impl Plan {
    /// The plan by `config`, in which `settings` come first.
    #[must_use]
    pub fn new(config: &AgentConfig, identity: &Identity, settings: &Settings, output: PathBuf) -> Self {
        let mut runner = config.runner.clone();
        if let Some(directory) = &settings.runner_directory {
            runner.directory = directory.to_string_lossy().into_owned();
        }
        if let Some(user) = &settings.runner_user {
            runner.user.clone_from(user);
        }
        let before_end = config.before_end.as_ref();
        Self {
            runner,
            metadata_access: settings.metadata_access.unwrap_or(config.metadata_access),
            before_end: before_end.map(|it| (it.script.clone().into(), Duration::from_secs(it.seconds))),
            cloudwatch_agent: config.cloudwatch_agent.clone(),
            fleet: config.fleet.clone(),
            identity: identity.clone(),
            output,
            hook_dir: settings.hook_dir.clone(),
            last_resort: settings.ending,
        }
    }

    /// Mistakes that neither the config nor the settings have alone.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.runner.user == "root" && self.metadata_access == MetadataAccess::Agent {
            let allowed = "another user, or metadata_access \"all\": nothing can keep root out";
            problems.0.push(Problem::new("DAYFLY_RUNNER_USER", "\"root\"", allowed));
        }
        problems.or(())
    }

    /// The runner's folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        Path::new(&self.runner.directory)
    }

    /// The folder in which jobs work.
    #[must_use]
    pub fn work_folder(&self) -> PathBuf {
        self.directory().join(&self.runner.work_folder)
    }
}
