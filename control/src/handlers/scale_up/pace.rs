//! Calls at the pace that their services allow, shared by all invocations through the ledger.
//!
//! Turns are taken in blocks, by one update of the ledger each: those of all launches of a look before them, on condition
//! that there is room to register what they give; those of the registrations when it is known how many there are, so that
//! a launch that gives nothing costs GitHub's other users nothing. Each turn of a block has a time of its own.
//!
//! Without the ledger there is no limit; it keeps a burst from starving the account, and nothing else depends on it.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tracing::{info, warn};

use super::{Deps, Ports, look::Task};
use crate::{
    clock::{Clock, Millis},
    decide::bucket::{Bucket, Fulls, Rate, Take, Taken, Takes},
    fleets::Handover,
    ledger::Ledger,
    report::Chain,
};

/// So long a launch waits for its turn; what would take longer is left to a later look. Registrations wait as long as
/// their invocation has time: their instances are there.
const LONGEST: Duration = Duration::from_secs(10);
/// Nothing is begun when less time is left: what turns are taken for is a call or two.
pub(super) const TIME_NEEDED: Millis = 3000;
/// A turn is this much before the last moment at which what it is for may be begun.
const MARGIN: Millis = 1000;
/// What a launch may take: for the registrations that follow there is so much less time.
const LAUNCH_TIME: Duration = Duration::from_secs(3);
/// So few registrations are taken together with their launch, where nobody else waits: then a launch that gives nothing
/// starves nobody.
const FEW: u32 = 3;
/// How often a smaller block is tried where others were faster.
const TRIES: u32 = 3;
/// Whoever finds no room comes back after this at the earliest.
const SOON: Millis = 1000;

/// When something may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Then.
    At(Millis),
    /// Not in this look; there may be room then.
    NotBefore(Millis),
}

/// What a process did without asking the ledger, and pays with its next turns. A look that launches a single instance, as
/// most do, owes for it rather than pay with a call of its own; so at any time each process owes for one.
#[derive(Debug, Default)]
pub struct Owed {
    launches: AtomicU32,
    registrations: AtomicU32,
}

/// What launches may go.
#[derive(Clone, Debug, Default)]
pub(super) struct Granted {
    /// When each of them may.
    pub(super) launches: Vec<Millis>,
    /// How many instances they may give in all.
    pub(super) room: u32,
    /// When there may be room for the others.
    pub(super) later: Millis,
}

impl Granted {
    /// The first of them went, for so many instances.
    pub(super) fn use_up(&mut self, count: u32) {
        if !self.launches.is_empty() {
            self.launches.remove(0);
        }
        self.room = self.room.saturating_sub(count);
    }
}

