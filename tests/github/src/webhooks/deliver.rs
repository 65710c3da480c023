//! Sends webhooks and records each attempt, as the deliveries API tells of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{debug, warn};

use super::{Chaos, signature};
use crate::clock::Clock;
use crate::config::Config;

/// Id of the App's hook.
pub(crate) const HOOK_ID: u64 = 292_430_182;

/// Longest part of an answer that is kept.
const KEPT: usize = 64 * 1024;

/// Where webhooks go.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Receiver's URL.
    pub url: String,
    /// Secret that bodies are signed with.
    pub secret: SecretString,
}

/// A webhook on its way.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) repository_id: Option<u64>,
    pub(crate) redelivery: bool,
    pub(crate) body: Arc<[u8]>,
}

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: u64,
    /// GUID of the event; the same for all attempts and copies.
    pub guid: String,
    /// When it was sent.
    pub delivered_at: Timestamp,
    /// Whether someone asked for it again.
    pub redelivery: bool,
    /// Seconds until the answer.
    pub duration: f64,
    /// `OK`, or what went wrong.
    pub status: String,
    /// Status of the answer; 502 and 504 where none came, as GitHub shows it.
    pub status_code: u16,
    /// `workflow_job` or `ping`.
    pub event: String,
    /// `queued`, `in_progress`, ...
    pub action: Option<String>,
    /// Id of the repository.
    pub repository_id: Option<u64>,
    /// Where it went.
    pub url: String,
    /// Headers that were sent.
    pub request_headers: BTreeMap<String, String>,
    /// Body that was sent.
    pub request_payload: Value,
    /// Headers that came back.
    pub response_headers: BTreeMap<String, String>,
    /// Body that came back.
    pub response_payload: Option<String>,
}

