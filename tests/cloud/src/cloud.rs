//! The laptop cloud, put together: moto, GitHub, Lambda, EC2, and Dayfly deployed into it by Terraform.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use laptop_ec2::{Ec2Host, Mode, ProcessMode, SystemdMode, world};
use laptop_github::{Github, JobSpec, Step, Webhook, WrongClock};
use laptop_lambda::LambdaHost;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::artifacts::Artifacts;
use crate::aws::Aws;
use crate::deployed::{Deployed, Tape};
use crate::moto::Moto;
use crate::program::{Machines, Run};
use crate::terraform::{Outputs, Terraform};
use crate::ui::Ui;

/// Name of the deployment.
pub(crate) const DEPLOYMENT: &str = "laptop";
/// The fleet that most jobs are for.
pub const FLEET: &str = "linux-x64";
/// Labels of the jobs that it takes.
pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];
/// Labels of the jobs that the fleet `impatient` takes, whose agents wait for a registration for ten seconds only, and
/// let jobs ask the metadata service.
pub(crate) const IMPATIENT: [&str; 3] = ["self-hosted", "linux", "impatient"];
/// Labels of a fleet with a pool.
pub(crate) const STANDBY: [&str; 3] = ["self-hosted", "linux", "standby"];
/// Labels of a fleet with a pool of stopped instances, of two types.
pub(crate) const STOPPED: [&str; 3] = ["self-hosted", "linux", "stopped"];
/// Labels of a fleet with a pool of reusable runners that listen.
pub(crate) const IDLE: [&str; 3] = ["self-hosted", "linux", "idle"];
/// Labels of the jobs that the fleet `fleeting` takes, whose runners retire after three seconds without a job.
pub(crate) const FLEETING: [&str; 3] = ["self-hosted", "linux", "fleeting"];
/// Labels of the jobs that the fleet `installed` takes, whose image has no runner: it comes from S3, where `sync-runner` put it.
pub(crate) const INSTALLED: [&str; 3] = ["self-hosted", "linux", "installed"];
/// Labels of the jobs that the fleet `spot` takes: spot instances, whose jobs are asked to stop five seconds before the end.
/// None is run again.
pub(crate) const SPOT: [&str; 3] = ["self-hosted", "linux", "spot"];
/// Labels of the jobs that the fleet `spot-again` takes: the same, but that they are run again once, on-demand.
pub(crate) const SPOT_AGAIN: [&str; 3] = ["self-hosted", "linux", "spot-again"];
/// The fleets of the great trouble: each one's name, the label of its jobs, and its `max`.
pub(crate) const STORM_FLEETS: [(&str, &str, u64); 5] = [
    ("storm-types", "types", 15),
    ("storm-spot", "spots", 15),
    ("storm-exact", "exact", 15),
    ("storm-s3", "s3", 15),
    ("storm-reusable", "reusable", 10),
];

/// Fleets that the bench launches a hundred runners at once of: name, label, and how registrations are handed over.
pub const BURST_FLEETS: [(&str, &str, &str); 2] = [("burst-s3", "burst-s3", "s3"), ("burst-ssm", "burst-ssm", "ssm")];

/// Where moto listens, where that is free.
const MOTO_PORT: u16 = 5577;
/// Where the GitHub emulator listens, where that is free.
const GITHUB_PORT: u16 = 5578;

/// A running laptop cloud.
#[derive(Debug)]
pub struct Cloud {
    /// AWS, as far as it is asked by hand.
    pub aws: Aws,
    /// GitHub.
    pub github: Github,
    /// GitHub's clock.
    pub(crate) github_clock: Arc<WrongClock>,
    /// Runs the functions.
    pub lambda: LambdaHost,
    /// Runs the machines.
    pub ec2: Ec2Host,
    /// What was deployed.
    pub outputs: Outputs,
    /// Where this run keeps its logs, state and machines.
    pub folder: PathBuf,
    /// Signs webhooks.
    pub(crate) webhook_secret: SecretString,
    moto: Moto,
}

