//! Which ledger is asked, and why it can't be.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_sdk_dynamodb::Client;
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    aws,
    ledger::{Ledger, LedgerError, Meta, dynamo::DynamoLedger},
    report::Chain,
    wake::sqs::SqsWake,
};

/// Which ledger. Region, credentials and endpoint are what the AWS SDK finds: `AWS_REGION`, `AWS_PROFILE` and so on.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The deployment; its table is `dayfly-<deployment>-ledger`.
    #[arg(long, env = "DAYFLY_DEPLOYMENT", required_unless_present = "table")]
    pub(crate) deployment: Option<String>,
    /// The ledger's table, where it has another name.
    #[arg(long, env = "DAYFLY_TABLE")]
    table: Option<String>,
}

/// AWS, and the ledger there.
pub(crate) struct Connected {
    pub(crate) sdk: aws_config::SdkConfig,
    pub(crate) ledger: DynamoLedger,
    table: String,
    region: String,
}

/// Does `work` on one thread.
pub(crate) fn block<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl Place {
    fn table(&self) -> Result<String> {
        match (&self.table, &self.deployment) {
            (Some(table), _) => Ok(table.clone()),
            (None, Some(name)) if names::is_name(name) => Ok(format!("dayfly-{name}-ledger")),
            (None, Some(name)) => {
                bail!("--deployment: found \"{name}\", expected 1 to 40 of a-z, 0-9 and -, starting with a letter")
            }
            // clap asks for one of them.
            (None, None) => bail!("--deployment or --table is needed"),
        }
    }

    /// The deployment, for a command that needs more of it than its table.
    pub(crate) fn deployment(&self) -> Result<String> {
        match &self.deployment {
            Some(name) if names::is_name(name) => Ok(name.clone()),
            Some(name) => {
                bail!("--deployment: found \"{name}\", expected 1 to 40 of a-z, 0-9 and -, starting with a letter")
            }
            None => bail!("--deployment is needed: its functions are asked how they are set up"),
        }
    }

    /// Sets AWS up.
    pub(crate) async fn connect(&self) -> Result<Connected> {
        let table = self.table()?;
        let sdk = aws::config().await;
        let Some(region) = sdk.region().map(ToString::to_string) else {
            bail!("no AWS region is set: AWS_REGION, or region in the profile");
        };
        let ledger = DynamoLedger::new(&Client::new(&sdk), &table);
        Ok(Connected { sdk, ledger, table, region })
    }
}

impl Connected {
    /// The queue that wakes scale-up: that one, or the deployment's.
    pub(crate) async fn wake(&self, url: Option<&str>, deployment: Option<&str>) -> Result<SqsWake> {
        let client = aws_sdk_sqs::Client::new(&self.sdk);
        let url = match (url, deployment) {
            (Some(url), _) => url.to_owned(),
            (None, None) => bail!("--deployment or --wake-queue-url is needed, to wake scale-up"),
            (None, Some(deployment)) => {
                let name = format!("dayfly-{deployment}-wake");
                let answer = client.get_queue_url().queue_name(&name).send().await;
                let url = answer.with_context(|| format!("finding the queue {name}"))?.queue_url;
                url.with_context(|| format!("the queue {name} has no URL"))?
            }
        };
        Ok(SqsWake::new(client, url))
    }

    /// What is counted of all fleets, or of the one that is asked about: also of such as have nothing to list.
    pub(crate) async fn metas(&self, asked: Option<&str>) -> Result<BTreeMap<String, Meta>> {
        let metas = async {
            match asked {
                Some(name) => Ok(BTreeMap::from([(name.to_owned(), self.ledger.meta(name).await?)])),
                None => self.ledger.fleets().await,
            }
        };
        metas.await.map_err(|error| self.explained(error))
    }

    /// An error of the ledger, for a person who may have named the wrong one.
    pub(crate) fn explained(&self, error: LedgerError) -> anyhow::Error {
        let chain = Chain(&error).to_string();
        if chain.contains("ResourceNotFound") {
            let Self { table, region, .. } = self;
            return anyhow!("there is no table {table} in {region}; --deployment, --table and AWS_REGION say which");
        }
        if chain.contains("no credentials found in chain") {
            return anyhow!(
                "no AWS credentials were found: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            );
        }
        error.into()
    }
}
