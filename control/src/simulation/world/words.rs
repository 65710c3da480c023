//! What happens, for whoever reads a story.

use super::{Fault, STALE, World};
use crate::ledger::Write;

/// A write, in words.
pub(super) fn of(write: &Write) -> String {
    match write {
        Write::PutJob(it) => format!("job {} is {}", it.id, it.state.name()),
        Write::PutMarker(it) if it.on_demand => format!("job {} waits in fleet {}, for on-demand", it.job, it.fleet),
        Write::PutMarker(it) => format!("job {} waits in fleet {}", it.job, it.fleet),
        Write::TakeMarker { job, .. } => format!("job {job} waits no more"),
        Write::PutDoubt(it) => format!("GitHub is to be asked about job {}", it.job),
        Write::DropDoubt { job, .. } => format!("GitHub was asked about job {job}"),
        Write::StillQueued { job, .. } => format!("if job {job} waits still"),
        Write::Reserve { fleet, count, .. } => format!("fleet {fleet} counts {count} more"),
        Write::Advance { fleet, .. } => format!("fleet {fleet} has moved"),
        Write::Free { fleet, count: 0, .. } => format!("fleet {fleet} counts a failure"),
        Write::Free { fleet, count, .. } => format!("fleet {fleet} counts {count} less"),
        Write::Recover { fleet } => format!("fleet {fleet} is well again"),
        Write::PutOffers(it) => format!("fleet {} notes what EC2 and GitHub refuse", it.fleet),
        Write::PutReservation(it) if it.lease_until == 0 => {
            format!("reservation {} is free to be taken over", it.token())
        }
        Write::PutReservation(it) => format!("reservation {} of {} instances", it.token(), it.count),
        Write::DropReservation(it) => format!("reservation {} is resolved", it.token()),
        Write::PutRunner(it) => format!("runner {} is {}", it.instance, it.state.name()),
        Write::DropRunner(it) => format!("runner {} is forgotten", it.instance),
        Write::PutLife(it) => format!("the life of {} is kept", it.instance),
    }
}

impl Fault {
    /// What it is, in words.
    pub(super) fn says(&self) -> String {
        match self {
            Self::Ec2(_, code) => (*code).to_owned(),
            Self::Short(count, _) | Self::Fewer(count) => format!("EC2 gives no more than {count}"),
            Self::GitHubLimited(seconds) => format!("a rate limit, for {seconds} s"),
            Self::GitHubPermanent | Self::HandoverPermanent => "it is refused".to_owned(),
            Self::GitHubTransient | Self::HandoverTransient | Self::Wake => "no answer".to_owned(),
            Self::Ledger => "throttled".to_owned(),
            Self::Lost => "it is done, and the answer gets lost".to_owned(),
        }
    }
}

impl World {
    /// Keeps what jobs were before `writes`, for a scan that is a little behind.
    pub(super) fn keep_previous(&self, writes: &[Write]) {
        if !self.stale.get() {
            return;
        }
        let now = self.now.get();
        let mut previous = self.census.previous.borrow_mut();
        previous.retain(|_, (at, _)| *at + STALE > now);
        for write in writes {
            if let Write::PutJob(it) = write {
                let before = self.ledger.borrow().jobs.get(&it.id).cloned();
                previous.entry(it.id).or_insert((now, before));
            }
        }
    }
}
