//! Asks GitHub again for webhooks that were not delivered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use laptop_github::Delivery;

use crate::cloud::Cloud;

/// How long a webhook is missing before it is asked for again.
const MISSED: Duration = Duration::from_secs(5);

/// What was asked for so far.
#[derive(Debug)]
pub(crate) struct Redeliveries {
    /// Deliveries before these are others' business.
    from: usize,
    since: Instant,
    /// How often each webhook was asked for, by its GUID.
    asked: BTreeMap<String, usize>,
}

impl Redeliveries {
    /// Looks after what is sent from now on.
    #[must_use]
    pub(crate) fn from_now(cloud: &Cloud) -> Self {
        Self { from: cloud.github.deliveries().len(), since: Instant::now(), asked: BTreeMap::new() }
    }

    /// Asks for what is missing, every few seconds; call it as often as you like.
    pub(crate) fn look(&mut self, cloud: &Cloud) -> Result<()> {
        if self.since.elapsed() < MISSED {
            return Ok(());
        }
        self.since = Instant::now();
        let mut webhooks: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for delivery in cloud.github.deliveries().into_iter().skip(self.from) {
            webhooks.entry(delivery.guid.clone()).or_default().push(delivery);
        }
        for (guid, tried) in webhooks {
            if tried.iter().any(Delivery::succeeded) {
                continue;
            }
            // What was asked for is waited for.
            let asked = self.asked.entry(guid).or_default();
            if tried.iter().filter(|delivery| delivery.redelivery).count() < *asked {
                continue;
            }
            *asked += 1;
            ensure!(cloud.github.redeliver(tried[0].id), "delivery {} can't be sent again", tried[0].id);
        }
        Ok(())
    }
}
