//! The instance metadata service, version 2 as EC2's.
//!
//! [`Imds`] holds what each instance may read. A listener tells instances apart either by their source address (the one
//! at 169.254.169.254 in a world of machines) or by its own port (one listener per plain process). `answer` decides each
//! answer from the instance, the request and the time; `tree` lays out the metadata; `server` is the thin shell.

mod answer;
mod server;
mod tree;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Facts;
use answer::Tokens;

/// The address of the metadata service in every VPC.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The metadata service of all instances. Clones share the same state.
#[derive(Clone, Debug)]
pub struct Imds {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    account: String,
    instances: HashMap<String, Entry>,
    by_address: HashMap<IpAddr, String>,
    tokens: Tokens,
}

/// All that the service knows about one instance.
#[derive(Debug)]
struct Entry {
    facts: Facts,
    user_data: Option<Vec<u8>>,
    notices: Notices,
    disabled: bool,
    delay: Duration,
    /// Status to answer instead, and how often yet.
    refuse: Option<(u16, u32)>,
    secret_key: String,
    log: Vec<Request>,
    listener: Option<JoinHandle<()>>,
}

/// What EC2 announces to an instance while it runs.
#[derive(Clone, Debug, Default)]
struct Notices {
    spot: Option<Timestamp>,
    rebalance: Option<Timestamp>,
    maintenance: Vec<Maintenance>,
}

/// A scheduled maintenance event, as `meta-data/events/maintenance/scheduled` lists it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Maintenance {
    /// `instance-reboot`, `system-reboot`, `instance-stop`, `instance-retirement` or `system-maintenance`.
    pub code: String,
    /// One sentence.
    pub description: String,
    /// Id of the event.
    pub event_id: String,
    /// Earliest begin, like `21 Jan 2027 09:00:43 GMT`.
    pub not_before: String,
    /// Latest end, in the same form.
    pub not_after: String,
    /// `active`, `completed` or `canceled`.
    pub state: String,
}

/// One request that an instance made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was answered.
    pub at: Timestamp,
    /// `GET`, `PUT` or `HEAD`.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The status it got.
    pub status: u16,
}

impl Imds {
    /// A service for instances of `account`, without any yet.
    #[must_use]
    pub fn new(account: &str) -> Self {
        let shared = Shared {
            account: account.to_owned(),
            instances: HashMap::new(),
            by_address: HashMap::new(),
            tokens: Tokens::default(),
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Listens at `address` for all instances and tells them apart by their source address.
    pub async fn listen(&self, address: SocketAddr) -> anyhow::Result<JoinHandle<()>> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("binding the metadata service to {address}"))?;
        Ok(tokio::spawn(server::serve(self.clone(), listener, None)))
    }

    /// Listens on a free local port for instance `id` alone; ends when the instance is removed.
    pub async fn listen_for(&self, id: &str) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .with_context(|| format!("binding a metadata service for {id}"))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(server::serve(self.clone(), listener, Some(id.to_owned())));
        if let Some(entry) = self.lock().instances.get_mut(id) {
            entry.listener = Some(task);
            return Ok(address);
        }
        task.abort();
        anyhow::bail!("no instance {id} to listen for")
    }

    /// Adds an instance, or gives a known one new facts. `user_data` is what it reads, if anything.
    pub fn put(&self, facts: Facts, user_data: Option<Vec<u8>>) {
        let mut shared = self.lock();
        if let Some(address) = facts.private_ip {
            shared.by_address.insert(IpAddr::V4(address), facts.id.clone());
        }
        let id = facts.id.clone();
        if let Some(entry) = shared.instances.get_mut(&id) {
            entry.facts = facts;
            entry.user_data = user_data;
            return;
        }
        shared.instances.insert(
            id,
            Entry {
                facts,
                user_data,
                notices: Notices::default(),
                disabled: false,
                delay: Duration::ZERO,
                refuse: None,
                secret_key: hex::encode(rand::random::<[u8; 20]>()),
                log: Vec::new(),
                listener: None,
            },
        );
    }

    /// The instance is gone: its address and port are nobody's. Its request log stays readable.
    pub fn remove(&self, id: &str) {
        let mut shared = self.lock();
        shared.by_address.retain(|_, owner| owner != id);
        shared.tokens.forget(id);
        if let Some(entry) = shared.instances.get_mut(id)
            && let Some(listener) = entry.listener.take()
        {
            listener.abort();
        }
    }

    /// Which instance has this address, if any.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<String> {
        self.lock().by_address.get(&IpAddr::V4(address)).cloned()
    }

    /// Announces that the spot instance will be terminated at `at`.
    pub fn notice_spot(&self, id: &str, at: Timestamp) -> anyhow::Result<()> {
        self.change(id, |entry| entry.notices.spot = Some(at))
    }

    /// Recommends, since `at`, to move away from the instance.
    pub fn notice_rebalance(&self, id: &str, at: Timestamp) -> anyhow::Result<()> {
        self.change(id, |entry| entry.notices.rebalance = Some(at))
    }

    /// Schedules maintenance.
    pub fn notice_maintenance(&self, id: &str, event: Maintenance) -> anyhow::Result<()> {
        self.change(id, |entry| entry.notices.maintenance.push(event))
    }

    /// Takes all notices back.
    pub fn clear_notices(&self, id: &str) -> anyhow::Result<()> {
        self.change(id, |entry| entry.notices = Notices::default())
    }

    /// Switches the service off (403) or on again for one instance.
    pub fn disable(&self, id: &str, disabled: bool) -> anyhow::Result<()> {
        self.change(id, |entry| entry.disabled = disabled)
    }

    /// Answers the instance's next `times` requests with `status`.
    pub fn refuse(&self, id: &str, status: u16, times: u32) -> anyhow::Result<()> {
        self.change(id, |entry| entry.refuse = Some((status, times)))
    }

    /// Answers the instance late from now on.
    pub fn delay(&self, id: &str, delay: Duration) -> anyhow::Result<()> {
        self.change(id, |entry| entry.delay = delay)
    }

    /// What the instance has asked so far, oldest first.
    #[must_use]
    pub fn requests(&self, id: &str) -> Vec<Request> {
        self.lock().instances.get(id).map(|entry| entry.log.clone()).unwrap_or_default()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Entry)) -> anyhow::Result<()> {
        let mut shared = self.lock();
        let entry = shared.instances.get_mut(id).with_context(|| format!("the metadata service knows no {id}"))?;
        change(entry);
        Ok(())
    }

    /// A panic elsewhere cannot leave the maps half changed: each change is one call.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
