//! Runs schedules when they are due.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use tokio::{sync::Notify, time::sleep};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    answer::{Answer, Outcome},
    functions::Functions,
    gate::{Gate, Hold},
    lock,
    model::Schedule,
    schedule_event::event,
    task::Task,
};

/// All schedules and the task that runs them.
#[derive(Debug)]
pub(crate) struct Schedules {
    shared: Arc<Shared>,
    _task: Task,
}

#[derive(Debug)]
struct Shared {
    functions: Arc<Functions>,
    plan: Mutex<Vec<Planned>>,
    changed: Notify,
    gate: Arc<Gate>,
}

/// A schedule with its next run.
#[derive(Clone, Debug, PartialEq)]
struct Planned {
    schedule: Schedule,
    /// When it was first seen: rates count from here.
    since: Timestamp,
    next: Option<Timestamp>,
}

impl Schedules {
    /// Starts without any.
    pub(crate) fn start(functions: Arc<Functions>) -> Self {
        let shared =
            Arc::new(Shared { functions, plan: Mutex::default(), changed: Notify::new(), gate: Arc::default() });
        let task = Task::spawn(Arc::clone(&shared).run());
        Self { shared, _task: task }
    }

    /// Goes over to these. One that is unchanged keeps its rhythm.
    pub(crate) fn set(&self, schedules: Vec<Schedule>) {
        let mut plan = lock(&self.shared.plan);
        *plan = merge(&plan, schedules, Timestamp::now());
        drop(plan);
        self.shared.changed.notify_one();
    }

    /// Leaves out what is due until the answer is dropped; none is running once it is given.
    pub(crate) async fn hold(&self) -> Hold {
        Arc::clone(&self.shared.gate).close().await
    }

    /// Runs one now, beside its rhythm: an answer for each of its targets.
    pub(crate) async fn run_now(&self, name: &str) -> Result<Vec<Answer>> {
        let named: Vec<Schedule> =
            lock(&self.shared.plan).iter().map(|planned| planned.schedule.clone()).filter(|s| s.name == name).collect();
        ensure!(!named.is_empty(), "schedule is {name:?}, which does not exist or leads to no function");
        let mut answers = Vec::new();
        for schedule in named {
            answers.push(self.shared.invoke(&schedule, Timestamp::now()).await?);
        }
        Ok(answers)
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        loop {
            let now = Timestamp::now();
            let (runs, next) = due(&mut lock(&self.plan), now);
            for (schedule, at) in runs {
                let shared = Arc::clone(&self);
                tokio::spawn(async move { shared.run_one(&schedule, at).await });
            }
            // The machine's clock may be set meanwhile, so never for long.
            let wait =
                next.map_or(Duration::MAX, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
            tokio::select! {
                () = sleep(wait.min(Duration::from_secs(10))) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    async fn run_one(&self, schedule: &Schedule, at: Timestamp) {
        let (name, function) = (&schedule.name, &schedule.function);
        let Some(_inside) = self.gate.enter() else {
            info!(schedule.name = name, function.name = function, "Schedule {name} is held");
            return;
        };
        match self.invoke(schedule, at).await {
            Ok(answer) if answer.outcome == Outcome::Success => {
                info!(schedule.name = name, function.name = function, "Schedule {name} ran");
            }
            Ok(answer) => warn!(
                schedule.name = name,
                function.name = function,
                request.id = answer.request,
                "Schedule {name} ended {:?}",
                answer.outcome
            ),
            Err(error) => warn!(schedule.name = name, error = format!("{error:#}"), "Could not run schedule {name}"),
        }
    }

    async fn invoke(&self, schedule: &Schedule, at: Timestamp) -> Result<Answer> {
        self.functions.invoke(&schedule.function, event(schedule, at, &Uuid::new_v4().to_string())).await
    }
}

/// Takes over new schedules; those that are the same go on as planned.
fn merge(plan: &[Planned], schedules: Vec<Schedule>, now: Timestamp) -> Vec<Planned> {
    let planned = |schedule: Schedule| match plan.iter().find(|planned| planned.schedule == schedule) {
        Some(planned) => planned.clone(),
        None => Planned { next: schedule.when.next(now, now, &schedule.zone), since: now, schedule },
    };
    schedules.into_iter().map(planned).collect()
}

/// What is due at `now`, each once however often it was missed, and when to look again.
fn due(plan: &mut [Planned], now: Timestamp) -> (Vec<(Schedule, Timestamp)>, Option<Timestamp>) {
    let mut runs = Vec::new();
    for planned in plan.iter_mut() {
        if let Some(at) = planned.next.filter(|at| *at <= now) {
            runs.push((planned.schedule.clone(), at));
            planned.next = planned.schedule.when.next(now, planned.since, &planned.schedule.zone);
        }
    }
    (runs, plan.iter().filter_map(|planned| planned.next).min())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::{model::Scheduler, when::When};

    fn schedule(name: &str, when: &str) -> Schedule {
        Schedule {
            name: name.to_owned(),
            arn: String::new(),
            function: "f".to_owned(),
            when: When::parse(when).unwrap(),
            zone: TimeZone::UTC,
            input: None,
            by: Scheduler::Rule,
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn names(runs: &[(Schedule, Timestamp)]) -> Vec<&str> {
        runs.iter().map(|(schedule, _)| schedule.name.as_str()).collect()
    }

    #[test]
    fn each_runs_when_due_and_then_waits() {
        let schedules = vec![schedule("a", "rate(1 minute)"), schedule("b", "cron(0/5 * * * ? *)")];
        let mut plan = merge(&[], schedules, at("12:00:30"));
        assert_eq!(due(&mut plan, at("12:01:29")), (vec![], Some(at("12:01:30"))));
        let (runs, next) = due(&mut plan, at("12:01:31"));
        assert_eq!((names(&runs), next), (vec!["a"], Some(at("12:02:30"))));
        assert_eq!(due(&mut plan, at("12:01:32")).0, vec![]);
    }

    #[test]
    fn after_a_long_sleep_each_runs_once() {
        let mut plan = merge(&[], vec![schedule("a", "rate(1 minute)")], at("12:00:00"));
        let (runs, next) = due(&mut plan, at("13:00:10"));
        assert_eq!((names(&runs), next), (vec!["a"], Some(at("13:01:00"))));
        assert_eq!(runs[0].1, at("12:01:00"), "told when it should have run");
    }

    #[test]
    fn looking_again_does_not_start_the_rhythm_over() {
        let plan = merge(&[], vec![schedule("a", "rate(5 minutes)")], at("12:00:00"));
        let again = merge(&plan, vec![schedule("a", "rate(5 minutes)")], at("12:04:00"));
        assert_eq!(again, plan);
        let changed = merge(&plan, vec![schedule("a", "rate(2 minutes)")], at("12:04:00"));
        assert_eq!(changed[0].next, Some(at("12:06:00")));
        assert!(merge(&plan, vec![], at("12:04:00")).is_empty());
    }
}
