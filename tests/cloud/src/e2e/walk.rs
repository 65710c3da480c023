//! docs/getting-started.md, walked by its own commands: from an App to the first job, and away with all of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use laptop_github::{LAPTOP_APP_ID, LAPTOP_APP_KEY, Webhook};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::process::Command;

use super::steps::LIMIT;
use super::{ended, queue};
use crate::cloud::{Cloud, job, poll, wait_for};
use crate::{life, paths};

const GUIDE: &str = "docs/getting-started.md";
/// The parameter that names the image, by the guide; Packer would have written it.
const IMAGE: &str = "/dayfly/images/al2023-x86_64";

/// Nothing of the deployment is made by other means than the guide's. What differs from a walk at AWS and GitHub: endpoints are told by the
/// environment, the emulator's handle stands for the App's page, and the image is this cloud's own (docs/guides/one-machine.md).
pub(super) async fn the_first_steps_lead_to_a_job(cloud: Arc<Cloud>) -> Result<()> {
    let guide = Guide::read()?;
    let secret = SecretString::from(uuid::Uuid::new_v4().simple().to_string());
    let walk = Walk::prepare(&cloud).await?;
    let outcome = walk_on(&cloud, &guide, &walk, &secret).await;
    // Whatever came of it: the other tests' webhooks go to their own deployment.
    let url = format!("{}/webhook", cloud.lambda.http_url());
    cloud.github.set_webhook(Webhook { url, secret: cloud.webhook_secret.clone() });
    cloud.aws.delete_parameter(IMAGE).await?;
    cloud.aws.ec2("DeregisterImage", &[("ImageId", walk.image.as_str())]).await?;
    if outcome.is_err() {
        // A deployment that is left would go on asking GitHub and EC2.
        let destroyed = walk.run(guide.command("terraform destroy")?).await;
        return outcome
            .context(destroyed.map_or_else(|error| format!("and it stays: {error:#}"), |_| "walking".into()));
    }
    outcome
}

