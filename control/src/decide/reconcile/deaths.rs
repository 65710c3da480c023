//! Which runner is certainly dead.
//!
//! Two have to agree: the agent, which is silent past its deadline, and EC2 or GitHub. The ledger's own opinion that a
//! runner has no job is not enough to end its instance: the webhook that would say otherwise may be the one that got
//! lost. GitHub's `busy` is not enough either: it lags by a minute and has been seen to turn false in mid-job.
//!
//! | agent | EC2 | GitHub | ledger, and more | verdict |
//! |---|---|---|---|---|
//! | heard within its time | any | any | any | keep |
//! | silent | not asked, or shutting down | any | any | keep: the next look knows more |
//! | silent | gone | any | any | forget: there is nothing left to end |
//! | silent | there | not asked, online, or busy | any | keep: its messages are lost, not the runner |
//! | silent | stopped | offline or absent | busy, its job over; or not busy | end: nothing runs there |
//! | silent | runs | offline or absent | busy, its job over; of one that takes several: and so for [`DARK`] at every look | end |
//! | silent | there | offline or absent | busy, its job not over or not known | keep |
//! | silent, as is everybody | runs | offline or absent | stands by | keep for hours: nobody's messages come through ([`super::voices`]) |
//! | silent | runs | offline or absent | not busy; it never claimed its registration | end: it can't have had a job |
//! | silent | runs | offline or absent | not busy; so for [`DARK`] at every look | end: GitHub has given up any job by then |
//! | silent | runs | offline or absent | not busy; otherwise | keep |

use std::time::Duration;

use super::Since;
use crate::{
    clock::Millis,
    decide::{pool::is_unstarted, runners::RunnerState},
    ledger::{Reuse, Runner},
};

/// For so long GitHub must not have seen a silent runner of a running instance, at every look, before that is ended
/// without knowing that it never had a job. GitHub fails the job of a runner that it has lost after 10 to 15 minutes.
pub const DARK: Duration = Duration::from_mins(30);

/// What EC2 says of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEc2 {
    /// `pending` or `running`.
    Running,
    /// `stopped`.
    Stopped,
    /// `shutting-down` or `stopping`.
    Ending,
    /// `terminated`, or no longer known.
    Gone,
    /// It was not asked, or did not answer.
    Unasked,
}

/// What GitHub says of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtGitHub {
    /// It is connected.
    Online,
    /// It is not connected, and counts as busy.
    Busy,
    /// It is not connected, and has no job.
    Offline,
    /// There is none of its name.
    Absent,
    /// GitHub was not asked, or did not answer.
    Unasked,
}

/// What is known of the jobs of a runner that is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItsJob {
    /// One may run, or none is known by name.
    MayRun,
    /// All that are known of are over, and it can't have another ([`may_have_another`]).
    Over,
}

/// What is seen of one runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the table")]
pub struct Sighting {
    /// What the ledger takes it for.
    pub state: RunnerState,
    /// Whether its agent has not been heard of within its time.
    pub silent: bool,
    /// Whether it stands by, and is left alone since nobody is heard.
    pub spared: bool,
    /// EC2's word.
    pub ec2: AtEc2,
    /// GitHub's word.
    pub github: AtGitHub,
    /// Whether it is certain that it never claimed its registration.
    pub unclaimed: bool,
    /// Whether GitHub has not seen it for [`DARK`], at every look.
    pub dark: bool,
    /// Of one that is busy.
    pub job: ItsJob,
}

/// What becomes of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// Its instance is gone: it is taken out of the ledger.
    Forget,
    /// It is taken out of the ledger, and its instance is ended.
    End,
}

/// Judges by the table above.
#[must_use]
pub fn verdict(it: &Sighting) -> Verdict {
    if !it.silent || !it.state.is_alive() {
        return Verdict::Keep;
    }
    let unseen = matches!(it.github, AtGitHub::Offline | AtGitHub::Absent);
    let idle = it.state != RunnerState::Busy;
    let idle_for_sure = it.ec2 == AtEc2::Stopped || ((it.unclaimed || it.dark) && !it.spared);
    let no_job = if idle { idle_for_sure } else { it.job == ItsJob::Over };
    match it.ec2 {
        AtEc2::Gone => Verdict::Forget,
        AtEc2::Running | AtEc2::Stopped if unseen && no_job => Verdict::End,
        AtEc2::Running | AtEc2::Stopped | AtEc2::Unasked | AtEc2::Ending => Verdict::Keep,
    }
}

/// Whether the agent of `runner`, `heard` last then, is past its deadline. One that was never heard has until its boot
/// deadline, and so has one that was started since, or is to be. Of one that is stopped nothing is to be heard.
#[must_use]
pub fn is_silent(runner: &Runner, heard: Option<Millis>, silence: Duration, now: Millis) -> bool {
    let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
    let booted_at = runner.launched_at.max(runner.stops.started_at.unwrap_or(0));
    // What is given to a job and not started is given back by scale-up long before its boot deadline.
    let of_this_boot = |at: &Millis| runner.stops.started_at.is_none_or(|started| *at >= started);
    let heard = heard.filter(|at| of_this_boot(at) && !is_unstarted(runner));
    let since = heard.unwrap_or(booted_at).max(booted_at);
    let deadline = since.saturating_add(silence);
    let deadline = if heard.is_none() { deadline.max(runner.boot_deadline) } else { deadline };
    runner.state.is_alive() && !runner.state.is_asleep() && deadline <= now
}

/// Whether `name` has been unseen by GitHub for [`DARK`], where it is seen to be so now.
pub fn is_dark(unseen: &mut Since, name: &str, now: Millis) -> bool {
    let dark = u64::try_from(DARK.as_millis()).unwrap_or(u64::MAX);
    unseen.see(name, now).saturating_add(dark) <= now
}

/// Whether `runner`, whose known jobs are over, may have one that nobody told of: a reusable one takes the next at once, and the
/// webhook of that may be lost. Only what GitHub has not seen for [`DARK`] (`dark`), or what EC2 says is stopped, has none.
#[must_use]
pub fn may_have_another(runner: &Runner, ec2: AtEc2, dark: bool) -> bool {
    runner.reuse.is_some() && !dark && ec2 != AtEc2::Stopped
}

/// The ids of the jobs that `runner` was heard to have: a reusable one's that run, or the one that its history tells of.
#[must_use]
pub fn jobs_of(runner: &Runner) -> Vec<u64> {
    if let Some(Reuse { running, .. }) = &runner.reuse {
        return running.clone();
    }
    let busy = runner.history.entries().iter().filter(|it| it.what == RunnerState::Busy.name());
    busy.filter_map(|it| it.detail.strip_prefix("job ")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
