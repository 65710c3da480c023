//! Images that Packer itself builds, by `packer/`, on a machine over SSH; and builds that must fail.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use super::images::{baked, launch_image, runs_a_job};
use super::steps::shell;
use crate::aws::estate::element;
use crate::cloud::Cloud;
use crate::images::BASES;
use crate::packer::{ARCH, Build, Built, PARAMETERS, build, image_of};

/// Leaves out what takes long, for builds that end before the image is made.
const SMALL: [&str; 2] = ["docker=false", "upgrade=false"];

/// A script of the user's own for the images of this cloud: agents find AWS where it is here.
pub(crate) fn finds_aws(cloud: &Cloud) -> String {
    format!(
        "#!/usr/bin/env bash\nset -euo pipefail\nmkdir -p /etc/dayfly\n\
         echo 'AWS_ENDPOINT_URL={}' > /etc/dayfly/agent.env\n",
        cloud.endpoint()
    )
}

pub(super) async fn an_image_that_packer_builds_runs_a_job(cloud: Arc<Cloud>) -> Result<()> {
    let source = "ubuntu-2404";
    let script = finds_aws(&cloud);
    let with = Build { source, variables: &[], custom_script: &script, runner_sha256: None };
    let built = build(&cloud, &with).await?;
    let image = image_of(&built)?;
    ensure!(built.said.contains("Trying to remove ephemeral keys"), "no key was cleared: {}", built.said);
    left_nothing(&cloud).await?;

    let parameter = cloud.aws.parameter(&parameter(source)).await?.context("nothing was published")?;
    ensure!(parameter["Value"] == image.as_str() && parameter["Type"] == "String", "{parameter}");
    ensure!(parameter["DataType"] == "aws:ec2:image", "EC2 would not look it up: {parameter}");
    is_tagged(&cloud, source, &image, &built).await?;

    let machine = launch_image(&cloud, &image, &baked(&cloud)?).await?;
    let keys = "find /home /root -name 'authorized_keys*' -exec grep packer_ {} +";
    let wrong = shell(&machine, &format!("{keys} || true; ls -d /tmp/dayfly 2> /dev/null || true")).await?;
    ensure!(wrong.is_empty(), "what the build used is still there: {wrong}");
    let manifest: serde_json::Value = serde_json::from_str(&shell(&machine, "cat /etc/dayfly/image.json").await?)?;
    let base = base_of(source)?;
    let [agent, runner] = &built.hashes;
    let right = manifest["base_image"] == base
        && manifest["agent"]["sha256"] == agent.as_str()
        && manifest["runner"]["sha256"] == runner.as_str()
        && manifest["runner"]["version"] == laptop_runner::VERSION
        && manifest["docker"] == true;
    ensure!(right, "{manifest:#}");
    let job = "sudo -n id -u; id -nG; git --version; pwd; echo \"ran as $(id -un)\"";
    let log = runs_a_job(&cloud, &machine, job).await?;
    for found in ["ran as runner", "/opt/actions-runner/_work", "docker", "git version"] {
        ensure!(log.contains(found), "no {found:?} in the job's log: {log}");
    }
    Ok(())
}

pub(super) async fn a_step_that_fails_publishes_nothing(cloud: Arc<Cloud>) -> Result<()> {
    let source = "al2023";
    let script = "echo \"mine, as $(id -un) for $SUDO_USER\"; exit 7\n";
    let with = Build { source, variables: &SMALL, custom_script: script, runner_sha256: None };
    let said = fails(&cloud, &with).await?;
    // The user of that image has root's rights by sudo.
    ensure!(said.contains("mine, as root for ec2-user"), "{said}");
    ensure!(said.contains("image: custom failed (packer/scripts/custom.sh)"), "{said}");
    ensure!(!said.contains("image: warm-up") && !said.contains("Creating AMI"), "it went on: {said}");
    Ok(())
}

