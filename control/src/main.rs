//! `bootstrap`: every Lambda function of Dayfly's control plane. `_HANDLER` says which one this process is.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::Context;
use aws_lambda_events::{apigw::ApiGatewayV2httpRequest, sqs::SqsEvent};
use dayfly_contract::{Problems, names};
use dayfly_control::{
    aws,
    bus::event_bridge::EventBridge,
    clock::SystemClock,
    compute::ec2::Ec2,
    config::{Config, Role},
    estate::aws::AwsEstate,
    fleets::Fleets,
    github::lazy::LazyApp,
    handlers::{housekeep, lifecycle, reconcile, scale_up, sync_runner, webhook},
    handover::{s3::S3Handover, ssm::SsmHandover, stores::Stores},
    ledger::dynamo::DynamoLedger,
    logging,
    metrics::{self, Metrics},
    objects::s3::S3Objects,
    releases::github::GitHubReleases,
    report::Chain,
    told,
    trace::{self, TraceId},
    wake::sqs::SqsWake,
};
use lambda_runtime::{Context as Invocation, LambdaEvent, service_fn};
use tracing::error;

fn main() -> ExitCode {
    // What is not UTF-8 is none of ours.
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let config = match Config::read(&variables) {
        Ok(config) => config,
        Err(problems) => {
            logging::start("info");
            return refuse(&problems, "The environment is refused");
        }
    };
    logging::start(&config.log);
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if let Some(problems) = failed.downcast_ref::<Problems>() {
                return refuse(problems, "The fleets document is refused");
            }
            error!(error = %Chain(failed.as_ref()), "The function {} ended", config.role.name());
            ExitCode::FAILURE
        }
    }
}

/// Tells every mistake, each in a line of its own.
fn refuse(problems: &Problems, what: &str) -> ExitCode {
    for problem in &problems.0 {
        error!("{what}: {problem}");
    }
    ExitCode::from(names::EXIT_CONFIG)
}

/// One invocation at a time is all that Lambda gives a process, so one thread is enough.
fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = async {
        match config.role {
            Role::Webhook => Box::pin(webhook(config)).await,
            Role::ScaleUp => Box::pin(scale_up(config)).await,
            Role::Lifecycle => Box::pin(lifecycle(config)).await,
            Role::Reconcile => Box::pin(reconcile(config)).await,
            Role::SyncRunner => Box::pin(sync_runner(config)).await,
            Role::Housekeep => Box::pin(housekeep(config)).await,
        }
    };
    runtime.block_on(served)
}

