//! `housekeep`: what nobody needs goes, and nothing else; a dry run tells the same and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use laptop_lambda::Outcome;
use serde_json::{Value, json};

use super::keeping::pass;
use crate::aws::estate::tagged;
use crate::cloud::{Cloud, DEPLOYMENT, FLEET};

/// What the images are made of.
const BASE: &str = "ami-0da7f1a0da7f1a001";
/// The images of the story that are a day old, the oldest first.
const IMAGES: [&str; 6] = ["old", "public", "of-a-template", "of-a-parameter", "of-a-fleet", "of-an-instance"];
/// The parameter that names one of them.
const PARAMETER: &str = "/mine/image";
/// A launch template that names one of them, in a version that is no longer its default.
const TEMPLATE: &str = "mine";
/// The fleet whose image is one of them, by the document alone.
const NAMING: &str = "spot";
/// Whoever the registrations were for, long ago and just now.
const NOBODY: &str = "i-0123456789abcdef0";
const NOBODY_YET: &str = "i-0123456789abcdef1";
const DRY_RUN: &str = "DAYFLY_HOUSEKEEP_DRY_RUN";
const DOCUMENT: &str = "fleets.json";

/// What there is.
#[derive(Default)]
struct Scene {
    /// Ids of the images, by what becomes of them.
    images: BTreeMap<&'static str, String>,
    /// Instances that must be ended.
    instances: Vec<String>,
    /// Volumes that are attached to nothing: one of ours, one of somebody else's, a young one of ours.
    volumes: Vec<String>,
    /// Spot requests: one whose instance is gone, one whose instance lives, and somebody else's, whose instance is gone.
    requests: Vec<String>,
    parameter: String,
    key: String,
}

pub(super) async fn what_nobody_needs_goes_and_nothing_else(cloud: Arc<Cloud>) -> Result<()> {
    let fleets = cloud.aws.object(&cloud.outputs.bucket, DOCUMENT).await?;
    // Reconcile would be quicker with the registrations; and nothing here boots.
    let reconcile = format!("dayfly-{DEPLOYMENT}-reconcile");
    cloud.aws.enable_rule(&reconcile, false).await?;
    cloud.lambda.refresh().await?;
    cloud.ec2.hold_boots(true);
    let mut scene = Scene::default();
    let told = story(&cloud, &mut scene).await;
    for instance in &scene.instances {
        cloud.aws.end_instance(instance, "the test is over").await?;
    }
    cloud.ec2.hold_boots(false);
    // The young ones would be somebody's leftovers.
    let prefix = &cloud.outputs.registration_prefix;
    cloud.aws.delete_parameter(&format!("{prefix}/{NOBODY_YET}")).await?;
    cloud.aws.put_object(&cloud.outputs.bucket, DOCUMENT, fleets.into_bytes()).await?;
    cloud.aws.set_variable(&cloud.outputs.functions["housekeep"], DRY_RUN, "false").await?;
    cloud.aws.enable_rule(&reconcile, true).await?;
    cloud.lambda.refresh().await?;
    told
}

async fn story(cloud: &Cloud, scene: &mut Scene) -> Result<()> {
    make_old(cloud, scene).await?;
    pass(cloud, Duration::from_hours(25)).await?;
    make_young(cloud, scene).await?;
    let before = all(cloud, scene).await?;

    let report = housekeep(cloud, true).await?;
    ensure!(report["dry_run"] == true && report["errors"] == json!([]), "{report:#}");
    judged(&report, scene, "would_go")?;
    ensure!(all(cloud, scene).await? == before, "a dry run has changed something: {before:?}");

    let report = housekeep(cloud, false).await?;
    ensure!(report["dry_run"] == false && report["errors"] == json!([]), "{report:#}");
    judged(&report, scene, "gone")?;
    let left = all(cloud, scene).await?;
    let gone: Vec<&String> = before.iter().filter(|it| !left.contains(it)).collect();
    let mut expected = [
        format!("image {}", scene.images["old"]),
        format!("snapshot of {}", scene.images["old"]),
        format!("volume {}", scene.volumes[0]),
        format!("spot request {}", scene.requests[0]),
        format!("parameter {}", scene.parameter),
        format!("object {}", scene.key),
    ];
    expected.sort();
    ensure!(gone == expected.iter().collect::<Vec<_>>(), "gone: {gone:?}; there were {before:?}");

    // Nothing is left to do.
    let report = housekeep(cloud, false).await?;
    ensure!(report["snapshots"] == json!([]) && report["leftovers"] == json!([]), "{report:#}");
    ensure!(all(cloud, scene).await? == left, "{left:?}");
    Ok(())
}

