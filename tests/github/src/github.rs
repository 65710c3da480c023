//! The handle: start the emulator, put jobs in, look at what happened, make it misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;

use crate::config::{Config, Quirks};
use crate::credentials::{Grant, app_permissions};
use crate::faults::Fault;
use crate::job_state::JobEvent;
use crate::model::{Job, JobSpec, RunnerView};
use crate::server;
use crate::shared::Shared;
use crate::webhooks::{Chaos, Delivery, Webhook};
use crate::world::World;

/// A running emulator. Clones are the same one; it stops by [`Github::stop`] or with the runtime.
#[derive(Clone)]
pub struct Github {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
}

impl Github {
    /// Starts an emulator.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        server::start(config).await
    }

    pub(crate) fn new(shared: Arc<Shared>, addr: SocketAddr, stop: watch::Sender<bool>) -> Self {
        Self { shared, addr, stop: Arc::new(stop) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL that others are to use.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.public_url
    }

    /// Stops serving and sending.
    pub fn stop(&self) {
        // No receiver means that all tasks have ended already.
        let _ = self.stop.send(true);
    }

    /// Queues a job; the `queued` (or `waiting`) webhook is on its way.
    pub fn queue_job(&self, spec: JobSpec) -> anyhow::Result<Job> {
        let id = self.shared.change(|world, now| world.queue(spec, now))?;
        self.job(id).ok_or_else(|| anyhow::anyhow!("job {id} is gone"))
    }

    /// All jobs, oldest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.shared.look(|world, _| world.jobs.values().cloned().collect())
    }

    /// One job.
    #[must_use]
    pub fn job(&self, id: u64) -> Option<Job> {
        self.shared.look(|world, _| world.jobs.get(&id).cloned())
    }

    /// Lets a waiting job into the queue.
    pub fn approve_job(&self, id: u64) -> anyhow::Result<()> {
        Ok(self.shared.change(|world, now| world.move_job(id, JobEvent::Approve, "approved", now))?)
    }

    /// Cancels a job.
    pub fn cancel_job(&self, id: u64) -> anyhow::Result<()> {
        Ok(self.shared.change(|world, now| world.move_job(id, JobEvent::Cancel, "cancelled", now))?)
    }

    /// All registered runners.
    #[must_use]
    pub fn runners(&self) -> Vec<RunnerView> {
        self.shared.look(|world, now| world.runner_views(now))
    }

    /// Takes a runner away, busy or not. False if there is none of that id.
    #[must_use]
    pub fn remove_runner(&self, id: u64) -> bool {
        self.shared.change(|world, now| {
            let there = world.runners.contains_key(&id);
            world.remove(id, now);
            there
        })
    }

    /// Ends the jobs of runners that fell silent, as the emulator does by itself some times a second.
    pub fn sweep(&self) {
        self.shared.change(World::sweep);
    }

    /// Adds a way to misbehave.
    pub fn add_fault(&self, fault: Fault) -> anyhow::Result<()> {
        if let Some(problem) = fault.problem() {
            anyhow::bail!(problem);
        }
        self.shared.look(|world, _| world.faults.add(fault));
        Ok(())
    }

    /// The faults still in force.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.look(|world, _| world.faults.all())
    }

    /// Ends all misbehaviour.
    pub fn clear_faults(&self) {
        self.shared.look(|world, _| world.faults.clear());
    }

    /// Sets the oddities that are on.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.shared.look(|world, _| world.quirks = quirks);
    }

    /// Sets how many requests an hour each installation has.
    pub fn set_rate_limit(&self, an_hour: u64) {
        self.shared.look(|world, _| world.limits.set(an_hour));
    }

    /// Sets where webhooks go.
    pub fn set_webhook(&self, webhook: Webhook) {
        self.shared.deliverer.set_webhook(webhook);
    }

    /// Sends a `ping`. False if no receiver is set.
    #[must_use]
    pub fn ping(&self) -> bool {
        self.shared.ping()
    }

    /// Sets how webhooks go astray.
    pub fn set_chaos(&self, chaos: Chaos) -> anyhow::Result<()> {
        if let Some(problem) = chaos.problem() {
            anyhow::bail!(problem);
        }
        self.shared.deliverer.set_chaos(chaos);
        Ok(())
    }

    /// How webhooks go astray now; `drop_first` counts down.
    #[must_use]
    pub fn chaos(&self) -> Chaos {
        self.shared.deliverer.chaos()
    }

    /// All attempts at a delivery, in the order they ended.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliverer.sent()
    }

    /// Makes all attempts at a delivery older, as if so much time had passed since.
    pub fn age_deliveries(&self, by: Duration) {
        self.shared.deliverer.age(by);
    }

    /// How many deliveries are queued, held back or under way.
    #[must_use]
    pub fn deliveries_pending(&self) -> usize {
        self.shared.deliverer.pending()
    }

    /// Sends a past delivery again. False if there is none of that id.
    #[must_use]
    pub fn redeliver(&self, id: u64) -> bool {
        self.shared.deliverer.redeliver(id)
    }

    /// Publishes a release of actions/runner: its archives by platform, such as `linux-x64`, with their digests.
    pub fn publish_runner(&self, version: &str, archives: Vec<(String, Vec<u8>)>) {
        let folder = format!("{}/actions/runner/releases/download/v{version}", self.shared.public_url);
        self.shared.look(|world, now| world.releases.publish(version, archives, folder, now));
    }

    /// Has a published archive be these bytes, while its digest stays. False if there is none.
    #[must_use]
    pub fn spoil_runner(&self, version: &str, platform: &str, bytes: Vec<u8>) -> bool {
        self.shared.look(|world, _| world.releases.spoil(version, platform, bytes))
    }

    /// Forgets all deliveries, as GitHub does after three days.
    pub fn forget_deliveries(&self) {
        self.shared.deliverer.forget();
    }

    /// How often each route was called, by `METHOD /route/{pattern}`.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.look(|world, _| world.calls.all())
    }

    /// Sets all counts of calls to nothing.
    pub fn reset_calls(&self) {
        self.shared.look(|world, _| world.calls.reset());
    }

    /// An installation token with all that the App may do, without the App's asking.
    #[must_use]
    pub fn installation_token(&self) -> SecretString {
        let (installation, lifetime) = (self.shared.installation_id, self.shared.token_lifetime);
        self.shared.look(|world, now| {
            let token = world.secret("ghs_", 36);
            let expires_at = now.saturating_add(lifetime).unwrap_or(now);
            let grant = Grant { installation, permissions: app_permissions(), repositories: None, expires_at };
            world.credentials.issue(token.clone(), grant);
            SecretString::from(token)
        })
    }
}

impl std::fmt::Debug for Github {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Github").field("addr", &self.addr).finish_non_exhaustive()
    }
}