impl Delivery {
    /// Whether the receiver answered with 2xx.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

/// Sends webhooks. Cheap to share.
pub(crate) struct Deliverer {
    webhook: Mutex<Option<Webhook>>,
    chaos: Mutex<Chaos>,
    /// A permit for each that may be on its way; none where all may.
    at_once: Mutex<Option<Arc<Semaphore>>>,
    sent: Mutex<Vec<Delivery>>,
    pending: AtomicUsize,
    next_id: AtomicU64,
    queue: UnboundedSender<Outgoing>,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    target_id: u64,
}

impl Deliverer {
    /// A deliverer and the queue that [`Deliverer::run`] empties.
    pub(crate) fn new(config: &Config) -> anyhow::Result<(Arc<Self>, UnboundedReceiver<Outgoing>)> {
        let (queue, outgoing) = unbounded_channel();
        // GitHub follows no redirects; a proxy of the machine has no business here.
        let client = reqwest::Client::builder()
            .timeout(config.webhook_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let deliverer = Self {
            webhook: Mutex::new(config.webhook.clone()),
            chaos: Mutex::new(Chaos::default()),
            at_once: Mutex::new(None),
            sent: Mutex::new(Vec::new()),
            pending: AtomicUsize::new(0),
            next_id: AtomicU64::new(2_100_000_000_001),
            queue,
            client,
            clock: config.clock.clone(),
            target_id: config.app_id,
        };
        Ok((Arc::new(deliverer), outgoing))
    }

    pub(crate) fn set_webhook(&self, webhook: Webhook) {
        *lock(&self.webhook) = Some(webhook);
    }

    pub(crate) fn webhook(&self) -> Option<Webhook> {
        lock(&self.webhook).clone()
    }

    pub(crate) fn set_chaos(&self, chaos: Chaos) {
        *lock(&self.at_once) = (chaos.at_once > 0).then(|| Arc::new(Semaphore::new(chaos.at_once)));
        *lock(&self.chaos) = chaos;
    }

    pub(crate) fn chaos(&self) -> Chaos {
        lock(&self.chaos).clone()
    }

    /// All attempts so far, oldest first.
    pub(crate) fn sent(&self) -> Vec<Delivery> {
        lock(&self.sent).clone()
    }

    /// Forgets all attempts so far.
    pub(crate) fn forget(&self) {
        lock(&self.sent).clear();
    }

    /// Makes all attempts so far older: GitHub's part of time that passes at a word.
    pub(crate) fn age(&self, by: Duration) {
        for delivery in lock(&self.sent).iter_mut() {
            delivery.delivered_at = delivery.delivered_at.saturating_sub(by).unwrap_or(Timestamp::MIN);
        }
    }

    /// How many deliveries are on their way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Puts a webhook on its way; without a receiver there is none.
    pub(crate) fn emit(&self, outgoing: Outgoing) {
        if lock(&self.webhook).is_none() {
            debug!(webhook.event = %outgoing.event, "No receiver is set: webhook not sent");
            return;
        }
        self.pending.fetch_add(1, Ordering::SeqCst);
        if self.queue.send(outgoing).is_err() {
            self.pending.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Sends a past delivery again: same GUID, same body. False if there is none of that id.
    pub(crate) fn redeliver(self: &Arc<Self>, id: u64) -> bool {
        let Some(old) = lock(&self.sent).iter().find(|delivery| delivery.id == id).cloned() else { return false };
        let body = old.request_payload.to_string().into_bytes();
        let (guid, event, action) = (old.guid, old.event, old.action);
        let again =
            Outgoing { guid, event, action, repository_id: old.repository_id, redelivery: true, body: body.into() };
        self.pending.fetch_add(1, Ordering::SeqCst);
        self.spawn(again, Duration::ZERO);
        true
    }

    /// Sends what is queued until the emulator stops.
    pub(crate) async fn run(self: Arc<Self>, mut outgoing: UnboundedReceiver<Outgoing>) {
        while let Some(first) = outgoing.recv().await {
            let chaos = self.chaos();
            let mut batch = vec![first];
            if chaos.shuffle_ms > 0 {
                let window = tokio::time::sleep(Duration::from_millis(chaos.shuffle_ms));
                tokio::pin!(window);
                loop {
                    tokio::select! {
                        () = &mut window => break,
                        next = outgoing.recv() => match next {
                            Some(next) => batch.push(next),
                            None => break,
                        },
                    }
                }
            }
            let batch = self.spared(batch);
            let mut rng = StdRng::seed_from_u64(chaos.seed ^ self.next_id.load(Ordering::SeqCst));
            let order = chaos.order(&batch, &mut rng);
            self.pending.fetch_add(order.len() - batch.len(), Ordering::SeqCst);
            for one in order {
                self.spawn(one, Duration::from_millis(chaos.delay_ms));
            }
        }
    }

    /// What is left of a batch when the first of it are dropped.
    fn spared(&self, mut batch: Vec<Outgoing>) -> Vec<Outgoing> {
        let mut chaos = lock(&self.chaos);
        let lost = batch.len().min(chaos.drop_first as usize);
        chaos.drop_first -= u32::try_from(lost).unwrap_or(chaos.drop_first);
        self.pending.fetch_sub(lost, Ordering::SeqCst);
        batch.split_off(lost)
    }

    /// Sends without waiting, as GitHub does: a slow receiver gets many at once, if it was not asked to spare it.
    fn spawn(self: &Arc<Self>, outgoing: Outgoing, delay: Duration) {
        let (deliverer, id) = (self.clone(), self.next_id.fetch_add(1, Ordering::SeqCst));
        let at_once = lock(&self.at_once).clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // It is never closed, so this fails for none.
            let _permit = match &at_once {
                Some(permits) => permits.acquire().await.ok(),
                None => None,
            };
            deliverer.attempt(id, outgoing).await;
            deliverer.pending.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn attempt(&self, id: u64, outgoing: Outgoing) {
        let Some(webhook) = self.webhook() else { return };
        let headers = self.headers(&outgoing, &webhook.secret);
        let mut request = self.client.post(&webhook.url).body(outgoing.body.to_vec());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let (delivered_at, begun) = (self.clock.now(), Instant::now());
        let lost = !outgoing.redelivery && self.chaos().loses(&outgoing.guid);
        let answer = if lost { Answer::none(504, "timed out") } else { answered(request).await };
        let duration = begun.elapsed().as_secs_f64();
        let delivery = Delivery {
            id,
            guid: outgoing.guid,
            delivered_at,
            redelivery: outgoing.redelivery,
            duration,
            status: answer.status,
            status_code: answer.code,
            event: outgoing.event,
            action: outgoing.action,
            repository_id: outgoing.repository_id,
            url: webhook.url,
            request_headers: headers,
            request_payload: serde_json::from_slice(&outgoing.body).unwrap_or_default(),
            response_headers: answer.headers,
            response_payload: answer.body,
        };
        if delivery.succeeded() {
            debug!(delivery.guid = %delivery.guid, delivery.action = delivery.action, "Webhook delivered");
        } else {
            warn!(delivery.guid = %delivery.guid, delivery.status = %delivery.status, "Webhook not delivered");
        }
        lock(&self.sent).push(delivery);
    }

    fn headers(&self, outgoing: &Outgoing, secret: &SecretString) -> BTreeMap<String, String> {
        [
            ("accept", "*/*".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("user-agent", "GitHub-Hookshot/044aadd".to_owned()),
            ("x-github-delivery", outgoing.guid.clone()),
            ("x-github-event", outgoing.event.clone()),
            ("x-github-hook-id", HOOK_ID.to_string()),
            ("x-github-hook-installation-target-id", self.target_id.to_string()),
            ("x-github-hook-installation-target-type", "integration".to_owned()),
            ("x-hub-signature-256", signature(secret, &outgoing.body)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

struct Answer {
    code: u16,
    status: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

impl Answer {
    /// As GitHub shows it where none came.
    fn none(code: u16, status: &str) -> Self {
        Self { code, status: status.to_owned(), headers: BTreeMap::new(), body: None }
    }
}

/// Sends and waits for the whole answer; GitHub tells a missing one as 504 or 502.
async fn answered(request: reqwest::RequestBuilder) -> Answer {
    let failed = |error: &reqwest::Error| {
        if error.is_timeout() { Answer::none(504, "timed out") } else { Answer::none(502, "failed to connect to host") }
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failed(&error),
    };
    let code = response.status();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = match response.bytes().await {
        Ok(bytes) => String::from_utf8_lossy(bytes.get(..KEPT).unwrap_or(&bytes)).into_owned(),
        Err(error) => return failed(&error),
    };
    let status = if code.is_success() { "OK".to_owned() } else { format!("Invalid HTTP Response: {}", code.as_u16()) };
    Answer { code: code.as_u16(), status, headers, body: Some(body) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