/// Makes what is a day old when it is looked at.
async fn make_old(cloud: &Cloud, scene: &mut Scene) -> Result<()> {
    let aws = &cloud.aws;
    let maker = aws.run_image(BASE).await?;
    scene.instances.push(maker.clone());
    let ours = tagged("image", "dayfly:image", "linux");
    for name in IMAGES {
        scene.images.insert(name, aws.create_image(&maker, name, &ours).await?);
    }
    scene.images.insert("untagged", aws.create_image(&maker, "untagged", &[]).await?);
    // EC2 tells times in seconds.
    pass(cloud, Duration::from_hours(1)).await?;
    scene.images.insert("newest", aws.create_image(&maker, "newest", &ours).await?);
    let images = &scene.images;
    scene.instances.push(aws.run_image(&images["of-an-instance"]).await?);
    let everybody = ("LaunchPermission.Add.1.Group", "all");
    aws.ec2("ModifyImageAttribute", &[("ImageId", &images["public"]), everybody]).await?;
    let template = [("LaunchTemplateName", TEMPLATE), ("LaunchTemplateData.ImageId", &images["of-a-template"])];
    aws.ec2("CreateLaunchTemplate", &template).await?;
    let other = [("LaunchTemplateName", TEMPLATE), ("LaunchTemplateData.ImageId", BASE)];
    aws.ec2("CreateLaunchTemplateVersion", &other).await?;
    aws.ec2("ModifyLaunchTemplate", &[("LaunchTemplateName", TEMPLATE), ("SetDefaultVersion", "2")]).await?;
    aws.put_plain_parameter(PARAMETER, &format!("the image is {}", images["of-a-parameter"])).await?;
    name_in_document(cloud).await?;
    scene.parameter = format!("{}/{NOBODY}", cloud.outputs.registration_prefix);
    aws.put_parameter(&scene.parameter, "whose?").await?;
    scene.key = format!("{}{NOBODY}", cloud.outputs.registration_bucket_prefix);
    aws.put_object(&cloud.outputs.registration_bucket, &scene.key, b"whose?".to_vec()).await?;
    for deployment in [DEPLOYMENT, "another"] {
        scene.volumes.push(aws.create_volume(&tagged("volume", "dayfly:deployment", deployment)).await?);
    }
    let runners = format!("dayfly-{DEPLOYMENT}-runner");
    for (group, lives) in [(runners.as_str(), false), (&runners, true), ("default", false)] {
        let (request, instance) = aws.request_spot(BASE, group).await?;
        scene.requests.push(request);
        if lives {
            scene.instances.push(instance);
        } else {
            aws.end_instance(&instance, "Server.SpotInstanceTermination").await?;
        }
    }
    Ok(())
}

/// Has a fleet name an image, by its name.
async fn name_in_document(cloud: &Cloud) -> Result<()> {
    let mut document: Value = serde_json::from_str(&cloud.aws.object(&cloud.outputs.bucket, DOCUMENT).await?)?;
    let fleets = document["fleets"].as_array_mut().context("fleets")?;
    let fleet = fleets.iter_mut().find(|fleet| fleet["name"] == NAMING).context("the fleet")?;
    fleet["launch"]["image"] = json!({ "name": "of-a-fl*", "owners": ["self"] });
    cloud.aws.put_object(&cloud.outputs.bucket, DOCUMENT, document.to_string().into_bytes()).await
}

/// Makes what is of the same kinds, but young.
async fn make_young(cloud: &Cloud, scene: &mut Scene) -> Result<()> {
    // Of another kind, or "newest" were no longer the newest.
    let tags = tagged("image", "dayfly:image", "another");
    let maker = scene.instances.first().context("who makes images")?;
    scene.images.insert("young", cloud.aws.create_image(maker, "young", &tags).await?);
    let tags = tagged("volume", "dayfly:deployment", DEPLOYMENT);
    scene.volumes.push(cloud.aws.create_volume(&tags).await?);
    let parameter = format!("{}/{NOBODY_YET}", cloud.outputs.registration_prefix);
    cloud.aws.put_parameter(&parameter, "whose?").await
}

