//! Has Packer make images by `packer/`: of an image of the laptop cloud, on an instance of it, over SSH.
//!
//! Debian's Packer is old, so the sources are those of `packer/local`; all else is what a user has. What differs from a user's build
//! are options that each has: a subnet, where the runner is had from, a script of one's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::artifacts::{bundle, run};
use crate::cloud::Cloud;
use crate::images::BASES;
use crate::paths;

/// Below it Packer's last step writes the images' ids.
pub(crate) const PARAMETERS: &str = "/laptop/images";
/// Longer than any build takes.
const LIMIT: Duration = Duration::from_mins(8);

/// What an image is built with.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    /// Which one: `al2023` or `ubuntu-2404`.
    pub(crate) source: &'a str,
    /// Further variables of the templates, `name=value`.
    pub(crate) variables: &'a [&'a str],
    /// The script of the user's own.
    pub(crate) custom_script: &'a str,
    /// What `versions.json` says of the runner's archive; None: the truth.
    pub(crate) runner_sha256: Option<&'a str>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Built {
    /// Whether Packer was content.
    pub(crate) success: bool,
    /// All that it said.
    pub(crate) said: String,
    /// The folder it was run in.
    pub(crate) folder: PathBuf,
    /// Hashes of the agent's archive and the runner's.
    pub(crate) hashes: [String; 2],
}

/// How the templates and releases of the runner call this computer's architecture, and the agent's archive does.
pub(crate) const ARCH: [&str; 3] =
    if cfg!(target_arch = "aarch64") { ["arm64", "arm64", "aarch64"] } else { ["x86_64", "x64", "x86_64"] };

/// The Packer of this computer: `DAYFLY_PACKER`, else Debian's, else one in PATH.
fn program() -> Result<PathBuf> {
    let candidates =
        [std::env::var_os("DAYFLY_PACKER").map(PathBuf::from), Some("/usr/bin/packer".into()), find("packer")];
    // On Debian the name may be another program's, /usr/sbin/packer of cracklib.
    let is_ours = |path: &PathBuf| {
        let said = Command::new(path).arg("version").env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null()).output();
        said.is_ok_and(|output| output.stdout.starts_with(b"Packer v1.6."))
    };
    candidates.into_iter().flatten().find(is_ours).context(
        "Packer 1.6, which has what it needs built in, is not here: run `scripts/setup packer` (apt-get install packer), \
         or name one by DAYFLY_PACKER",
    )
}