pub(super) async fn another_runner_than_the_pinned_one_is_refused(cloud: Arc<Cloud>) -> Result<()> {
    let pinned = "0".repeat(64);
    let with = Build { source: "al2023", variables: &SMALL, custom_script: "", runner_sha256: Some(&pinned) };
    let said = fails(&cloud, &with).await?;
    ensure!(said.contains(&format!(", expected {pinned}")), "{said}");
    ensure!(said.contains("image: runner failed (packer/scripts/runner.sh)"), "{said}");
    Ok(())
}

/// A build that must fail, and leave nothing.
async fn fails(cloud: &Cloud, with: &Build<'_>) -> Result<String> {
    let before = images(cloud).await?;
    let Built { success, said, folder, .. } = build(cloud, with).await?;
    ensure!(!success, "packer build is content: {said}");
    ensure!(!folder.join("manifest.json").exists(), "there is a manifest: {said}");
    ensure!(images(cloud).await? == before, "there is an image: {said}");
    let parameter = cloud.aws.parameter(&parameter(with.source)).await?;
    ensure!(parameter.is_none(), "it is published: {parameter:?}");
    left_nothing(cloud).await?;
    Ok(said)
}

/// How many images and snapshots of ours there are.
async fn images(cloud: &Cloud) -> Result<[usize; 2]> {
    let images = cloud.aws.ec2("DescribeImages", &[("Owner.1", "self")]).await?;
    // moto knows this filter, and not `Owner`.
    let ours = [("Filter.1.Name", "owner-id"), ("Filter.1.Value.1", "123456789012")];
    let snapshots = cloud.aws.ec2("DescribeSnapshots", &ours).await?;
    Ok([images.matches("<imageId>").count(), snapshots.matches("<snapshotId>").count()])
}

/// Packer takes away what it has made for the time of a build. (Instances are looked for after each test.)
async fn left_nothing(cloud: &Cloud) -> Result<()> {
    for (call, mark) in
        [("DescribeKeyPairs", "packer_"), ("DescribeSecurityGroups", "packer_"), ("DescribeVolumes", "packer-dayfly")]
    {
        let text = cloud.aws.ec2(call, &[]).await?;
        ensure!(!text.contains(mark), "Packer has left something: {call} answers {text}");
    }
    let left: Vec<_> = cloud.aws.instances().await?.into_iter().filter(|it| it.state != "terminated").collect();
    ensure!(left.is_empty(), "Packer has left an instance: {left:?}");
    Ok(())
}

/// Image and snapshot say what they are.
async fn is_tagged(cloud: &Cloud, source: &str, image: &str, built: &Built) -> Result<()> {
    let described = cloud.aws.ec2("DescribeImages", &[("ImageId.1", image)]).await?;
    let snapshot = element(&described, "snapshotId").with_context(|| format!("no snapshot: {described}"))?;
    ensure!(element(&described, "description").is_some_and(|it| it.contains("Dayfly agent")), "{described}");
    let [agent, runner] = &built.hashes;
    let [arch, ..] = ARCH;
    let name = format!("dayfly-{source}-{arch}");
    let expected = [
        ("Name", name.as_str()),
        ("dayfly:agent-sha256", agent),
        ("dayfly:arch", arch),
        ("dayfly:base", base_of(source)?),
        ("dayfly:image", "runner"),
        ("dayfly:os", source),
        ("dayfly:runner", laptop_runner::VERSION),
        ("dayfly:runner-sha256", runner),
    ];
    for thing in [image, &snapshot] {
        let mut tags = cloud.aws.tags(thing).await?;
        let base_name = tags.remove("dayfly:base-name").unwrap_or_default();
        ensure!(base_name.starts_with("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-"), "{thing}: {base_name}");
        let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ensure!(tags == expected, "{thing} has the tags {tags:?}");
    }
    Ok(())
}

/// The parameter that a fleet follows.
fn parameter(source: &str) -> String {
    format!("{PARAMETERS}/{source}-{}", ARCH[0])
}

/// The AMI that it is made of.
fn base_of(source: &str) -> Result<&'static str> {
    BASES.iter().find(|base| base.source == source).map(|base| base.id).context("a base")
}
