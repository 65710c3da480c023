//! Which ledger is asked, and why it can't be.

use anyhow::{Result, anyhow, bail};
use aws_sdk_dynamodb::Client;
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    aws,
    ledger::{LedgerError, dynamo::DynamoLedger},
    report::Chain,
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
