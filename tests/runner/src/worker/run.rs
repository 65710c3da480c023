//! One job from "Set up job" to its result.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    child::{Around, Happenings},
    commands,
    context::Context,
    log::Log,
    plan::{self, Item},
};
use crate::{
    diag::Diag,
    input::{Env, var},
    job::{Assignment, JobResult},
    knobs::Knobs,
    root::Root,
    tracking, words,
};

/// All that a job needs.
pub(super) struct Run<'a> {
    root: &'a Root,
    env: Env,
    assignment: &'a Assignment,
    log: &'a Log,
    diag: &'a Diag,
    knobs: Knobs,
    happenings: Happenings,
}

#[derive(Deserialize)]
struct SetupInfo {
    group: String,
    detail: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        root: &'a Root,
        env: Env,
        assignment: &'a Assignment,
        log: &'a Log,
        diag: &'a Diag,
        knobs: Knobs,
        happenings: Happenings,
    ) -> Self {
        Self { root, env, assignment, log, diag, knobs, happenings }
    }

    /// Runs the job.
    pub(super) fn job(mut self) -> JobResult {
        self.set_up();
        let result = match Context::prepare(self.root, &self.env, self.assignment) {
            Ok(mut context) => self.items(&mut context),
            Err(error) => {
                self.log.line(&format!("##[error]{error:#}"));
                JobResult::Failed
            }
        };
        self.log.line("Cleaning up orphan processes");
        tracking::end(&self.assignment.tracking_id, |orphan| {
            self.log.line(&format!("Terminate orphan process: pid ({}) ({})", orphan.pid, orphan.name));
        });
        result
    }

    fn set_up(&self) {
        self.log.line(&words::version());
        self.log.line(&format!("Runner name: '{}'", self.assignment.runner_name));
        let text = fs::read_to_string(self.root.join(".setup_info")).unwrap_or_default();
        let infos: Vec<SetupInfo> = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
        for info in infos {
            self.log.line(&format!("##[group]{}", info.group));
            info.detail.lines().for_each(|line| self.log.line(line));
            self.log.line("##[endgroup]");
        }
        self.log.line(&format!("Complete job name: {}", self.assignment.job.name));
    }

    fn items(&mut self, context: &mut Context) -> JobResult {
        let items = plan::items(&self.assignment.job, |name| var(&self.env, name));
        let mut so_far = JobResult::Succeeded;
        for (number, item) in items.iter().enumerate() {
            if self.happenings.cancelled() {
                so_far = so_far.max(JobResult::Canceled);
            }
            if !item.runs(so_far) {
                self.diag.info(&format!("step {number} skipped"));
                continue;
            }
            self.log.line(&format!("##[group]{}", item.title()));
            let result = self.item(number, item, context).unwrap_or_else(|error| {
                self.log.line(&format!("##[error]{error:#}"));
                JobResult::Failed
            });
            self.log.line("##[endgroup]");
            self.diag.info(&format!("step {number} {}", result.word()));
            so_far = so_far.max(result);
        }
        so_far
    }

    fn item(&mut self, number: usize, item: &Item<'_>, context: &mut Context) -> anyhow::Result<JobResult> {
        let files = context.command_files(number)?;
        let mut command = Command::new("bash");
        match item {
            Item::StartedHook(path) | Item::CompletedHook(path) => {
                check_hook(Path::new(path))?;
                command.args(["-e", path]);
            }
            Item::Step(step) => {
                let script = context.temp.join(format!("step_{number}.sh"));
                fs::write(&script, &step.run).with_context(|| format!("writing {}", script.display()))?;
                command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(script);
            }
        }
        command.env_clear().envs(context.variables(&files)).current_dir(&context.workspace);
        let around = Around { log: self.log, knobs: &self.knobs, tracking_id: &self.assignment.tracking_id };
        let result = self.happenings.run(command, around);
        for (variable, path) in files {
            let text = fs::read_to_string(&path).unwrap_or_default();
            match variable {
                "GITHUB_PATH" => context.add_paths(commands::paths(&text)),
                "GITHUB_ENV" => {
                    let pairs = commands::pairs(&text).map_err(|why| unprocessed("env", &why))?;
                    context.add_variables(pairs);
                }
                // There are no expressions here, so nobody can ask for an output; a mistake in it still counts.
                "GITHUB_OUTPUT" => {
                    commands::pairs(&text).map_err(|why| unprocessed("output", &why))?;
                }
                _ => {}
            }
        }
        Ok(result)
    }
}

fn unprocessed(kind: &str, why: &str) -> anyhow::Error {
    anyhow::anyhow!("Unable to process file command '{kind}' successfully. {why}")
}

fn check_hook(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        path.extension().is_some_and(|extension| extension == "sh"),
        "{} is not a valid path to a shell script (.sh); this stand-in runs neither .ps1 nor .js",
        path.display()
    );
    anyhow::ensure!(path.is_file(), "File doesn't exist: {}", path.display());
    Ok(())
}
