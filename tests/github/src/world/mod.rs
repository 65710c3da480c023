//! All that the emulator knows, changed by plain synchronous calls that take the time as an argument.
//!
//! `jobs` holds what happens to jobs and runs, `runners` who is registered, `releases` what runners are released, `sessions` what connected runners do.
//! Webhooks to be sent are left in the outbox, for [`crate::shared::Shared`] to take.

pub(crate) mod jobs;
pub(crate) mod releases;
pub(crate) mod runners;
pub(crate) mod sessions;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::calls::Calls;
use crate::config::{Config, Group, Quirks};
use crate::credentials::Credentials;
use crate::faults::Faults;
use crate::limits::Limits;
use crate::model::{Job, Run, Runner};

/// A webhook to be sent: the action, and the job as it was then.
pub(crate) type Notice = (&'static str, Job);

/// The emulator's state.
pub(crate) struct World {
    pub(crate) org: String,
    pub(crate) enterprise: String,
    /// `owner/name`, in the order they were first named; the place gives the id.
    pub(crate) repositories: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) quirks: Quirks,
    pub(crate) credentials: Credentials,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    pub(crate) releases: releases::Releases,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) runners: BTreeMap<u64, Runner>,
    /// Runner ids by their secret, kept when the runner is gone: such a caller is told 404, not 401.
    secrets: HashMap<String, u64>,
    outbox: Vec<Notice>,
    offline_after: Duration,
    rng: StdRng,
    next_job: u64,
    next_run: u64,
    next_runner: u64,
}

impl World {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            org: config.org.clone(),
            enterprise: config.enterprise.clone(),
            repositories: config.repositories.clone(),
            groups: config.groups.clone(),
            quirks: Quirks::default(),
            credentials: Credentials::default(),
            limits: Limits::new(config.rate_limit),
            faults: Faults::default(),
            calls: Calls::default(),
            releases: releases::Releases::new(&config.runner, config.clock.now()),
            jobs: BTreeMap::new(),
            runs: BTreeMap::new(),
            runners: BTreeMap::new(),
            secrets: HashMap::new(),
            outbox: Vec::new(),
            offline_after: config.offline_after,
            rng: StdRng::seed_from_u64(config.seed),
            // Of the size that ids have at GitHub today: code that keeps them in 32 bits fails here too.
            next_job: 58_000_000_001,
            next_run: 20_000_000_001,
            next_runner: 1,
        }
    }

    /// Takes the webhooks that are to be sent.
    pub(crate) fn take_outbox(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.outbox)
    }

    /// A random number from 0 to 1.
    pub(crate) fn dice(&mut self) -> f64 {
        self.rng.random()
    }

    /// `count` random letters and digits after `prefix`, as GitHub's tokens look.
    pub(crate) fn secret(&mut self, prefix: &str, count: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = prefix.to_owned();
        // The modulus favours some letters a little, which is no matter here.
        text.extend((0..count).map(|_| char::from(LETTERS[self.rng.random_range(0..LETTERS.len())])));
        text
    }

    /// `count` random bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.rng.random()).collect()
    }

    /// The full name of a repository that exists, in its own spelling.
    pub(crate) fn repository(&self, name: &str) -> Option<&str> {
        self.repositories.iter().find(|known| known.eq_ignore_ascii_case(name)).map(String::as_str)
    }

    /// A repository's id.
    pub(crate) fn repository_id(&self, name: &str) -> u64 {
        let place = self.repositories.iter().position(|known| known.eq_ignore_ascii_case(name)).unwrap_or_default();
        186_853_002 + place as u64
    }

    /// The runner group of that id.
    pub(crate) fn group(&self, id: u64) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id)
    }

    fn too_long_ago(&self, last_seen: Timestamp, now: Timestamp) -> bool {
        now.duration_since(last_seen).unsigned_abs() > self.offline_after && now > last_seen
    }
}

#[cfg(test)]
mod tests;