async fn webhook(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let (secret, fleets) = tokio::try_join!(
        async { Ok(aws::secret(&ssm, &config.webhook_secret_parameter).await?) },
        fleets(config, &sdk)
    )?;
    let key = webhook::WebhookKey::new(&secret);
    anyhow::ensure!(!key.is_empty(), "{} holds no webhook secret", config.webhook_secret_parameter);
    let ledger = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&sdk), &config.table);
    let others = Others::new(config, &sdk);
    let deps = webhook::Deps::<Production> {
        fleets,
        key,
        github: LazyApp::new(ssm, config.github.clone(), ledger.clone()),
        ledger,
        wake: SqsWake::new(aws_sdk_sqs::Client::new(&sdk), &config.wake_queue_url),
        bus: others.bus.clone(),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
        runs: webhook::KnownRuns::default(),
    };
    let (deps, others) = (&deps, &others);
    let serve = service_fn(async |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let work = Box::pin(webhook::handle(deps, &event.payload, event.context.deadline));
        Ok::<_, lambda_runtime::Error>(observed(others, &deps.metrics, &event.context, work).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

/// The ports in production.
#[derive(Debug)]
struct Production;

impl webhook::Ports for Production {
    type Ledger = DynamoLedger;
    type GitHub = LazyApp;
    type Wake = SqsWake;
    type Bus = EventBridge;
    type Clock = SystemClock;
}

impl scale_up::Ports for Production {
    type Ledger = DynamoLedger;
    type Compute = Ec2;
    type GitHub = LazyApp;
    type Handover = Stores;
    type Wake = SqsWake;
    type Clock = SystemClock;
}

async fn scale_up(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let others = Others::new(config, &sdk);
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let ledger = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&sdk), &config.table);
    let github = LazyApp::new(ssm.clone(), config.github.clone(), ledger.clone());
    let (fleets, _) = tokio::try_join!(fleets(config, &sdk), async { Ok(github.get().await?) })?;
    config.serves(&fleets)?;
    let deps = scale_up::Deps::<Production> {
        deployment: config.deployment.clone(),
        fleets,
        ledger,
        limits: config.limits,
        owed: scale_up::Owed::default(),
        compute: Ec2::new(aws_sdk_ec2::Client::new(&sdk), ssm.clone()),
        github,
        handover: stores(config, &sdk, ssm),
        wake: queues(config, &sdk),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    };
    let (deps, others) = (&deps, &others);
    let serve = service_fn(async |event: LambdaEvent<SqsEvent>| {
        let work = Box::pin(scale_up::handle(deps, &event.payload, event.context.deadline));
        Ok::<_, lambda_runtime::Error>(observed(others, &deps.metrics, &event.context, work).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

async fn lifecycle(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let others = Others::new(config, &sdk);
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let ledger = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&sdk), &config.table);
    let deps = lifecycle::Deps {
        fleets: fleets(config, &sdk).await?,
        github: LazyApp::new(ssm.clone(), config.github.clone(), ledger.clone()),
        ledger,
        handover: stores(config, &sdk, ssm),
        wake: queues(config, &sdk),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    };
    let (deps, others) = (&deps, &others);
    let serve = service_fn(async |event: LambdaEvent<SqsEvent>| {
        let work = Box::pin(lifecycle::handle(deps, &event.payload, event.context.deadline));
        Ok::<_, lambda_runtime::Error>(observed(others, &deps.metrics, &event.context, work).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

impl sync_runner::Ports for Production {
    type Objects = S3Objects;
    type Releases = GitHubReleases<SystemClock>;
    type Clock = SystemClock;
}

async fn sync_runner(config: &Config) -> anyhow::Result<()> {
    let sync = config.sync.as_ref().context("sync-runner has no configuration")?;
    let sdk = aws::config().await;
    let token = match &sync.token_parameter {
        Some(parameter) => Some(aws::secret(&aws_sdk_ssm::Client::new(&sdk), parameter).await?),
        None => None,
    };
    let deps = sync_runner::Deps::<Production> {
        settings: sync.settings.clone(),
        objects: S3Objects::new(aws::s3(&sdk), &sync.bucket),
        releases: GitHubReleases::new(&sync.releases_url, token, SystemClock)?,
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    };
    let deps = &deps;
    // Whatever the schedule, or a person, has to say: it is only a wake-up.
    let serve = service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let work = Box::pin(sync_runner::handle(deps, event.context.deadline));
        observed(&Others::NONE, &deps.metrics, &event.context, work).await.map_err(lambda_runtime::Error::from)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

impl housekeep::Ports for Production {
    type Estate = AwsEstate;
    type Objects = S3Objects;
    type Clock = SystemClock;
}

async fn housekeep(config: &Config) -> anyhow::Result<()> {
    let keep = config.housekeep.as_ref().context("housekeep has no configuration")?;
    let sdk = aws::config().await;
    let (s3, registrations) = (aws::s3(&sdk), &config.registration_objects.bucket);
    let deps = housekeep::Deps::<Production> {
        settings: keep.settings.clone(),
        fleets: fleets(config, &sdk).await?,
        estate: AwsEstate {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            ssm: aws_sdk_ssm::Client::new(&sdk),
            deployment: config.deployment.clone(),
            registration_prefix: config.registration_prefix.clone(),
            parameter_prefixes: keep.parameter_prefixes.clone(),
            security_group: keep.security_group.clone(),
        },
        reports: S3Objects::new(s3.clone(), &keep.bucket),
        registrations: (!registrations.is_empty()).then(|| S3Objects::new(s3, registrations)),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    };
    let deps = &deps;
    let serve = service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let work = Box::pin(housekeep::handle(deps, event.context.deadline));
        observed(&Others::NONE, &deps.metrics, &event.context, work).await.map_err(lambda_runtime::Error::from)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

impl reconcile::Ports for Production {
    type Ledger = DynamoLedger;
    type Compute = Ec2;
    type GitHub = LazyApp;
    type Handover = Stores;
    type Wake = SqsWake;
    type Clock = SystemClock;
}

async fn reconcile(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let others = Others::new(config, &sdk);
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let ledger = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&sdk), &config.table);
    let fleets = fleets(config, &sdk).await?;
    config.serves(&fleets)?;
    let deps = reconcile::Deps::<Production> {
        deployment: config.deployment.clone(),
        fleets,
        hooks: config.hooks.clone(),
        silence: Duration::from_secs(config.silence_seconds),
        compute: Ec2::new(aws_sdk_ec2::Client::new(&sdk), ssm.clone()),
        github: LazyApp::new(ssm.clone(), config.github.clone(), ledger.clone()),
        ledger,
        handover: stores(config, &sdk, ssm),
        wake: SqsWake::new(aws_sdk_sqs::Client::new(&sdk), &config.wake_queue_url),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    };
    let (deps, others) = (&deps, &others);
    // The schedule's event says nothing but that it is time.
    let serve = service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let work = Box::pin(reconcile::handle(deps, event.context.deadline));
        observed(others, &deps.metrics, &event.context, work).await;
        Ok::<_, lambda_runtime::Error>(())
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

/// The queue that wakes scale-up, and the one for what the handler can't act upon.
fn queues(config: &Config, sdk: &aws_config::SdkConfig) -> SqsWake {
    let wake = SqsWake::new(aws_sdk_sqs::Client::new(sdk), &config.wake_queue_url);
    wake.with_dead_letters(config.dead_letter_queue_url.clone())
}

fn stores(config: &Config, sdk: &aws_config::SdkConfig, ssm: aws_sdk_ssm::Client) -> Stores {
    let key = config.registration_kms_key.as_deref();
    let objects = &config.registration_objects;
    let s3 = (!objects.bucket.is_empty()).then(|| S3Handover::new(aws::s3(sdk), &objects.bucket, &objects.prefix, key));
    Stores::new(SsmHandover::new(ssm, &config.registration_prefix, key), s3)
}

/// Those who want to know what changes.
#[derive(Debug)]
struct Others {
    deployment: String,
    bus: Option<EventBridge>,
}

impl Others {
    const NONE: Self = Self { deployment: String::new(), bus: None };

    fn new(config: &Config, sdk: &aws_config::SdkConfig) -> Self {
        let bus = |name: &String| EventBridge::new(aws_sdk_eventbridge::Client::new(sdk), name);
        Self { deployment: config.deployment.clone(), bus: config.event_bus.as_ref().map(bus) }
    }
}

/// Does the `work` of an invocation within its trace, tells `others` what changed, and writes what was measured. Its
/// request id is in the runtime's span.
async fn observed<F: Future>(others: &Others, metrics: &Metrics, invocation: &Invocation, work: F) -> F::Output {
    let trace = invocation.xray_trace_id.as_deref().and_then(TraceId::read);
    let told = async {
        let Some(bus) = &others.bus else { return work.await };
        let (done, events) = told::collect(work).await;
        told::publish(bus, &others.deployment, &events, metrics, &SystemClock, invocation.deadline).await;
        done
    };
    metrics::invocation(metrics, &SystemClock, std::io::stdout(), trace::within(trace, told)).await
}

async fn fleets(config: &Config, sdk: &aws_config::SdkConfig) -> anyhow::Result<Fleets> {
    let text = aws::text(&aws::s3(sdk), &config.fleets).await.context("starting")?;
    Ok(Fleets::read(&text)?)
}