/// Takes turns for launches of so many instances each, or for the first of them.
pub(super) async fn launches<P: Ports>(deps: &Deps<P>, task: &Task<'_>, counts: &[u32]) -> Granted {
    let now = deps.clock.now();
    let wanted: u32 = counts.iter().sum();
    let all = || Granted { launches: vec![now; counts.len()], room: wanted, later: now };
    let (ec2, registrations) = (rate(deps, Bucket::Ec2), registration_rates(deps, task));
    let owed = deps.owed.launches.load(Relaxed);
    if counts.is_empty() || (ec2.is_empty() && registrations.is_empty()) {
        return all();
    }
    if wanted == 1 && owed == 0 && deps.owed.registrations.load(Relaxed) == 0 {
        deps.owed.launches.store(1, Relaxed);
        deps.owed.registrations.store(1, Relaxed);
        task.paid.set(task.paid.get() + 1);
        return all();
    }
    let mut known = Fulls::default();
    if counts.len() == 1 && wanted <= FEW {
        let n = wanted + deps.owed.registrations.load(Relaxed);
        let at_once = |(bucket, rate): &(Bucket, Rate), n| rate.take(*bucket, n, now, Duration::ZERO);
        let of = ec2.iter().map(|it| at_once(it, 1 + owed)).chain(registrations.iter().map(|it| at_once(it, n)));
        match ask(deps, now, of.collect()).await {
            Some(Taken::No(full)) => known = full,
            taken => {
                if taken.is_some() {
                    deps.owed.pay();
                }
                task.paid.set(task.paid.get() + wanted);
                return all();
            }
        }
    }
    let left = time_left(task, now);
    let after = left.saturating_sub(LAUNCH_TIME);
    for _ in 0..TRIES {
        let room = fits(&registrations, &known, now, after).min(wanted);
        let n = fits(&ec2, &known, now, left.min(LONGEST)).saturating_sub(owed).min(parts(counts, room));
        if n == 0 {
            break;
        }
        let taken = ec2.iter().map(|(bucket, rate)| rate.take(*bucket, n + owed, now, left.min(LONGEST)));
        let room = registrations.iter().map(|(bucket, rate)| rate.room(*bucket, room, now, after));
        match ask(deps, now, taken.chain(room).collect()).await {
            None => return all(),
            Some(Taken::No(full)) => known = full,
            Some(Taken::Yes(full)) => {
                deps.owed.launches.store(0, Relaxed);
                let launches = (0..n).rev().map(|behind| due(&ec2, &full, behind, now)).collect();
                let room = fits(&registrations, &full, now, after).min(wanted);
                let later = later(ec2.iter().chain(&registrations), &full, now);
                return Granted { launches, room, later };
            }
        }
    }
    let later = later(ec2.iter().chain(&registrations), &known, now);
    info!(
        fleet.name = task.fleet.name,
        wait_ms = later - now,
        "No room for launches of {} at present",
        task.fleet.name
    );
    Granted { later, ..Granted::default() }
}

/// Takes turns for `n` registrations of the fleet, or for the first of them: those before have theirs earlier.
pub(super) async fn registrations<P: Ports>(deps: &Deps<P>, task: &Task<'_>, n: usize) -> Vec<Turn> {
    let now = deps.clock.now();
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let paid = task.paid.get().min(n);
    task.paid.set(task.paid.get() - paid);
    let mut turns = vec![Turn::At(now); paid as usize];
    let n = n - paid;
    let rates = registration_rates(deps, task);
    if n == 0 || rates.is_empty() {
        turns.extend((0..n).map(|_| Turn::At(now)));
        return turns;
    }
    let (owed, left) = (deps.owed.registrations.load(Relaxed), time_left(task, now));
    let mut known = Fulls::default();
    let mut given = 0;
    for _ in 0..TRIES {
        let go = fits(&rates, &known, now, left).saturating_sub(owed).min(n);
        if go == 0 {
            break;
        }
        let of = rates.iter().map(|(bucket, rate)| rate.take(*bucket, go + owed, now, left)).collect();
        match ask(deps, now, of).await {
            None => {
                turns.extend((0..n).map(|_| Turn::At(now)));
                return turns;
            }
            Some(Taken::No(full)) => known = full,
            Some(Taken::Yes(full)) => {
                deps.owed.registrations.store(0, Relaxed);
                turns.extend((0..go).rev().map(|behind| Turn::At(due(&rates, &full, behind, now))));
                (known, given) = (full, go);
                break;
            }
        }
    }
    let later = later(rates.iter(), &known, now);
    if given < n {
        info!(fleet.name = task.fleet.name, wait_ms = later - now, "No room for {} registrations", n - given);
    }
    turns.extend((given..n).map(|_| Turn::NotBefore(later)));
    turns
}

/// Takes a turn at EC2 for a start, and waits for it; or says when there may be one.
pub(super) async fn start<P: Ports>(deps: &Deps<P>, task: &Task<'_>) -> Result<(), Millis> {
    let now = deps.clock.now();
    let ec2 = rate(deps, Bucket::Ec2);
    let of: Vec<Take> = ec2.iter().map(|(bucket, rate)| rate.take(*bucket, 1, now, time_left(task, now))).collect();
    if of.is_empty() {
        return Ok(());
    }
    match ask(deps, now, of).await {
        None => Ok(()),
        Some(Taken::No(full)) => Err(later(ec2.iter(), &full, now)),
        Some(Taken::Yes(full)) => {
            wait(deps, due(&ec2, &full, 0, now)).await;
            Ok(())
        }
    }
}

