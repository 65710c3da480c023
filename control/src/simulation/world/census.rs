//! The ports that reconcile has beside the others'.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use super::{Fault, Port, STALE, github::github_fault, ledger::ledger_fault};
use crate::{
    clock::Millis,
    compute::instances::{DescribeError, Instances, Seen},
    decide::{
        jobs::JobState,
        reconcile::{
            deaths::AtEc2,
            deaths::AtGitHub,
            deliveries::Failed,
            gaps::Delivered,
            leftovers::{Listed, Registration},
        },
    },
    fleets::Target,
    github::{
        self, GitHubError,
        watch::{FailedPage, Hook, Redelivery, Watch},
    },
    handlers::reconcile,
    handover::{HandoverError, leftovers::Leftovers},
    ledger::{Census, Committed, Heard, Job, JobPage, LedgerError},
    report::Failure,
};

#[derive(Debug, Default)]
pub struct Known {
    pub heard: RefCell<BTreeMap<(String, String), Millis>>,
    pub texts: RefCell<BTreeMap<String, String>>,
    /// Instances. Those that were ended are in [`super::World::dead`].
    pub instances: RefCell<BTreeMap<String, Seen>>,
    /// Those of them that are another deployment's.
    pub others: RefCell<BTreeSet<String>>,
    /// When registrations were put.
    pub put_at: RefCell<BTreeMap<String, Millis>>,
    /// What failed, by its time and id.
    pub failed: RefCell<BTreeMap<(Millis, u64), Failed>>,
    /// When GitHub delivered last.
    pub delivered: Cell<Delivered>,
    /// What was sent again.
    pub redelivered: RefCell<Vec<u64>>,
    /// Jobs that are not understood.
    pub unread_jobs: RefCell<Vec<String>>,
    /// What jobs were before they were changed just now, and when.
    pub previous: RefCell<BTreeMap<u64, (Millis, Option<Job>)>>,
    /// When instances ended.
    pub ended_at: RefCell<BTreeMap<String, Millis>>,
    /// Deliveries that GitHub has forgotten.
    pub forgotten: RefCell<BTreeSet<u64>>,
}

impl reconcile::Ports for Port {
    type Ledger = Self;
    type Compute = Self;
    type GitHub = Self;
    type Handover = Self;
    type Wake = Self;
    type Clock = Self;
}

impl Heard for Port {
    async fn hear(&self, fleet: &str, instance: &str, at: Millis) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.hear").await)?;
        let mut heard = self.0.census.heard.borrow_mut();
        let known = heard.entry((fleet.to_owned(), instance.to_owned())).or_default();
        *known = at.max(*known);
        Ok(())
    }

    async fn heard(&self, fleet: &str) -> Result<BTreeMap<String, Millis>, LedgerError> {
        ledger_fault(self.0.call("ledger.heard").await)?;
        let heard = self.0.census.heard.borrow();
        Ok(heard.iter().filter(|((of, _), _)| of == fleet).map(|((_, id), at)| (id.clone(), *at)).collect())
    }
}

impl Census for Port {
    async fn text(&self, key: &str) -> Result<Option<String>, LedgerError> {
        ledger_fault(self.0.call("ledger.text").await)?;
        Ok(self.0.census.texts.borrow().get(key).cloned())
    }

    async fn note_text(&self, key: &str, text: &str, _: u64) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.note_text").await)?;
        self.0.census.texts.borrow_mut().insert(key.to_owned(), text.to_owned());
        self.0.answered().await;
        Ok(())
    }

    async fn open_jobs(&self, from: Option<&str>) -> Result<JobPage, LedgerError> {
        ledger_fault(self.0.call("ledger.open_jobs").await)?;
        let from: u64 = from.map_or(0, |from| from.parse().unwrap());
        let ledger = self.0.ledger.borrow();
        let page: Vec<&Job> = ledger.jobs.range(from + 1..).take(self.0.page.get()).map(|(_, job)| job).collect();
        let next = page.last().filter(|_| page.len() == self.0.page.get()).map(|job| job.id.to_string());
        let (previous, now) = (self.0.census.previous.borrow(), self.0.now.get());
        let read = |job: &Job| match previous.get(&job.id) {
            Some((at, before)) if at + STALE > now => before.clone(),
            _ => Some(job.clone()),
        };
        let jobs = page.into_iter().filter_map(read).filter(|job| job.state != JobState::Done).collect();
        Ok(JobPage { jobs, unread: self.0.census.unread_jobs.borrow().clone(), next })
    }

    async fn mend(&self, fleet: &str, seen: u64, rev: u64, alive: u64) -> Result<Committed, LedgerError> {
        ledger_fault(self.0.call("ledger.mend").await)?;
        {
            let mut ledger = self.0.ledger.borrow_mut();
            let meta = ledger.metas.entry(fleet.to_owned()).or_default();
            if (meta.alive, meta.rev) != (seen, rev) {
                return Ok(Committed::Conflict);
            }
            meta.alive = alive;
        }
        self.0.answered().await;
        Ok(Committed::Yes)
    }
}

impl Port {
    fn ec2(&self, id: &str) -> AtEc2 {
        if self.0.is_new(id) || (self.0.dead.borrow().contains(id) && !self.0.lingers(id)) {
            return AtEc2::Gone;
        }
        if self.0.asleep.borrow().get(id).is_some_and(|at| *at <= self.0.now.get()) {
            return AtEc2::Stopped;
        }
        self.0.census.instances.borrow().get(id).map_or(AtEc2::Gone, |seen| seen.state)
    }
}