impl Cloud {
    /// Starts everything.
    pub async fn start(run: &Run, ui: &Ui) -> Result<Self> {
        let (machines, folder) = (run.machines, run.folder.as_path());
        let host = match machines {
            Machines::Systemd => world::GATEWAY,
            Machines::Process => Ipv4Addr::LOCALHOST,
        };
        let artifacts = Artifacts::make(&folder.join("artifacts"))?;

        let begun = Instant::now();
        let github_clock = Arc::new(WrongClock::default());
        let github = Github::start(laptop_github::Config {
            clock: github_clock.clone(),
            listen: SocketAddr::new(IpAddr::V4(host), port(host, GITHUB_PORT)?),
            ..laptop_github::Config::default()
        })
        .await?;
        ui.done("GitHub", format!("emulator at {}", github.url()), begun.elapsed());

        ui.waiting("starting moto");
        let begun = Instant::now();
        let moto_port = port(host, MOTO_PORT)?;
        let secret = webhook_secret()?;
        let endpoint = format!("http://{host}:{moto_port}");
        let variables = variables(&endpoint, github.url(), &artifacts.control_zip, &secret);
        let terraform = Terraform::new(folder, &variables)?;
        let deployed = Deployed::of(&variables, &artifacts.control_zip)?;
        let tape = deployed.tape(folder, terraform.state());
        let moto = Moto::start(&host.to_string(), moto_port, &tape, &folder.join("moto.log")).await?;
        let aws = Aws::at(moto.endpoint());
        let again = matches!(tape, Tape::Replay(_));
        ui.done(
            "AWS",
            format!("moto at {endpoint}{}", if again { ", as deployed before" } else { "" }),
            begun.elapsed(),
        );

        ui.waiting("terraform apply");
        let begun = Instant::now();
        let (resources, outputs) = terraform.apply().await?;
        if !again {
            moto.stop_recording().await?;
            deployed.keep(folder, terraform.state())?;
        }
        ui.done("Terraform", format!("{resources} resources applied"), begun.elapsed());

        let begun = Instant::now();
        let mut config = laptop_lambda::Config::new(moto.endpoint(), "eu-west-1", folder.join("lambda"));
        config.http_bind = SocketAddr::new(IpAddr::V4(host), 0);
        let lambda = LambdaHost::start(config).await?;
        let webhook = format!("{}/webhook", lambda.http_url());
        ui.done("Lambda", format!("{} functions, webhook at {webhook}", outputs.functions.len()), begun.elapsed());
        github.set_webhook(Webhook { url: webhook, secret: secret.clone() });

        let begun = Instant::now();
        let mode = mode(run, &artifacts, moto.endpoint())?;
        let mut config = laptop_ec2::Config::new(moto.endpoint(), mode, folder.join("ec2"));
        config.console_dir = Some(folder.join("console"));
        let ec2 = Ec2Host::start(config).await?;
        let what = match machines {
            Machines::Systemd => "machines: Debian with systemd",
            Machines::Process => "machines: plain processes",
        };
        ui.done("EC2", what, begun.elapsed());
        Ok(Self {
            aws,
            github,
            github_clock,
            lambda,
            ec2,
            outputs,
            folder: folder.to_owned(),
            webhook_secret: secret,
            moto,
        })
    }

    /// The webhook function's event of a `workflow_job` delivery with this body, signed as GitHub signs it.
    #[must_use]
    pub fn delivery(&self, body: &str) -> serde_json::Value {
        let headers = json!({
            "content-type": "application/json",
            "x-github-event": "workflow_job",
            "x-github-delivery": uuid::Uuid::new_v4().to_string(),
            "x-hub-signature-256": laptop_github::signature(&self.webhook_secret, body.as_bytes()),
        });
        json!({
            "version": "2.0", "rawPath": "/webhook", "headers": headers, "body": body, "isBase64Encoded": false,
            "requestContext": { "http": { "method": "POST", "path": "/webhook" } },
        })
    }

    /// Base URL of AWS.
    pub(crate) fn endpoint(&self) -> &str {
        self.moto.endpoint()
    }

    /// Names of the runners that GitHub knows.
    pub(crate) fn runners(&self) -> Vec<String> {
        self.github.runners().into_iter().map(|runner| runner.name).collect()
    }

    /// Machines that are not gone, a line each.
    pub(crate) fn machines_left(&self) -> Vec<String> {
        let machines = self.ec2.machines();
        let left = machines.iter().filter(|machine| !machine.record().reached(laptop_ec2::Phase::Gone));
        left.map(|machine| format!("machine {} is {:?}", machine.id(), machine.record().phase())).collect()
    }