/// The AWS CLI: `DAYFLY_AWS_CLI`, else the one that `scripts/setup packer` has made, else one in PATH.
fn aws_cli() -> Result<PathBuf> {
    let ours = paths::repository().join("target/awscli/bin/aws");
    let named = std::env::var_os("DAYFLY_AWS_CLI").map(PathBuf::from);
    let found = [named, Some(ours), find("aws")].into_iter().flatten().find(|path| path.is_file());
    found.context("the AWS CLI is not here: run `scripts/setup packer`, or name one by DAYFLY_AWS_CLI")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Builds an image. That it fails is no error of this function.
pub(crate) async fn build(cloud: &Cloud, with: &Build<'_>) -> Result<Built> {
    let (program, aws) = (program()?, aws_cli()?);
    let folder = cloud.folder.join(format!("packer-{}", uuid::Uuid::new_v4().simple()));
    let (agent, runner) = prepare(cloud, &folder, with)?;
    publish_base(cloud, with.source).await?;
    let subnet = cloud.aws.private_subnet().await?;
    let [arch, runner_arch, _] = ARCH;
    let version = laptop_runner::VERSION;
    let release = format!("{}/actions/runner/releases/download/v{version}", cloud.github.url());
    let mut variables = vec![
        "region=eu-west-1".to_owned(),
        format!("arch={arch}"),
        format!("dist={}", folder.join("dist").display()),
        format!("subnet_id={subnet}"),
        format!("runner_url={release}/actions-runner-linux-{runner_arch}-{version}.tar.gz"),
        format!("image_parameter_prefix={PARAMETERS}"),
        format!("custom_script={}", folder.join("mine.sh").display()),
    ];
    variables.extend(with.variables.iter().map(|&variable| variable.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = aws.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    let log = folder.join("packer.log");
    let said = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = paths::dying_with_us(&program);
    command.args(["build", "-color=false", &format!("-only=*.{}", with.source)]);
    command.args(variables.iter().flat_map(|variable| ["-var", variable])).arg(".").current_dir(&folder);
    command.env_clear().env("PATH", std::env::join_paths(folders)?).env("HOME", &folder);
    command.envs([
        ("AWS_ENDPOINT_URL", cloud.endpoint()),
        ("AWS_POLL_DELAY_SECONDS", "1"),
        ("CHECKPOINT_DISABLE", "1"),
    ]);
    command.envs([("AWS_ACCESS_KEY_ID", "packer"), ("AWS_SECRET_ACCESS_KEY", "packer"), ("LANG", "C.UTF-8")]);
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).kill_on_drop(true);
    let status = tokio::time::timeout(LIMIT, command.spawn().context("starting packer")?.wait()).await;
    let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    let status = status.with_context(|| format!("packer has not ended after {LIMIT:?}: {said}"))??;
    Ok(Built { success: status.success(), said, folder, hashes: [agent, runner] })
}

/// The folder that Packer is run in; the hashes of the agent's archive and the runner's.
fn prepare(cloud: &Cloud, folder: &Path, with: &Build<'_>) -> Result<(String, String)> {
    let (packer, dist) = (paths::repository().join("packer"), folder.join("dist"));
    for made in [&dist, &folder.join("scripts")] {
        std::fs::create_dir_all(made).with_context(|| format!("creating {}", made.display()))?;
    }
    // All but plugins.pkr.hcl, which Packer 1.6 does not know; its sources go before those it does not know either.
    for (from, to) in [("", ""), ("local", ""), ("scripts", "scripts")] {
        for entry in packer.join(from).read_dir().with_context(|| format!("reading {}", packer.display()))? {
            let entry = entry?;
            let copied = entry.path().is_file()
                && entry.file_name() != "plugins.pkr.hcl"
                && entry.file_name() != "manifest.json";
            if copied {
                std::fs::copy(entry.path(), folder.join(to).join(entry.file_name()))?;
            }
        }
    }
    std::fs::write(folder.join("mine.sh"), with.custom_script)?;

    let [arch, runner_arch, agent_arch] = ARCH;
    let agent = dist.join(format!("dayfly-agent-{agent_arch}.tar.gz"));
    bundle(&cloud.folder.join("artifacts/dayfly-agent"), &agent)?;
    let agent_hash = hash_of(&agent)?;
    std::fs::write(dist.join("SHA256SUMS"), format!("{agent_hash}  dayfly-agent-{agent_arch}.tar.gz\n"))?;

    let runner = folder.join("runner.tar.gz");
    run(Command::new(paths::program("standin-runner")?).args(["pack", "--to"]).arg(&runner))?;
    let runner_hash = hash_of(&runner)?;
    cloud
        .github
        .publish_runner(laptop_runner::VERSION, vec![(format!("linux-{runner_arch}"), std::fs::read(&runner)?)]);
    let told = with.runner_sha256.unwrap_or(&runner_hash);
    let versions = json!({ "runner": { "version": laptop_runner::VERSION, "sha256": { arch: told } } });
    std::fs::write(folder.join("versions.json"), versions.to_string())?;
    Ok((agent_hash, runner_hash))
}

/// Has EC2 know what the image is made of.
async fn publish_base(cloud: &Cloud, source: &str) -> Result<()> {
    let base = BASES.iter().find(|base| base.source == source).with_context(|| format!("no base for {source}"))?;
    let [arch, ..] = ARCH;
    // Canonical's names have Debian's word for it.
    let word = if base.owner == "amazon" || arch == "arm64" { arch } else { "amd64" };
    cloud.aws.publish_image(base.id, &base.name.replace("{}", word), base.owner, arch).await
}

/// The image of a build, as Packer tells it.
pub(crate) fn image_of(built: &Built) -> Result<String> {
    ensure!(built.success, "packer build failed: {}", built.said);
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(built.folder.join("manifest.json"))?)?;
    let artifact = manifest["builds"][0]["artifact_id"].as_str().context("the manifest has an artifact")?;
    let id = artifact.strip_prefix("eu-west-1:").with_context(|| format!("found the artifact {artifact}"))?;
    Ok(id.to_owned())
}

fn hash_of(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(hex::encode(Sha256::digest(&bytes)))
}
