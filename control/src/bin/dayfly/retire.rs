//! `dayfly retire`: the end of a runner that has no job.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    aws::calls::Caller,
    clock::{Clock, Millis, SystemClock},
    config::Role,
    decide::{reconcile::drained::Stays, runners::RunnerState},
    github::lazy::LazyApp,
    handlers::retire::{Retired, retire},
    ledger::{Ledger, Runner},
};

use crate::{
    deployed,
    output::{say, span},
    place::{Connected, Place, block},
};

/// How often the ledger is looked at with --wait.
const LOOK: Duration = Duration::from_secs(2);

/// Retires a runner that has no job: it is deleted at GitHub, gets no job any more, and its agent ends the instance. One
/// that has a job, by the ledger or by GitHub, is refused.
///
/// It needs the permission to read the App's key (as the function lifecycle has it), and lambda:GetFunctionConfiguration.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The instance's id, or the runner's name.
    #[arg(value_name = "INSTANCE|RUNNER")]
    who: String,
    #[command(flatten)]
    place: Place,
    /// Waits until the instance has ended, and fails where it does not.
    #[arg(long)]
    wait: bool,
    /// For how many seconds --wait waits.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait_seconds: u64,
}

pub(crate) fn run(asked: &Retire) -> Result<()> {
    let who = Who::read(&asked.who)?;
    block(async {
        let deployment = asked.place.deployment()?;
        let place = asked.place.connect().await?;
        let runner = find(&place, &who).await?;
        // GitHub is not set up for one that may not be retired in any case.
        if let Some(refusal) = dayfly_control::decide::reconcile::drained::may_retire(&runner)
            .err()
            .map(|why| refusal(&runner, Retired::Stays(why)))
        {
            bail!("{refusal}");
        }
        let config = deployed::config(&Caller::new(&place.sdk), &deployment, Role::Lifecycle).await?;
        let github = LazyApp::new(aws_sdk_ssm::Client::new(&place.sdk), config.github, place.ledger.clone());
        match retire(&github, &runner).await? {
            Retired::Deleted => {}
            other => bail!("{}", refusal(&runner, other)),
        }
        let instance = &runner.instance;
        say(&format!(
            "GitHub has no runner {} any more: it gets no job. Its agent sees that and ends {instance}.\n",
            names::runner_name(&runner.fleet, instance)
        ))?;
        if asked.wait { wait(asked, &place, &runner).await } else { Ok(()) }
    })
}

/// Whom a person means.
#[derive(Debug, PartialEq, Eq)]
enum Who {
    Instance(String),
    Runner { fleet: String, instance: String },
}

