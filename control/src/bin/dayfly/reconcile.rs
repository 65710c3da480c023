//! `dayfly reconcile`: what the function reconcile would do now, and why.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dayfly_control::{
    aws::{
        self,
        calls::{Answer, Call, Caller},
        reads_only::ReadsOnly,
    },
    clock::{Clock, SystemClock},
    compute::ec2::Ec2,
    config::{Config, Role},
    dry::{Dry, Ear, Journal, Kind, Would},
    fleets::Fleets,
    github::lazy::LazyApp,
    handlers::reconcile::{self, Deps},
    handover::{s3::S3Handover, ssm::SsmHandover, stores::Stores},
    ledger::dynamo::DynamoLedger,
    metrics::Metrics,
    wake::sqs::SqsWake,
};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    deployed,
    output::say,
    place::{Connected, Place, block},
};

/// Tells what the function reconcile would do at this moment, and why: its own code, on ports that only read. With --now
/// the function itself is invoked, once.
///
/// A run of this program that writes is not offered: it would do so beside the function's own run, with other permissions
/// and none of its metrics. So --now asks Lambda for a run, as the schedule does.
#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    /// Changes nothing, and tells what would be done.
    #[arg(long, conflicts_with = "now")]
    dry_run: bool,
    /// Invokes the function now, and does not wait for the next minute.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    place: Place,
    /// JSON in place of text; what would only be remembered for the next run is among it.
    #[arg(long)]
    json: bool,
    /// How many seconds it may take.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
}

pub(crate) fn run(asked: &Reconcile) -> Result<()> {
    if !asked.dry_run && !asked.now {
        bail!("--dry-run tells what would be done; --now has the function do it. One of them is needed");
    }
    block(async {
        let deployment = asked.place.deployment()?;
        let place = asked.place.connect().await?;
        let caller = Caller::new(&place.sdk);
        if asked.now {
            return invoke(&caller, &deployment).await;
        }
        let config = deployed::config(&caller, &deployment, Role::Reconcile).await?;
        let journal = Journal::default();
        let deps = deps(&config, &place, &journal).await?;
        let deadline = SystemClock.now() + asked.seconds * 1000;
        // This thread does all the work.
        let heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Ear::new(&journal)));
        reconcile::handle(&deps, deadline).await;
        drop(heard);
        let (would, complaints) = (journal.all(), journal.complaints());
        say(&if asked.json { to_json(&would, &complaints) } else { text(&would, &complaints) })
    })
}

async fn invoke(caller: &Caller, deployment: &str) -> Result<()> {
    let name = deployed::name(deployment, Role::Reconcile);
    let url = format!("{}/2015-03-31/functions/{name}/invocations", caller.endpoint("lambda"));
    let call = Call::post(url, "{}").header("x-amz-invocation-type", "Event");
    say(&invoked(&name, &caller.signed("lambda", &call).await?)?)
}

/// What came of an invocation.
fn invoked(name: &str, answer: &Answer) -> Result<String> {
    match answer.status {
        202 => Ok(format!("Invoked {name}. What it does is in its log: /aws/lambda/{name}\n")),
        404 => bail!("there is no function {name}; --deployment and AWS_REGION say which"),
        _ if answer.is_denied() => bail!("access denied: lambda:InvokeFunction on {name} is needed"),
        status => bail!("invoking {name}: Lambda answered {status}"),
    }
}

/// The ports of a run that changes nothing.
struct Reading;

impl reconcile::Ports for Reading {
    type Ledger = Dry<DynamoLedger>;
    type Compute = Dry<Ec2>;
    type GitHub = Dry<LazyApp>;
    type Handover = Dry<Stores>;
    type Wake = Dry<SqsWake>;
    type Clock = SystemClock;
}