/// Takes another turn at SSM for what it did not take in the first; whether there is time for that.
pub(super) async fn once_more<P: Ports>(deps: &Deps<P>, task: &Task<'_>) -> bool {
    let now = deps.clock.now();
    let ssm = rate(deps, Bucket::Ssm);
    let of = ssm.iter().map(|(bucket, rate)| rate.take(*bucket, 1, now, time_left(task, now))).collect::<Vec<_>>();
    if of.is_empty() || deps.clock.now() + TIME_NEEDED > task.deadline {
        return false;
    }
    match ask(deps, now, of).await {
        None => true,
        Some(Taken::No(_)) => false,
        Some(Taken::Yes(full)) => {
            wait(deps, due(&ssm, &full, 0, now)).await;
            true
        }
    }
}

/// Waits until then.
pub(super) async fn wait<P: Ports>(deps: &Deps<P>, until: Millis) {
    let wait = until.saturating_sub(deps.clock.now());
    if wait > 0 {
        deps.clock.sleep(Duration::from_millis(wait)).await;
    }
}

impl Owed {
    fn pay(&self) {
        self.launches.store(0, Relaxed);
        self.registrations.store(0, Relaxed);
    }
}

/// What came of it; none where the ledger does not answer.
async fn ask<P: Ports>(deps: &Deps<P>, now: Millis, of: Vec<Take>) -> Option<Taken> {
    match deps.ledger.take(&Takes { now: now * 1000, of }).await {
        Ok(taken) => Some(taken),
        Err(error) => {
            warn!(error = %Chain(&error), "Going on without turns");
            None
        }
    }
}

fn rate<P: Ports>(deps: &Deps<P>, bucket: Bucket) -> Vec<(Bucket, Rate)> {
    deps.limits.rate(bucket).map(|rate| (bucket, rate)).into_iter().collect()
}

/// What a registration takes a turn at.
fn registration_rates<P: Ports>(deps: &Deps<P>, task: &Task<'_>) -> Vec<(Bucket, Rate)> {
    let mut rates = rate(deps, Bucket::GitHub);
    if task.fleet.handover == Handover::Ssm {
        rates.extend(rate(deps, Bucket::Ssm));
    }
    rates
}

fn time_left(task: &Task<'_>, now: Millis) -> Duration {
    Duration::from_millis(task.deadline.saturating_sub(now + TIME_NEEDED + MARGIN))
}

/// How many come out of all these buckets within `longest`.
fn fits(rates: &[(Bucket, Rate)], full: &Fulls, now: Millis, longest: Duration) -> u32 {
    let fits = |(bucket, rate): &(Bucket, Rate)| rate.fits(full.get(bucket).copied().unwrap_or(0), now, longest);
    rates.iter().map(fits).min().unwrap_or(u32::MAX)
}

/// When a turn of a block is, `behind` which there are so many.
fn due(rates: &[(Bucket, Rate)], full: &Fulls, behind: u32, now: Millis) -> Millis {
    let due = |(bucket, rate): &(Bucket, Rate)| rate.due(full.get(bucket).copied().unwrap_or(0), behind).div_ceil(1000);
    rates.iter().map(due).max().unwrap_or(0).max(now)
}

/// When all that was taken so far has had its turn.
fn later<'a>(rates: impl Iterator<Item = &'a (Bucket, Rate)>, full: &Fulls, now: Millis) -> Millis {
    let latest = rates.map(|it| due(std::slice::from_ref(it), full, 0, now)).max();
    latest.unwrap_or(now).max(now + SOON)
}

/// How many of `counts`, from the first on, `room` has a part of.
fn parts(counts: &[u32], room: u32) -> u32 {
    let mut left = room;
    let began = counts.iter().take_while(|count| {
        let begins = left > 0;
        left = left.saturating_sub(**count);
        begins
    });
    u32::try_from(began.count()).unwrap_or(u32::MAX)
}
