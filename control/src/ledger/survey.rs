//! The ledger as an operator reads and asks it: over all fleets, by scans, eventually consistent. No handler does this.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Job, LedgerError, Life, Manual, Meta, Runner,
    dynamo::{DynamoLedger, Part},
    items::{self, Item},
};
use crate::clock::Millis;

/// What a scan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Jobs,
    Runners,
    Fleets,
    Lives,
}

impl Kind {
    const fn filter(self) -> (&'static str, &'static str) {
        match self {
            Self::Jobs => ("sk = :kind", items::JOB),
            Self::Runners => ("begins_with(sk, :kind)", items::RUNNER),
            Self::Fleets => ("sk = :kind", items::META),
            Self::Lives => ("begins_with(pk, :kind)", items::LIFE),
        }
    }
}

impl DynamoLedger {
    /// All jobs that are remembered, a week's, the latest first.
    pub async fn jobs(&self) -> Result<Vec<Job>, LedgerError> {
        let jobs: Result<Vec<Job>, _> = self.scan(Kind::Jobs).await?.iter().map(items::to_job).collect();
        let mut jobs = jobs.map_err(|bad| self.unreadable(bad))?;
        // GitHub's ids grow.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
        Ok(jobs)
    }

    /// All runners, or those of `fleet`; the earliest first.
    pub async fn runners(&self, fleet: Option<&str>) -> Result<Vec<Runner>, LedgerError> {
        let found = match fleet {
            Some(fleet) => self.query(fleet, Part::Of(items::RUNNER), None).await?,
            None => self.scan(Kind::Runners).await?,
        };
        let runners: Result<Vec<Runner>, _> = found.iter().map(items::to_runner).collect();
        let mut runners = runners.map_err(|bad| self.unreadable(bad))?;
        runners.sort_by(|a, b| (&a.fleet, a.launched_at, &a.instance).cmp(&(&b.fleet, b.launched_at, &b.instance)));
        Ok(runners)
    }

    /// What is counted of each fleet that ever launched something.
    pub async fn fleets(&self) -> Result<BTreeMap<String, Meta>, LedgerError> {
        let found = self.scan(Kind::Fleets).await?;
        let name = |item: &Item| {
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok())?;
            pk.strip_prefix("fleet#").map(str::to_owned)
        };
        Ok(found.iter().filter_map(|item| Some((name(item)?, items::to_meta(item)))).collect())
    }

    /// What is kept of instances that have ended, a week's, those that ended first first. What can't be read, as of a
    /// newer version, is left out and counted.
    pub async fn lives(&self) -> Result<(Vec<Life>, usize), LedgerError> {
        let found = self.scan(Kind::Lives).await?;
        let mut lives: Vec<Life> = found.iter().filter_map(|item| items::to_life(item).ok()).collect();
        lives.sort_by(|a, b| (a.ended_at, &a.instance).cmp(&(b.ended_at, &b.instance)));
        let unread = found.len() - lives.len();
        Ok((lives, unread))
    }

    /// Drains `fleet` from `since` on: it launches nothing more. Without a time it launches again.
    pub async fn drain(&self, fleet: &str, since: Option<Millis>) -> Result<(), LedgerError> {
        let doing = || format!("draining fleet {fleet} in {}", self.table);
        let key = items::key(items::fleet_pk(fleet), items::META.to_owned());
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key));
        let update = match since {
            // It stays drained since the first time.
            Some(since) => update
                .update_expression("SET drained_at = if_not_exists(drained_at, :since)")
                .expression_attribute_values(":since", items::number(since)),
            None => update.update_expression("REMOVE drained_at"),
        };
        update.send().await.map_err(|error| LedgerError::new(doing(), error))?;
        Ok(())
    }

    /// Puts demand that no job made. DynamoDB forgets it when it has expired.
    pub async fn ask(&self, manual: &Manual) -> Result<(), LedgerError> {
        let doing = || format!("asking for runners of {} in {}", manual.fleet, self.table);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(items::from_manual(manual)));
        put.send().await.map_err(|error| LedgerError::new(doing(), error))?;
        Ok(())
    }

    async fn scan(&self, kind: Kind) -> Result<Vec<Item>, LedgerError> {
        let (filter, value) = kind.filter();
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(filter)
            .expression_attribute_values(":kind", AttributeValue::S(value.to_owned()))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            found.push(item.map_err(|error| LedgerError::new(format!("reading {}", self.table), error))?);
        }
        Ok(found)
    }

    fn unreadable(&self, bad: items::BadItem) -> LedgerError {
        LedgerError::new(format!("reading {}", self.table), bad)
    }
}
