//! What all handlers share: the world behind a lock, the clock, and the way out for webhooks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Builder;

use crate::auth::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::webhooks::{Around, Deliverer, HOOK_ID, Outgoing, Payloads};
use crate::world::{Notice, World};

/// One emulator.
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Rings whenever the world may have changed: runners that wait for a job look again.
    pub(crate) changed: Notify,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) app: App,
    pub(crate) app_id: u64,
    pub(crate) client_id: String,
    pub(crate) installation_id: u64,
    pub(crate) public_url: String,
    pub(crate) token_lifetime: Duration,
    pub(crate) poll_wait: Duration,
    pub(crate) started: Timestamp,
    pub(crate) payloads: Payloads,
    pub(crate) deliverer: Arc<Deliverer>,
}

impl Shared {
    pub(crate) fn new(config: &Config, public_url: String, deliverer: Arc<Deliverer>) -> anyhow::Result<Self> {
        Ok(Self {
            world: Mutex::new(World::new(config)),
            changed: Notify::new(),
            clock: config.clock.clone(),
            app: App::new(config.app_id, config.client_id.clone(), &config.app_key)?,
            app_id: config.app_id,
            client_id: config.client_id.clone(),
            installation_id: config.installation_id,
            public_url,
            token_lifetime: config.token_lifetime,
            poll_wait: config.poll_wait,
            started: config.clock.now(),
            payloads: Payloads::new(config)?,
            deliverer,
        })
    }

    /// Looks at the world, or changes what no runner and no webhook depends on.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        look(&mut self.lock(), self.clock.now())
    }

    /// Changes the world, puts the webhooks that follow on their way and wakes those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let result = {
            let mut world = self.lock();
            let result = change(&mut world, self.clock.now());
            // Still under the lock, so that webhooks are queued in the order things happened.
            for notice in world.take_outbox() {
                let outgoing = self.outgoing(&mut world, &notice);
                self.deliverer.emit(outgoing);
            }
            result
        };
        self.changed.notify_waiters();
        result
    }

    /// Sends a ping, as GitHub does when a hook is made. False without a receiver.
    pub(crate) fn ping(&self) -> bool {
        let Some(webhook) = self.deliverer.webhook() else { return false };
        self.look(|world, _| {
            let repository = world.repositories.first().cloned().unwrap_or_default();
            let id = world.repository_id(&repository);
            let body = self.payloads.ping(HOOK_ID, &webhook.url, &repository, id).to_string();
            let (event, guid) = ("ping".to_owned(), guid(world));
            let body = body.into_bytes().into();
            self.deliverer.emit(Outgoing {
                guid,
                event,
                action: None,
                repository_id: Some(id),
                redelivery: false,
                body,
            });
        });
        true
    }

    fn outgoing(&self, world: &mut World, (action, job): &Notice) -> Outgoing {
        let repository_id = world.repository_id(&job.repository);
        let around = Around { repository_id, installation: world.quirks.webhook_installation };
        let body = self.payloads.workflow_job(action, job, around).to_string();
        Outgoing {
            guid: guid(world),
            event: "workflow_job".to_owned(),
            action: Some((*action).to_owned()),
            repository_id: Some(repository_id),
            redelivery: false,
            body: body.into_bytes().into(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn guid(world: &mut World) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&world.bytes(16));
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}