fn describe_fault(fault: Option<&Fault>) -> Result<(), DescribeError> {
    fault.map_or(Ok(()), |_| Err(DescribeError(Failure::new("asking EC2", "a fault"))))
}

impl Instances for Port {
    async fn states(&self, ids: &[String]) -> Result<BTreeMap<String, AtEc2>, DescribeError> {
        describe_fault(self.0.call("compute.states").await.as_ref())?;
        Ok(ids.iter().map(|id| (id.clone(), self.ec2(id))).collect())
    }

    async fn ours(&self, _: &str, from: Option<&str>) -> Result<(Vec<Seen>, Option<String>), DescribeError> {
        describe_fault(self.0.call("compute.ours").await.as_ref())?;
        let from = from.unwrap_or_default();
        let all = self.0.census.instances.borrow();
        let others = self.0.census.others.borrow();
        let ours = all.values().filter(|it| it.id.as_str() > from && !others.contains(&it.id));
        let there = ours.filter(|it| self.ec2(&it.id) != AtEc2::Gone);
        let page: Vec<Seen> = there.take(self.0.page.get()).cloned().collect();
        let next = page.last().filter(|_| page.len() == self.0.page.get()).map(|it| it.id.clone());
        Ok((page, next))
    }
}

impl Watch for Port {
    async fn standing(&self, _: &Target, name: &str) -> Result<AtGitHub, GitHubError> {
        github_fault(self.0.call("github.standing").await.as_ref())?;
        let runners = self.0.runners.borrow();
        Ok(match runners.get(name).map(|it| (it.online, it.busy)) {
            None => AtGitHub::Absent,
            Some((true, _)) => AtGitHub::Online,
            Some((false, true)) => AtGitHub::Busy,
            Some((false, false)) => AtGitHub::Offline,
        })
    }

    async fn known_job(&self, _: &Target, _: &str, id: u64) -> Result<Option<github::Job>, GitHubError> {
        github_fault(self.0.call("github.known_job").await.as_ref())?;
        Ok(self.0.github_jobs.borrow().get(&id).cloned())
    }

    async fn runners(&self, _: &Target, page: u32) -> Result<(Vec<Listed>, bool), GitHubError> {
        github_fault(self.0.call("github.runners").await.as_ref())?;
        let all = self.0.runners.borrow();
        let skipped = usize::try_from(page - 1).unwrap() * self.0.page.get();
        let listed = |(name, it): (&String, &super::Registered)| Listed {
            id: it.id,
            name: name.clone(),
            online: it.online,
            busy: it.busy,
        };
        let listed: Vec<Listed> = all.iter().skip(skipped).take(self.0.page.get()).map(listed).collect();
        let more = listed.len() == self.0.page.get();
        Ok((listed, more))
    }

    async fn app_hooks(&self) -> Result<Vec<Hook>, GitHubError> {
        Ok(vec![Hook::App("4711".into())])
    }

    async fn failed(&self, hook: &Hook, cursor: Option<&str>) -> Result<FailedPage, GitHubError> {
        github_fault(self.0.call("github.failed").await.as_ref())?;
        if !matches!(hook, Hook::App(_)) {
            return Ok(FailedPage::default());
        }
        let all = self.0.census.failed.borrow();
        let before = cursor.map_or((Millis::MAX, u64::MAX), |it| serde_json::from_str(it).unwrap());
        let mut older = all.range(..before).rev();
        let failed: Vec<Failed> = older.by_ref().take(self.0.page.get()).map(|(_, it)| it.clone()).collect();
        let next = older.next().and(failed.last()).map(|it| serde_json::to_string(&(it.at, it.id)).unwrap());
        Ok(FailedPage { failed, next })
    }

    async fn delivered(&self, _: &Hook) -> Result<Delivered, GitHubError> {
        github_fault(self.0.call("github.delivered").await.as_ref())?;
        Ok(self.0.census.delivered.get())
    }

    async fn redeliver(&self, _: &Hook, id: u64) -> Result<Redelivery, GitHubError> {
        github_fault(self.0.call("github.redeliver").await.as_ref())?;
        if self.0.census.forgotten.borrow().contains(&id) {
            return Ok(Redelivery::Gone);
        }
        self.0.note(format_args!("GitHub: delivery {id} is made again, as control asks"));
        self.0.census.redelivered.borrow_mut().push(id);
        self.0.answered().await;
        Ok(Redelivery::Accepted)
    }
}

impl Leftovers for Port {
    async fn waiting(&self, from: Option<&str>) -> Result<(Vec<Registration>, Option<String>), HandoverError> {
        if self.0.call("handover.waiting").await.is_some() {
            return Err(HandoverError::Transient(Failure::new("listing", "a fault")));
        }
        let from = from.unwrap_or_default();
        let at = |id: &String| self.0.census.put_at.borrow().get(id).copied().unwrap_or_default();
        let parameters = self.0.parameters.borrow();
        let page: Vec<Registration> = parameters
            .keys()
            .filter(|id| id.as_str() > from)
            .take(self.0.page.get())
            .map(|id| Registration { instance: id.clone(), at: at(id) })
            .collect();
        let next = page.last().filter(|_| page.len() == self.0.page.get()).map(|it| it.instance.clone());
        Ok((page, next))
    }
}