/// What the function itself works with, twice kept from writing: by what stands before each port, and by the clients.
async fn deps(config: &Config, place: &Connected, journal: &Journal) -> Result<Deps<Reading>> {
    let sdk = &place.sdk;
    let ssm = aws_sdk_ssm::Client::from_conf(aws_sdk_ssm::config::Builder::from(sdk).interceptor(ReadsOnly).build());
    let ec2 = aws_sdk_ec2::Client::from_conf(aws_sdk_ec2::config::Builder::from(sdk).interceptor(ReadsOnly).build());
    let sqs = aws_sdk_sqs::Client::from_conf(aws_sdk_sqs::config::Builder::from(sdk).interceptor(ReadsOnly).build());
    let s3 = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).interceptor(ReadsOnly).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    let ledger = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(sdk), &config.table).reading_only();
    let document = aws::text(&s3, &config.fleets).await.context("reading the fleets document")?;
    let fleets = Fleets::read(&document).context("reading the fleets document")?;
    let key = config.registration_kms_key.as_deref();
    let objects = &config.registration_objects;
    let by_s3 = (!objects.bucket.is_empty()).then(|| S3Handover::new(s3, &objects.bucket, &objects.prefix, key));
    let stores = Stores::new(SsmHandover::new(ssm.clone(), &config.registration_prefix, key), by_s3);
    Ok(Deps {
        deployment: config.deployment.clone(),
        fleets,
        hooks: config.hooks.clone(),
        silence: Duration::from_secs(config.silence_seconds),
        compute: Dry::new(Ec2::new(ec2, ssm.clone()), journal),
        github: Dry::new(LazyApp::new(ssm, config.github.clone(), ledger.clone()), journal),
        ledger: Dry::new(ledger, journal),
        handover: Dry::new(stores, journal),
        wake: Dry::new(SqsWake::new(sqs, &config.wake_queue_url), journal),
        metrics: Metrics::new(&config.deployment, config.role.name()),
        clock: SystemClock,
    })
}

fn text(would: &[Would], complaints: &[String]) -> String {
    let done: Vec<&Would> = would.iter().filter(|it| it.kind != Kind::Note).collect();
    let mut text = if done.is_empty() {
        "Reconcile would do nothing: all is as it should be, by what could be seen.\n".to_owned()
    } else {
        let things = if done.len() == 1 { "thing" } else { "things" };
        format!("Reconcile would do {} {things}. Nothing was changed.\n", done.len())
    };
    let mut last = None;
    for Would { kind, what, why } in done {
        // Several things often have one reason.
        if why.as_ref() != last {
            last = why.as_ref();
            text += &format!("\n{}\n", why.as_deref().unwrap_or("No reason was told:"));
        }
        text += &format!("  {:<12}  {what}\n", kind.name());
    }
    if !complaints.is_empty() {
        text += "\nWhat could not be asked, or stood out:\n";
        text += &complaints.iter().map(|it| format!("  {it}\n")).collect::<String>();
    }
    text
}

fn to_json(would: &[Would], complaints: &[String]) -> String {
    let all: Vec<Value> =
        would.iter().map(|it| json!({"kind": it.kind.name(), "what": it.what, "why": it.why})).collect();
    format!("{:#}\n", json!({"would": all, "complaints": complaints}))
}

#[cfg(test)]
mod tests {
    use dayfly_control::dry::{Kind, Would};

    use super::{Answer, invoked, text, to_json};

    #[test]
    fn an_invocation_is_taken_or_refused_with_the_reason() {
        let came = |status| invoked("dayfly-main-reconcile", &Answer { status, ..Answer::default() });
        assert!(came(202).unwrap().contains("its log: /aws/lambda/dayfly-main-reconcile"));
        for (status, says) in
            [(404, "there is no function dayfly-main-reconcile"), (403, "lambda:InvokeFunction"), (429, "answered 429")]
        {
            let error = came(status).unwrap_err().to_string();
            assert!(error.contains(says), "{status}: {error}");
        }
    }

    #[test]
    fn what_would_be_done_stands_below_its_reason() {
        let would = |kind, what: &str, why: Option<&str>| Would { kind, what: what.into(), why: why.map(Into::into) };
        let all = [
            would(Kind::Ledger, "runner i-1 is forgotten", Some("i-1 is silent")),
            would(Kind::Instance, "end i-1", Some("i-1 is silent")),
            would(Kind::Note, "reconcile#fleet#linux-x64", None),
        ];
        assert_eq!(
            text(&all, &["GitHub asks to wait".to_owned()]),
            "Reconcile would do 2 things. Nothing was changed.\n\ni-1 is silent\n  ledger        runner i-1 is forgotten\n  \
             instance      end i-1\n\nWhat could not be asked, or stood out:\n  GitHub asks to wait\n"
        );
        assert!(text(&all[2..], &[]).starts_with("Reconcile would do nothing: "));
        let json: serde_json::Value = serde_json::from_str(&to_json(&all, &[])).unwrap();
        assert_eq!((&json["would"][2]["kind"], &json["would"][1]["why"]), (&"note".into(), &"i-1 is silent".into()));
    }
}
