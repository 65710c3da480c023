//! A job's folders and variables.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{input::Env, job::Assignment, root::Root, tracking};

/// Folders and variables of one job.
#[derive(Debug)]
pub struct Context {
    /// `_work/<repository>/<repository>`: where steps run.
    pub workspace: PathBuf,
    /// `_work/_temp`: emptied before each job.
    pub temp: PathBuf,
    base: BTreeMap<OsString, OsString>,
    from_steps: BTreeMap<String, String>,
    paths: Vec<String>,
    fixed: Vec<(&'static str, String)>,
}

impl Context {
    /// Makes the folders and `event.json`.
    pub fn prepare(root: &Root, env: &Env, assignment: &Assignment) -> anyhow::Result<Self> {
        let job = &assignment.job;
        let (owner, name) = job.repository.split_once('/').unwrap_or(("", &job.repository));
        if name.is_empty() || name.contains('/') || name.starts_with('.') && name.chars().all(|char| char == '.') {
            bail!("repository is {:?}; allowed is owner/name", job.repository);
        }
        let work = root.join(&assignment.work);
        let (workspace, temp) = (work.join(name).join(name), work.join("_temp"));
        drop(fs::remove_dir_all(&temp));
        let event = temp.join("_github_workflow");
        for dir in [&workspace, &event, &work.join("_tool"), &work.join("_actions"), &commands(&temp)] {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let event = event.join("event.json");
        fs::write(&event, event_json(assignment)).with_context(|| format!("writing {}", event.display()))?;

        let mut base: BTreeMap<OsString, OsString> = env.iter().cloned().collect();
        // Before the job's own variables: a job may set its own mark to leave something running on purpose.
        base.insert(tracking::VARIABLE.into(), assignment.tracking_id.clone().into());
        base.extend(job.env.iter().map(|(key, value)| (key.into(), value.into())));
        let fixed = fixed(assignment, owner, &work, &workspace, &temp, &event);
        Ok(Self { workspace, temp, base, from_steps: BTreeMap::new(), paths: Vec::new(), fixed })
    }

    /// The variables of the next step; `files` are its command files.
    #[must_use]
    pub fn variables(&self, files: &[(&'static str, PathBuf)]) -> BTreeMap<OsString, OsString> {
        let mut all = self.base.clone();
        all.extend(self.from_steps.iter().map(|(key, value)| (key.into(), value.into())));
        all.extend(self.fixed.iter().map(|(key, value)| ((*key).into(), value.into())));
        all.extend(files.iter().map(|(key, path)| ((*key).into(), path.into())));
        if !self.paths.is_empty() {
            let mut path: Vec<PathBuf> = self.paths.iter().rev().map(PathBuf::from).collect();
            let before = all.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
            path.extend(std::env::split_paths(&before));
            if let Ok(joined) = std::env::join_paths(path) {
                all.insert("PATH".into(), joined);
            }
        }
        all
    }

    /// Variables from a step's `GITHUB_ENV`. `GITHUB_*` and `RUNNER_*` stay as they are, and `NODE_OPTIONS` is refused,
    /// as by the real one.
    pub fn add_variables(&mut self, pairs: Vec<(String, String)>) {
        self.from_steps.extend(pairs.into_iter().filter(|(key, _)| key != "NODE_OPTIONS"));
    }

    /// Folders from a step's `GITHUB_PATH`: the last one is found first.
    pub fn add_paths(&mut self, paths: Vec<String>) {
        self.paths.extend(paths);
    }

    /// New, empty command files for step `number`.
    pub fn command_files(&self, number: usize) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let kinds = [
            ("GITHUB_ENV", "set_env"),
            ("GITHUB_OUTPUT", "set_output"),
            ("GITHUB_PATH", "add_path"),
            ("GITHUB_STATE", "save_state"),
            ("GITHUB_STEP_SUMMARY", "step_summary"),
        ];
        let files = kinds.map(|(variable, kind)| (variable, commands(&self.temp).join(format!("{kind}_{number}"))));
        for (_, path) in &files {
            fs::write(path, "").with_context(|| format!("making {}", path.display()))?;
        }
        Ok(files.into())
    }
}

fn commands(temp: &Path) -> PathBuf {
    temp.join("_runner_file_commands")
}

fn event_json(assignment: &Assignment) -> String {
    let job = &assignment.job;
    let owner = job.repository.split('/').next().unwrap_or_default();
    let event = json!({
        "repository": {"full_name": job.repository, "owner": {"login": owner}},
        "sender": {"login": job.actor},
        "workflow": job.workflow,
    });
    event.to_string()
}

/// Variables that neither the job nor a step can change.
fn fixed(
    assignment: &Assignment,
    owner: &str,
    work: &Path,
    workspace: &Path,
    temp: &Path,
    event: &Path,
) -> Vec<(&'static str, String)> {
    let job = &assignment.job;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    // `https://github.com/<owner>` without its last part.
    let server = assignment.github_url.split('/').take(3).collect::<Vec<_>>().join("/");
    vec![
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_ACTOR", job.actor.clone()),
        ("GITHUB_EVENT_NAME", "push".to_owned()),
        ("GITHUB_EVENT_PATH", path(event)),
        ("GITHUB_JOB", job.job_key.clone()),
        ("GITHUB_REPOSITORY", job.repository.clone()),
        ("GITHUB_REPOSITORY_OWNER", owner.to_owned()),
        ("GITHUB_RUN_ATTEMPT", job.run_attempt.clone()),
        ("GITHUB_RUN_ID", job.run_id.clone()),
        ("GITHUB_SERVER_URL", server),
        ("GITHUB_WORKFLOW", job.workflow.clone()),
        ("GITHUB_WORKSPACE", path(workspace)),
        ("RUNNER_ARCH", if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }.to_owned()),
        ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        ("RUNNER_NAME", assignment.runner_name.clone()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", path(temp)),
        ("RUNNER_TOOL_CACHE", path(&work.join("_tool"))),
        ("RUNNER_WORKSPACE", path(workspace.parent().unwrap_or(workspace))),
    ]
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use secrecy::SecretString;

    use super::*;

    fn assignment(repository: &str) -> Assignment {
        let json = json!({"id": 1, "runId": 5, "name": "n", "repository": repository, "env": {"FROM_JOB": "1", "GITHUB_JOB": "x"}});
        Assignment {
            job: serde_json::from_value(json).unwrap(),
            server: String::new(),
            token: SecretString::from("hush"),
            runner_name: "r".into(),
            github_url: "https://github.com/o".into(),
            work: "_work".into(),
            tracking_id: "github_1".into(),
        }
    }

    #[test]
    fn a_steps_variables_reach_the_next_but_not_the_fixed_ones() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().to_owned());
        let env = vec![("PATH".into(), "/bin".into()), ("KEEP".into(), "1".into())];
        let mut context = Context::prepare(&root, &env, &assignment("o/name")).unwrap();
        context.add_variables(vec![("A".into(), "b".into()), ("GITHUB_RUN_ID".into(), "9".into())]);
        context.add_paths(vec!["/one".into()]);
        context.add_paths(vec!["/two".into()]);
        let all = context.variables(&[]);
        let get = |name: &str| all.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned());
        assert_eq!(get("A").as_deref(), Some("b"));
        assert_eq!(get("KEEP").as_deref(), Some("1"));
        assert_eq!(get("FROM_JOB").as_deref(), Some("1"));
        assert_eq!(get("GITHUB_RUN_ID").as_deref(), Some("5"));
        assert_eq!(get("GITHUB_JOB").as_deref(), Some(""));
        assert_eq!(get("GITHUB_SERVER_URL").as_deref(), Some("https://github.com"));
        assert_eq!(get("PATH").as_deref(), Some("/two:/one:/bin"));
        assert_eq!(get("RUNNER_TRACKING_ID").as_deref(), Some("github_1"));
        assert!(context.workspace.ends_with("_work/name/name") && context.workspace.is_dir());
        assert!(all.values().all(|value| !value.to_string_lossy().contains("hush")));
    }

    #[test]
    fn a_repository_can_not_lead_out_of_the_work_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().to_owned());
        for bad in ["", "o/", "o/..", "o/a/b", "../.."] {
            assert!(Context::prepare(&root, &Vec::new(), &assignment(bad)).is_err(), "{bad}");
        }
    }
}