impl Who {
    fn read(text: &str) -> Result<Self> {
        let is_instance = |it: &str| {
            let hex = it.strip_prefix("i-").unwrap_or_default();
            matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if is_instance(text) {
            return Ok(Self::Instance(text.to_owned()));
        }
        let named = names::instance_of_runner(text)
            .and_then(|instance| Some((text.strip_suffix(instance)?.strip_suffix('-')?, instance)));
        match named {
            Some((fleet, instance)) if names::is_name(fleet) && is_instance(instance) => {
                Ok(Self::Runner { fleet: fleet.to_owned(), instance: instance.to_owned() })
            }
            _ => bail!(
                "INSTANCE|RUNNER: found \"{text}\", expected an instance's id such as i-0123456789abcdef0, or a runner's \
                 name such as linux-x64-i-0123456789abcdef0"
            ),
        }
    }
}

async fn find(place: &Connected, who: &Who) -> Result<Runner> {
    let (found, instance) = match who {
        Who::Runner { fleet, instance } => {
            (place.ledger.runner(fleet, instance).await.map_err(|error| place.explained(error))?, instance)
        }
        Who::Instance(instance) => {
            let all = place.ledger.runners(None).await.map_err(|error| place.explained(error))?;
            (all.into_iter().find(|it| it.instance == *instance), instance)
        }
    };
    match found {
        Some(runner) => Ok(runner),
        None => bail!("the ledger has no runner on {instance}: it has ended, or it never was one of this deployment"),
    }
}

/// Why nothing was done.
fn refusal(runner: &Runner, came: Retired) -> String {
    let Runner { instance, .. } = runner;
    match came {
        Retired::Stays(Stays::Busy) => {
            let last = runner.history.entries().iter().rev().find(|it| it.what == RunnerState::Busy.name());
            let job = last.map_or_else(|| "a job".to_owned(), |it| it.detail.clone());
            format!("{instance} has {job}, and is left alone: it ends with its job")
        }
        Retired::Stays(Stays::Working) => format!("{instance} has a job by its agent's word, and is left alone"),
        Retired::Stays(Stays::Starting) => {
            format!("{instance} boots, and its registration is on the way: try again once it is registered")
        }
        Retired::Stays(Stays::Ready) => format!(
            "{instance} stands by for the pool of {fleet}, and has no runner yet: a smaller pool lets it go, or `dayfly drain \
             {fleet}`",
            fleet = runner.fleet
        ),
        Retired::Stays(Stays::Leaving) => format!("{instance} has been told to go, and is on its way"),
        Retired::Stays(Stays::Ended) => format!("{instance} has ended already"),
        Retired::GotJob => format!("{instance} has just got a job by GitHub, and is left alone: it ends with its job"),
        Retired::GoneBefore => format!(
            "GitHub has no runner {} any more: it retires already, or its job is over",
            names::runner_name(&runner.fleet, instance)
        ),
        // Not asked for.
        Retired::Deleted => String::new(),
    }
}

async fn wait(asked: &Retire, place: &Connected, runner: &Runner) -> Result<()> {
    let (clock, instance) = (SystemClock, &runner.instance);
    let began = clock.now();
    loop {
        let now = place.ledger.runner(&runner.fleet, instance).await.map_err(|error| place.explained(error))?;
        let waited = clock.now().saturating_sub(began);
        match ended(now.as_ref(), waited, asked.wait_seconds * 1000) {
            Some(Ok(())) => return say(&format!("{instance} has ended, after {}.\n", span(0, waited))),
            Some(Err(why)) => bail!("{instance} {why}"),
            None => clock.sleep(LOOK).await,
        }
    }
}

/// What the ledger tells after `waited` ms: the end, or why none is waited for any more.
fn ended(now: Option<&Runner>, waited: Millis, most: Millis) -> Option<Result<(), String>> {
    match now.map(|it| it.state) {
        None | Some(RunnerState::Gone | RunnerState::Spent) => Some(Ok(())),
        Some(RunnerState::Busy) => Some(Err("got a job in between: it runs, and ends with it".to_owned())),
        Some(_) if waited >= most => {
            let seconds = most / 1000;
            Some(Err(format!("has not told of its end for {seconds} s; reconcile ends it where it is dead")))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_control::decide::runners::RunnerState;

    use super::{Retired, Runner, Stays, Who, ended, refusal};
    use crate::runners::tests::runner;

    #[test]
    fn a_runner_is_named_by_its_instance_or_its_name() {
        let instance = "i-0123456789abcdef0";
        assert_eq!(Who::read(instance).unwrap(), Who::Instance(instance.into()));
        let named = Who::Runner { fleet: "linux-x64".into(), instance: instance.into() };
        assert_eq!(Who::read(&format!("linux-x64-{instance}")).unwrap(), named);
        for wrong in
            ["", "i-", "linux-x64", "i-xyz", "linux-x64-i-1", "-i-0123456789abcdef0", "Linux-i-0123456789abcdef0"]
        {
            let error = Who::read(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("INSTANCE|RUNNER: found \"{wrong}\", expected an instance's id")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let mut it = runner(RunnerState::Busy);
        it.history.add(1, "busy", "job 7");
        for (came, expected) in [
            (Retired::Stays(Stays::Busy), "has job 7, and is left alone"),
            (Retired::Stays(Stays::Working), "by its agent's word"),
            (Retired::Stays(Stays::Ready), "stands by for the pool of linux-x64"),
            (Retired::Stays(Stays::Leaving), "told to go"),
            (Retired::Stays(Stays::Starting), "try again once it is registered"),
            (Retired::Stays(Stays::Ended), "has ended already"),
            (Retired::GotJob, "has just got a job by GitHub"),
            (Retired::GoneBefore, "retires already"),
        ] {
            let said = refusal(&it, came);
            assert!(said.contains(expected) && said.contains("i-0000"), "{said}");
        }
    }

    #[test]
    fn an_end_is_waited_for_until_it_is_told_or_a_job_slips_in() {
        let at = |state, waited| ended(Some(&Runner { ..runner(state) }), waited, 10_000);
        assert_eq!(ended(None, 0, 10_000), Some(Ok(())));
        assert_eq!(at(RunnerState::Spent, 0), Some(Ok(())));
        assert_eq!((at(RunnerState::Registered, 9_999), at(RunnerState::Launched, 0)), (None, None));
        assert!(at(RunnerState::Busy, 0).unwrap().unwrap_err().contains("got a job"));
        assert!(at(RunnerState::Registered, 10_000).unwrap().unwrap_err().contains("for 10 s"));
    }
}
