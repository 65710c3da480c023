//! Time and chance, as arguments.

use std::time::Duration;

/// Milliseconds since 1970 (UTC).
pub type Millis = u64;

/// What the outside world gives without being asked for by name: time and chance.
pub trait Clock {
    /// Now.
    fn now(&self) -> Millis;
    /// 128 random bits.
    fn random(&self) -> u128;
    /// Waits.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()>;

    /// Is over when that time has come.
    fn until(&self, at: Millis) -> impl Future<Output = ()> {
        self.sleep(Duration::from_millis(at.saturating_sub(self.now())))
    }

    /// A fresh random UUID.
    fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.random().to_be_bytes()).into_uuid().to_string()
    }

    /// A wait before attempt number `attempt` (from 1) at something others compete for: random, so that they do not
    /// meet again, up to a limit that doubles from 20 ms to 640 ms.
    fn jitter(&self, attempt: u32) -> Duration {
        let limit = 20_u64 << attempt.saturating_sub(1).min(5);
        let part = u64::try_from(self.random() % u128::from(limit)).unwrap_or(limit);
        Duration::from_millis(part)
    }
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        // A clock before 1970 is a broken machine; 0 makes every lease look taken, so nothing is done twice.
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128() ^ uuid::Uuid::new_v4().as_u128().rotate_left(64)
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Whole seconds, for DynamoDB's TTL.
#[must_use]
pub fn seconds(millis: Millis) -> u64 {
    millis / 1000
}