    /// Ends everything; an error tells what could not be ended.
    pub async fn stop(self) -> Result<()> {
        let mut left = self.ec2.shutdown().await;
        let lambda = self.lambda.shutdown().await;
        left.extend(lambda.processes.iter().map(|pid| format!("process {pid} of a function")));
        self.github.stop();
        self.moto.stop().await?;
        anyhow::ensure!(left.is_empty(), "could not be ended:\n  {}", left.join("\n  "));
        Ok(())
    }
}

/// A job for `labels` whose step tells what it ran as.
#[must_use]
pub fn job(name: &str, labels: &[&str], script: &str) -> JobSpec {
    JobSpec {
        name: Some(name.to_owned()),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        steps: vec![Step { name: "Run".to_owned(), run: script.to_owned() }],
        ..JobSpec::default()
    }
}

fn mode(run: &Run, artifacts: &Artifacts, endpoint: &str) -> Result<Mode> {
    if run.machines == Machines::Process {
        let mut mode = ProcessMode::new(&artifacts.agent, endpoint);
        mode.runner = Some(artifacts.runner.clone());
        // Agents refuse to run a runner as root; a harness that is root runs them as somebody else.
        let user = if nix::unistd::geteuid().is_root() {
            mode.user = Some("nobody".to_owned());
            "nobody".to_owned()
        } else {
            nix::unistd::User::from_uid(nix::unistd::geteuid())?.context("looking up the current user")?.name
        };
        mode.env.push(("DAYFLY_RUNNER_USER".to_owned(), user));
        return Ok(Mode::Process(mode));
    }
    let layer = run.folder.join("ami");
    let files = laptop_ec2::image::AmiFiles {
        agent: artifacts.agent.clone(),
        unit: crate::paths::repository().join("agent/systemd/dayfly-agent.service"),
        end_unit: Some(crate::paths::repository().join("agent/systemd/dayfly-agent-end.service")),
        runner: Some(artifacts.runner.clone()),
        env: [("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned())].into(),
        extra: Vec::new(),
    };
    laptop_ec2::image::ami_layer(&layer, &files)?;
    let images = run.images.as_ref().context("machines with systemd need a root file system")?;
    Ok(Mode::Systemd(SystemdMode {
        rootfs: images.usual.clone(),
        layer,
        disk: laptop_ec2::Disk::Memory,
        memory: None,
        images: images.others(&run.folder)?,
    }))
}

fn variables(endpoint: &str, github: &str, control_zip: &Path, secret: &SecretString) -> serde_json::Value {
    let fleet = |labels: &[&str], market: &str, agent: serde_json::Value| {
        json!({
            "labels": labels,
            "max": 100,
            "github": { "level": "organization" },
            "instance_types": ["c7i.large"],
            "market": market,
            "agent": agent,
        })
    };
    let storm = |labels: &[&str], max: u64, more: serde_json::Value| {
        let mut fleet =
            fleet(labels, "on-demand", json!({ "claim_seconds": 60, "idle_seconds": 10, "retire_seconds": 10 }));
        fleet["max"] = max.into();
        fleet["instance_types"] = json!(["c7i.large", "m7i.large", "c7a.large"]);
        for (field, value) in more.as_object().into_iter().flatten() {
            fleet[field] = value.clone();
        }
        fleet
    };
    let mut fleets = json!({
        "linux-x64": fleet(&LABELS, "on-demand", json!({ "claim_seconds": 60 })),
        "impatient": fleet(&IMPATIENT, "on-demand", json!({ "claim_seconds": 10, "metadata_access": "all" })),
        "fleeting": fleet(&FLEETING, "on-demand", json!({ "idle_seconds": 3, "retire_seconds": 20 })),
        "spot": fleet(&SPOT, "spot", json!({ "interruption_grace_seconds": 5, "stop_seconds": 10, "heartbeat_seconds": 1 })),
    });
    // Beside the place where the image has one, on machines and in the folder of a plain process alike.
    let installed = json!({
        "claim_seconds": 60,
        "runner_directory": "/opt/actions-runner-installed",
        "runner_source": { "platform": "linux-x64" },
    });
    fleets["installed"] = fleet(&INSTALLED, "on-demand", installed);
    fleets["spot-again"] = fleets["spot"].clone();
    fleets["spot-again"]["labels"] = json!(SPOT_AGAIN);
    fleets["spot"]["interrupted"] = json!({ "rerun": 0 });
    let own = [
        json!({}),
        json!({ "market": "spot", "on_demand_fallback": true }),
        json!({ "matching": "exact" }),
        json!({ "handover": "s3" }),
        json!({ "ephemeral": false }),
    ];
    fleets["standby"] = fleet(&STANDBY, "on-demand", json!({ "claim_seconds": 60, "heartbeat_seconds": 5 }));
    fleets["standby"]["pool"] =
        json!({ "kind": "standby", "size": 0, "repository": "octo-org/octo-repo", "lifetime_seconds": 600 });
    fleets["stopped"] = fleets["standby"].clone();
    fleets["stopped"]["labels"] = json!(STOPPED);
    fleets["stopped"]["instance_types"] = json!(["c7i.large", "m7i.large"]);
    fleets["stopped"]["pool"]["kind"] = "stopped".into();
    let listens = json!({ "claim_seconds": 60, "idle_seconds": 2, "retire_seconds": 10, "max_lifetime_seconds": 3600 });
    fleets["idle"] = fleet(&IDLE, "on-demand", listens);
    fleets["idle"]["ephemeral"] = false.into();
    fleets["idle"]["pool"] = json!({ "kind": "idle", "size": 0, "repository": "octo-org/octo-repo" });
    for ((name, label, max), more) in STORM_FLEETS.into_iter().zip(own) {
        fleets[name] = storm(&["self-hosted", label], max, more);
    }
    for (name, label, handover) in BURST_FLEETS {
        fleets[name] =
            fleet(&["self-hosted", label], "on-demand", json!({ "claim_seconds": 300, "idle_seconds": 300 }));
        fleets[name]["handover"] = handover.into();
        fleets[name]["max"] = 200.into();
        fleets[name]["boot_seconds"] = 600.into();
    }
    json!({
        "endpoint": endpoint,
        "environment": DEPLOYMENT,
        "control_zip": control_zip,
        "github": {
            "app_id": laptop_github::LAPTOP_APP_ID.to_string(),
            "app_key": laptop_github::LAPTOP_APP_KEY,
            "webhook_secret": secret.expose_secret(),
            "api_url": github,
        },
        "fleets": fleets,
        // The keepers run when a test says so.
        "runner_versions": {
            "platforms": ["linux-x64"], "releases_url": github, "schedule": "rate(1 day)", "keep": 2,
        },
        "housekeeping": {
            "dry_run": false, "schedule": "rate(1 day)", "image_tags": { "dayfly:image": "*" }, "image_days": 1,
            "image_keep": 1, "leftover_hours": 2,
        },
        // A message comes back after its function's timeout: short ones, so that a killed function is soon made up for.
        "function_timeouts": { "webhook": 10, "scale_up": 15, "lifecycle": 20 },
        // Each look that begins is a process of this machine, and more at a time make each other late.
        "function_concurrency": { "scale_up": 8 },
    })
}

/// The laptop cloud's webhook secret, made once.
fn webhook_secret() -> Result<SecretString> {
    let path = crate::paths::cache().join("webhook-secret");
    if let Some(secret) = std::fs::read_to_string(&path).ok().filter(|secret| secret.len() == 64) {
        return Ok(SecretString::from(secret));
    }
    let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match &mut file {
        Ok(file) => file.write_all(secret.as_bytes())?,
        // Another run has just made one.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return webhook_secret(),
        Err(_) => {}
    }
    file.with_context(|| format!("writing {}", path.display()))?;
    Ok(SecretString::from(secret))
}

/// `usual` where it is free, else any port that is: with the usual ones the same is deployed as before.
fn port(host: Ipv4Addr, usual: u16) -> Result<u16> {
    let listener = TcpListener::bind((host, usual)).or_else(|_| TcpListener::bind((host, 0)));
    let listener = listener.with_context(|| format!("looking for a free port at {host}"))?;
    Ok(listener.local_addr()?.port())
}

/// Looks again and again, `pause` apart, until `look` finds what is waited for, for at most `limit`; else says what it found
/// last. For what takes a call or a process to find out; [`wait_for`] for all else.
pub(crate) async fn poll<T, F: Future<Output = Result<Result<T, String>>>>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match look().await? {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() > end => anyhow::bail!("{what}: not after {} s: {last}", limit.as_secs()),
            Err(_) => tokio::time::sleep(pause).await,
        }
    }
}

/// Waits until `done` says so, for at most `limit`; else says what it said last.
pub async fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Result<T, String>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match done() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() > end => anyhow::bail!("{what}: not after {} s: {last}", limit.as_secs()),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