async fn walk_on(cloud: &Arc<Cloud>, guide: &Guide, walk: &Walk, secret: &SecretString) -> Result<()> {
    // 3. The App: the guide's own command writes what Terraform reads of it.
    let key = walk.folder.join("key.pem");
    std::fs::write(&key, LAPTOP_APP_KEY)?;
    let made = guide.block("jq -n --arg id APP_ID")?;
    let made = made.replace("APP_ID", &LAPTOP_APP_ID.to_string()).replace("KEY_FILE.pem", &key.to_string_lossy());
    walk.run(&made.replace("WEBHOOK_SECRET", secret.expose_secret())).await?;

    // 4. Deploy.
    walk.configure(cloud, guide).await?;
    for command in ["terraform init", "terraform apply"] {
        walk.run(guide.command(command)?).await?;
    }

    // 5. Tell GitHub where.
    let told = walk.run(guide.command("terraform output github_setup")?).await?;
    let urls = told.split('"').filter_map(|it| it.strip_prefix("https://")?.split_once(".execute-api."));
    let (api, _) = urls.into_iter().next().with_context(|| format!("{told} does not name the webhook's URL"))?;
    let here = format!("{}/_api/{api}/webhook", cloud.lambda.http_url());
    // Lambda's host looks every few seconds for what was deployed.
    let client = crate::aws::client();
    poll("the webhook to answer", LIMIT, Duration::from_millis(500), || async {
        let status = client.post(&here).body("{}").send().await?.status();
        // Not signed, so it is refused, by the function.
        Ok(if status == 401 { Ok(()) } else { Err(format!("it answered {status}")) })
    })
    .await?;
    cloud.github.set_webhook(Webhook { url: here.clone(), secret: secret.clone() });

    // 6. Look.
    let look = guide.command("dayfly doctor")?;
    poll("the doctor to find it well", LIMIT, Duration::from_secs(1), || async {
        let told = walk.try_to(&format!("{look} --json --webhook-url {here}")).await?.0;
        let told: Value = serde_json::from_str(&told).with_context(|| format!("reading {told}"))?;
        let findings = told["findings"].as_array().context("findings")?;
        let bad: Vec<&Value> = findings.iter().filter(|it| it["level"] == "bad").collect();
        Ok(if bad.is_empty() { Ok(()) } else { Err(format!("{bad:?}")) })
    })
    .await?;

    // 7. The first job.
    let labels = guide.block("runs-on: [self-hosted, linux, x64]").map(|_| ["self-hosted", "linux", "x64"])?;
    let id = queue(cloud, [job("hello", &labels, "nproc && free -h && cat /etc/os-release")])?[0];
    let done = ended(cloud, &[id], LIMIT).await?.remove(0);
    life::ran_once(&done).map_err(anyhow::Error::msg)?;
    let runner = done.runner.context("it had a runner")?.name;
    ensure!(runner.starts_with("linux-x64-i-"), "it ran on {runner}");
    let jobs = walk.run(guide.command("dayfly jobs")?.trim_end_matches(" --watch")).await?;
    ensure!(jobs.contains(&id.to_string()), "{jobs}");
    let explain = guide.command("dayfly explain JOB")?.replace("JOB", &id.to_string());
    poll("the ledger to know its end", LIMIT, Duration::from_millis(500), || async {
        let said = walk.run(&explain).await?;
        let shown = ["is done. Fleet linux-x64, labels self-hosted, linux, x64.", &runner, "What happened:"];
        Ok(if shown.iter().all(|it| said.contains(it)) { Ok(()) } else { Err(said) })
    })
    .await?;
    wait_for("the instance to end", LIMIT, || {
        let left = cloud.machines_left();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await?;

    // Remove it all.
    walk.run(guide.command("dayfly drain linux-x64")?).await?;
    let runners = guide.command("dayfly runners --deployment minimal --watch")?.trim_end_matches(" --watch");
    poll("no runner to be left", LIMIT, Duration::from_millis(500), || async {
        let said = walk.run(runners).await?;
        Ok(if said.contains(&runner) { Err(said) } else { Ok(()) })
    })
    .await?;
    walk.run(guide.command("terraform destroy")?).await?;
    let left = walk.run("terraform state list").await?;
    ensure!(left.trim().is_empty(), "left: {left}");
    Ok(())
}

/// The code of the guide.
struct Guide {
    /// Each block of commands: what is indented by four or more, or fenced.
    blocks: Vec<String>,
}

impl Guide {
    fn read() -> Result<Self> {
        let path = paths::repository().join(GUIDE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { blocks: blocks(&text) })
    }

    /// The one block that has `part`.
    fn block(&self, part: &str) -> Result<&str> {
        let mut found = self.blocks.iter().filter(|block| block.contains(part));
        let block = found.next().with_context(|| format!("{GUIDE} has no block with {part}"))?;
        ensure!(found.next().is_none(), "{GUIDE} has {part} twice");
        Ok(block)
    }

    /// The first line of a block, or a word of the text, that begins with `begin`.
    fn command(&self, begin: &str) -> Result<&str> {
        let mut lines = self.blocks.iter().flat_map(|block| block.lines());
        lines.find(|line| line.starts_with(begin)).with_context(|| format!("{GUIDE} does not tell to run {begin}"))
    }
}

/// Blocks of code of a document in Markdown, `code` within a line too.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            blocks.push(String::new());
        } else if fenced || line.starts_with("    ") {
            let line = if fenced { line } else { line.trim_start() };
            if let Some(block) = blocks.last_mut() {
                block.extend([line, "\n"]);
            }
        } else {
            blocks.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
            blocks.push(String::new());
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Where the guide is walked: a copy of the example, beside the module and the programs.
struct Walk {
    folder: PathBuf,
    example: PathBuf,
    image: String,
    variables: Vec<(String, String)>,
}

impl Walk {
    async fn prepare(cloud: &Cloud) -> Result<Self> {
        let (repository, folder) = (paths::repository(), cloud.folder.join("walk"));
        let example = folder.join("examples/minimal");
        std::fs::create_dir_all(&example)?;
        std::fs::create_dir_all(folder.join("dist"))?;
        for entry in std::fs::read_dir(repository.join("examples/minimal"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "tf") {
                std::fs::copy(&path, example.join(path.file_name().unwrap_or_default()))?;
            }
        }
        for module in ["terraform", "userdata"] {
            std::os::unix::fs::symlink(repository.join(module), folder.join(module))?;
        }
        // What `make dist` puts there.
        let zip = folder.join("dist/dayfly-control-x86_64.zip");
        std::os::unix::fs::symlink(cloud.folder.join("artifacts/control.zip"), zip)?;
        let image = cloud.aws.register_image("dayfly-al2023-x86_64-walk").await?;
        cloud.aws.put_plain_parameter(IMAGE, &image).await?;
        let program = paths::program("dayfly")?;
        let programs = program.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let mirror = Command::new(repository.join("scripts/terraform-provider")).output().await?;
        let mirror = String::from_utf8(mirror.stdout)?.trim().to_owned();
        let init = if mirror.is_empty() { String::new() } else { format!(" -plugin-dir={mirror}") };
        let path = std::env::var("PATH").unwrap_or_default();
        let alone = "-input=false -auto-approve -parallelism=40";
        let variables = [
            ("PATH", format!("{programs}:{path}")),
            ("AWS_ENDPOINT_URL", cloud.endpoint().to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            ("TF_CLI_ARGS", "-no-color".to_owned()),
            ("TF_CLI_ARGS_init", format!("-input=false{init}")),
            ("TF_CLI_ARGS_apply", alone.to_owned()),
            ("TF_CLI_ARGS_destroy", alone.to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Self { folder, example, image, variables })
    }

    /// The edits of step 4, and one line for the emulator, which is no github.com.
    async fn configure(&self, cloud: &Cloud, guide: &Guide) -> Result<()> {
        let path = self.example.join("main.tf");
        let main = std::fs::read_to_string(&path)?;
        let image = main.lines().find(|line| line.trim_start().starts_with("image_id")).context("image_id")?;
        let ours = guide.block(&format!("image = {{ parameter = \"{IMAGE}\" }}"))?;
        let github = "  github = {\n";
        ensure!(main.contains(github), "{main}");
        let url = format!("{github}    api_url        = \"{}\"\n", cloud.github.url());
        std::fs::write(&path, main.replace(image, ours).replace(github, &url))?;
        let (vpc, subnet) = cloud.aws.network().await?;
        let variables = guide.block("vpc_id     = ")?;
        let variables = variables.replace("vpc-0123456789abcdef0", &vpc).replace("subnet-0123456789abcdef0", &subnet);
        std::fs::write(self.example.join("terraform.tfvars"), variables)?;
        Ok(())
    }

    /// Runs a command in the example's folder: what it said.
    async fn run(&self, command: &str) -> Result<String> {
        let (said, failed) = self.try_to(command).await?;
        match failed {
            None => Ok(said),
            Some(failed) => anyhow::bail!("`{command}`: {failed}\n{said}"),
        }
    }

    /// The same, and what it complained of if it failed.
    async fn try_to(&self, command: &str) -> Result<(String, Option<String>)> {
        let mut shell = paths::dying_with_us(Path::new("bash"));
        shell.args(["-euo", "pipefail", "-c", command]).current_dir(&self.example);
        for name in ["TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "TF_WORKSPACE", "AWS_PROFILE", "http_proxy", "HTTP_PROXY"] {
            shell.env_remove(name);
        }
        shell.envs(self.variables.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
        let output = shell.output().await.with_context(|| format!("running {command}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let failed = (!output.status.success()).then(|| format!("{}: {}", output.status, text(&output.stderr)));
        Ok((text(&output.stdout), failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_however_they_are_set() {
        let guide = Guide {
            blocks: blocks("Run `a b` or\n\n    c d\n    e\n\n```hcl\nf {\n  g\n}\n```\n1. List:\n\n       h --i\n"),
        };
        assert_eq!(guide.blocks, ["a b", "c d\ne\n", "f {\n  g\n}\n", "h --i\n"]);
        assert_eq!(guide.command("h").unwrap(), "h --i");
        assert_eq!(guide.command("a").unwrap(), "a b");
        assert!(guide.command("x").is_err());
        assert!(guide.block("e").is_ok());
    }
}
