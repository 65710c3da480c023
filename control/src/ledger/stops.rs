//! For how long an instance of a pool was stopped.

use crate::clock::Millis;

/// When an instance of a pool was stopped and started: it is not paid for in between, but for its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Since when it is to be stopped, or is. It stands until whoever starts it has noted that.
    pub at: Option<Millis>,
    /// When it was started for a job the last time, written before EC2 was asked. What was heard of its agent before is of
    /// another boot.
    pub started_at: Option<Millis>,
    /// How long it was stopped before that, in milliseconds.
    pub before: u64,
}

impl Stops {
    /// Whether it is stopped, or about to be, and nobody has begun to start it.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.at.is_some() && self.started_at.is_none()
    }

    /// How long it was stopped in all `until` then, in milliseconds.
    #[must_use]
    pub fn total(&self, until: Millis) -> u64 {
        let now = self.at.map_or(0, |at| self.started_at.unwrap_or(until).saturating_sub(at));
        self.before + now
    }

    /// The same, where nobody need start it any more.
    #[must_use]
    pub fn over(self, now: Millis) -> Self {
        Self { at: None, before: self.total(now), ..self }
    }

    /// The same, where it is stopped from now on.
    #[must_use]
    pub fn again(self, now: Millis) -> Self {
        Self { at: Some(now), started_at: None, before: self.total(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    #[test]
    fn the_time_that_it_was_stopped_adds_up() {
        let asleep = Stops::default().again(1000);
        assert_eq!((asleep.is_asleep(), asleep.total(5000)), (true, 4000));
        // It is started for a job, and nobody has noted yet that this was done.
        let started = Stops { started_at: Some(3000), ..asleep };
        assert_eq!((started.is_asleep(), started.total(5000), started.at), (false, 2000, Some(1000)));
        let over = started.over(5000);
        assert_eq!((over.is_asleep(), over.total(9000), over.at), (false, 2000, None));
        assert_eq!(over.started_at, Some(3000), "what its agent said before was said in another boot");
        // The job was another's: it stands by again, and is stopped once more.
        let again = over.again(10_000);
        assert_eq!((again.is_asleep(), again.total(11_000)), (true, 3000));
    }
}
