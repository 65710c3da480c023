//! `bootstrap`: every Lambda function of Dayfly's control plane. `_HANDLER` says which one this process is.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use aws_lambda_events::{apigw::ApiGatewayV2httpRequest, sqs::SqsEvent};
use dayfly_contract::{Problems, names};
use dayfly_control::{
    aws,
    clock::SystemClock,
    compute::ec2::Ec2,
    config::{Config, Role},
    fleets::Fleets,
    github::lazy::LazyApp,
    handlers::{lifecycle, scale_up, webhook},
    handover::ssm::SsmHandover,
    ledger::dynamo::DynamoLedger,
    logging,
    report::Chain,
    wake::sqs::SqsWake,
};
use lambda_runtime::{LambdaEvent, service_fn};
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
    let deps = webhook::Deps {
        fleets,
        key: webhook::WebhookKey::new(&secret),
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&sdk), &config.table),
        wake: SqsWake::new(aws_sdk_sqs::Client::new(&sdk), &config.wake_queue_url),
        clock: SystemClock,
    };
    let deps = &deps;
    let serve = service_fn(async |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        Ok::<_, lambda_runtime::Error>(webhook::handle(deps, &event.payload).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

/// The ports of scale-up in production.
#[derive(Debug)]
struct Production;

impl scale_up::Ports for Production {
    type Ledger = DynamoLedger;
    type Compute = Ec2;
    type GitHub = LazyApp;
    type Handover = SsmHandover;
    type Wake = SqsWake;
    type Clock = SystemClock;
}

async fn scale_up(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let github = LazyApp::new(ssm.clone(), config.github.clone());
    let (fleets, _) = tokio::try_join!(fleets(config, &sdk), async { Ok(github.get().await?) })?;
    let deps = scale_up::Deps::<Production> {
        deployment: config.deployment.clone(),
        fleets,
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&sdk), &config.table),
        compute: Ec2::new(aws_sdk_ec2::Client::new(&sdk)),
        github,
        handover: SsmHandover::new(ssm, &config.registration_prefix),
        wake: SqsWake::new(aws_sdk_sqs::Client::new(&sdk), &config.wake_queue_url),
        clock: SystemClock,
    };
    let deps = &deps;
    let serve = service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, lambda_runtime::Error>(scale_up::handle(deps, &event.payload, event.context.deadline).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

async fn lifecycle(config: &Config) -> anyhow::Result<()> {
    let sdk = aws::config().await;
    let ssm = aws_sdk_ssm::Client::new(&sdk);
    let deps = lifecycle::Deps {
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&sdk), &config.table),
        github: LazyApp::new(ssm.clone(), config.github.clone()),
        handover: SsmHandover::new(ssm, &config.registration_prefix),
        wake: SqsWake::new(aws_sdk_sqs::Client::new(&sdk), &config.wake_queue_url),
        clock: SystemClock,
    };
    let deps = &deps;
    let serve = service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, lambda_runtime::Error>(lifecycle::handle(deps, &event.payload).await)
    });
    Box::pin(lambda_runtime::run(serve)).await.map_err(anyhow::Error::from_boxed)
}

async fn fleets(config: &Config, sdk: &aws_config::SdkConfig) -> anyhow::Result<Fleets> {
    let text = aws::text(&aws::s3(sdk), &config.fleets).await.context("starting")?;
    Ok(Fleets::read(&text)?)
}
