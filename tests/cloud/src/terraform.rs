//! Deploys the control plane into moto with the real AWS provider.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::paths;

/// Terraform with the laptop's root module (`tests/terraform`) and one run's state.
#[derive(Debug)]
pub(crate) struct Terraform {
    state: PathBuf,
    variables: PathBuf,
    log: PathBuf,
}

/// What the root module tells of the deployment.
#[derive(Clone, Debug, Deserialize)]
pub struct Outputs {
    /// The ledger's table.
    pub table: String,
    /// The bucket.
    pub(crate) bucket: String,
    /// The queue of wake-ups.
    wake_queue_url: String,
    /// Where wake-ups go that keep failing.
    wake_dead_letter_queue_url: String,
    /// The queue of lifecycle messages.
    pub(crate) lifecycle_queue_url: String,
    /// Where lifecycle messages go that keep failing.
    lifecycle_dead_letter_queue_url: String,
    /// SSM path of the registrations.
    pub(crate) registration_prefix: String,
    /// The bucket of those that are handed over by S3.
    pub(crate) registration_bucket: String,
    /// What their keys begin with, before the instance's id.
    pub(crate) registration_bucket_prefix: String,
    /// The bucket of the runner's releases.
    pub(crate) runners_bucket: String,
    /// The functions' names by handler.
    pub functions: BTreeMap<String, String>,
}

impl Outputs {
    /// Every queue, dead-letter queues too.
    pub(crate) fn queue_urls(&self) -> [&str; 4] {
        [
            &self.wake_queue_url,
            &self.wake_dead_letter_queue_url,
            &self.lifecycle_queue_url,
            &self.lifecycle_dead_letter_queue_url,
        ]
    }
}

/// Makes the provider ready: from a local mirror where the machine has one, else from the registry. Needs the network
/// only in the second case, and only the first time.
pub(crate) async fn init() -> Result<()> {
    let root = paths::repository().join("tests/terraform");
    let output = Command::new(paths::repository().join("scripts/terraform-provider")).output().await;
    let output = output.context("running scripts/terraform-provider")?;
    check("scripts/terraform-provider", &output)?;
    let mirror = String::from_utf8(output.stdout)?.trim().to_owned();
    std::fs::create_dir_all(data_dir())?;
    // Of two runs that start at once one waits for the other.
    let lock = std::fs::File::create(data_dir().join("lock"))?;
    lock.lock().context("waiting for another run's terraform init")?;
    // What decides about the provider and the modules; a second run finds it unchanged and does nothing.
    let stamp = data_dir().join("ready");
    let wanted = || {
        let files = [
            "terraform/versions.tf",
            "terraform/userdata.tf",
            "tests/terraform/main.tf",
            "tests/terraform/.terraform.lock.hcl",
        ];
        let texts = files.map(|file| std::fs::read_to_string(paths::repository().join(file)).unwrap_or_default());
        format!("{mirror}\n{}", texts.join("\n"))
    };
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted()) {
        return Ok(());
    }
    let mut command = terraform(&root);
    // Another checkout's or provider's lock would refuse this one.
    command.args(["init", "-input=false", "-no-color", "-upgrade"]);
    if !mirror.is_empty() {
        command.arg(format!("-plugin-dir={mirror}"));
    }
    let output = command.output().await.context("running terraform; is it on PATH?")?;
    check("terraform init", &output)?;
    std::fs::write(&stamp, wanted())?;
    Ok(())
}

impl Terraform {
    /// Terraform for one run, whose state, variables and log go into `folder`.
    pub(crate) fn new(folder: &Path, variables: &Value) -> Result<Self> {
        let this = Self {
            state: folder.join("terraform.tfstate"),
            variables: folder.join("variables.tfvars.json"),
            log: folder.join("terraform.log"),
        };
        std::fs::write(&this.variables, variables.to_string())?;
        Ok(this)
    }

    /// Where the state is.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Creates everything, and tells how many resources that were, and their names.
    pub(crate) async fn apply(&self) -> Result<(usize, Outputs)> {
        let mut command = terraform(&paths::repository().join("tests/terraform"));
        // moto is on this machine; init alone may need a proxy.
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command.args(["apply", "-auto-approve", "-input=false", "-no-color", "-compact-warnings", "-parallelism=40"]);
        command.arg(format!("-state={}", self.state.display())).arg(format!("-var-file={}", self.variables.display()));
        let output = command.output().await.context("running terraform apply")?;
        std::fs::write(&self.log, [output.stdout.as_slice(), output.stderr.as_slice()].concat())?;
        check("terraform apply", &output)?;
        let state: Value = serde_json::from_slice(&std::fs::read(&self.state)?)?;
        let resources = state["resources"].as_array().map_or(0, |list| {
            let managed = list.iter().filter(|resource| resource["mode"] == "managed");
            managed.map(|resource| resource["instances"].as_array().map_or(0, Vec::len)).sum()
        });
        let outputs: BTreeMap<String, Value> = state["outputs"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, output)| (name.clone(), output["value"].clone()))
            .collect();
        let outputs = serde_json::from_value(serde_json::to_value(outputs)?).context("reading terraform's outputs")?;
        Ok((resources, outputs))
    }
}

/// What `userdata/` renders with these variables. It has no provider, so nothing is fetched.
pub(crate) async fn user_data(folder: &Path, variables: &Value) -> Result<String> {
    let folder = folder.join(format!("userdata-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let (state, file) = (folder.join("state"), folder.join("variables.tfvars.json"));
    std::fs::write(&file, variables.to_string())?;
    let state = format!("-state={}", state.display());
    let calls: [&[&str]; 3] = [
        &["init", "-input=false", "-no-color"],
        &["apply", "-auto-approve", "-input=false", "-no-color", &state, &format!("-var-file={}", file.display())],
        &["output", "-raw", &state, "user_data"],
    ];
    let mut text = Vec::new();
    for arguments in calls {
        let mut command = terraform(&paths::repository().join("userdata"));
        command.env("TF_DATA_DIR", folder.join("data")).args(arguments);
        let output = command.output().await.context("running terraform")?;
        check(&format!("terraform {} of userdata", arguments[0]), &output)?;
        text = output.stdout;
    }
    String::from_utf8(text).context("reading the user-data")
}

/// Terraform keeps its working data in the cache, so that the source tree stays as it was.
fn terraform(root: &Path) -> Command {
    let mut command = paths::dying_with_us(Path::new("terraform"));
    command.arg(format!("-chdir={}", root.display()));
    command.env("TF_DATA_DIR", data_dir()).env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1");
    // A CLI configuration of the machine's owner may name mirrors and credentials: none of them concern this run.
    command.env_remove("TF_CLI_CONFIG_FILE");
    for name in ["AWS_PROFILE", "TF_WORKSPACE", "TF_CLI_ARGS", "TF_CLI_ARGS_apply", "TF_CLI_ARGS_init"] {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn data_dir() -> PathBuf {
    paths::cache().join("terraform")
}

fn check(what: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{what} failed:\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