/// Has housekeep look, dry or not, and answers its report.
async fn housekeep(cloud: &Cloud, dry: bool) -> Result<Value> {
    let function = &cloud.outputs.functions["housekeep"];
    cloud.aws.set_variable(function, DRY_RUN, &dry.to_string()).await?;
    cloud.lambda.refresh().await?;
    let answer = cloud.lambda.invoke(function, &json!({})).await?;
    ensure!(answer.outcome == Outcome::Success, "{answer:?}");
    let text = cloud.aws.object(&cloud.outputs.bucket, "housekeep/report.json").await?;
    serde_json::from_str(&text).context("reading the report")
}

/// What the report says of each thing is right, where what goes is called `gone`.
fn judged(report: &Value, scene: &Scene, gone: &str) -> Result<()> {
    let by_parameter = format!("named by parameter {PARAMETER}");
    let by_fleet = format!("named by fleet {NAMING} ");
    let expected = [
        ("newest", "stays", "among the newest"),
        ("of-a-fleet", "stays", &by_fleet),
        ("of-a-parameter", "stays", &by_parameter),
        ("of-a-template", "stays", "named by version 1 of launch template lt-"),
        ("of-an-instance", "stays", "named by instance i-"),
        ("old", gone, ""),
        ("public", "stays", "public"),
        ("young", "stays", "made or launched from lately"),
    ];
    let entries: BTreeMap<&str, &Value> =
        report["images"].as_array().into_iter().flatten().filter_map(|it| Some((it["id"].as_str()?, it))).collect();
    for (name, outcome, reason) in expected {
        let entry =
            entries.get(scene.images[name].as_str()).with_context(|| format!("nothing of {name}: {report:#}"))?;
        let why = entry["reason"].as_str().unwrap_or_default();
        ensure!(entry["outcome"] == outcome && why.starts_with(reason), "{name}: {entry:#}");
    }
    ensure!(!entries.contains_key(scene.images["untagged"].as_str()), "it is nobody's business: {report:#}");
    let snapshots: Vec<&Value> = report["snapshots"].as_array().into_iter().flatten().collect();
    ensure!(snapshots.len() == 1 && snapshots[0]["outcome"] == gone, "{report:#}");
    let leftovers: Vec<(&str, &str, &str)> = report["leftovers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| Some((it["kind"].as_str()?, it["id"].as_str()?, it["outcome"].as_str()?)))
        .collect();
    let expected = [
        ("parameter", scene.parameter.as_str(), gone),
        ("object", &scene.key, gone),
        ("volume", &scene.volumes[0], gone),
        ("spot_request", &scene.requests[0], gone),
    ];
    ensure!(leftovers == expected, "{report:#}");
    Ok(())
}

/// All that could go, in order, a line each.
async fn all(cloud: &Cloud, scene: &Scene) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let images = cloud.aws.ec2("DescribeImages", &[("Owner.1", "self")]).await?;
    let snapshots = cloud.aws.ec2("DescribeSnapshots", &[("Owner.1", "self")]).await?;
    for id in scene.images.values() {
        all.extend(images.contains(id.as_str()).then(|| format!("image {id}")));
        // As AWS says whose it is: "Created by CreateImage(i-...) for ami-...".
        all.extend(snapshots.contains(&format!("for {id}")).then(|| format!("snapshot of {id}")));
    }
    let volumes = cloud.aws.ec2("DescribeVolumes", &[]).await?;
    all.extend(scene.volumes.iter().filter(|id| volumes.contains(id.as_str())).map(|id| format!("volume {id}")));
    let requests = cloud.aws.ec2("DescribeSpotInstanceRequests", &[]).await?;
    let open = scene.requests.iter().filter(|id| requests.contains(id.as_str()));
    all.extend(open.map(|id| format!("spot request {id}")));
    for path in [cloud.outputs.registration_prefix.as_str(), "/mine"] {
        all.extend(cloud.aws.parameters(path).await?.into_iter().map(|name| format!("parameter {name}")));
    }
    for bucket in [&cloud.outputs.registration_bucket, &cloud.outputs.bucket] {
        let keys = cloud.aws.objects(bucket).await?.into_iter().filter(|key| !key.starts_with("housekeep/"));
        all.extend(keys.map(|key| format!("object {key}")));
    }
    let templates = cloud.aws.ec2("DescribeLaunchTemplates", &[]).await?;
    let named = [TEMPLATE, &format!("dayfly-{DEPLOYMENT}-{FLEET}")].map(str::to_owned);
    all.extend(named.into_iter().filter(|it| templates.contains(it)).map(|it| format!("template {it}")));
    all.sort();
    Ok(all)
}
