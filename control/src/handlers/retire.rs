//! One runner without a job is retired, since a person or a drained fleet wants it: the first of two keys. It is deleted at
//! GitHub, which refuses that for one that has a job; then it gets none, its listener is told and exits, and its agent
//! ends the instance. The second key is the agent's: it sees a job that slips in between, and lets it run.

use dayfly_contract::names;

use crate::{
    decide::reconcile::drained::{Stays, may_retire},
    fleets::Target,
    github::{Deletion, GitHub, GitHubError},
    ledger::Runner,
};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// GitHub has it no more; its instance ends by itself.
    Deleted,
    /// It was gone at GitHub before: it retires already, or its job is over.
    GoneBefore,
    /// GitHub refuses: it has just been given a job.
    GotJob,
    /// By the ledger it may not be retired, and GitHub was not asked.
    Stays(Stays),
}

/// Retires `runner`, as the ledger has it now.
pub async fn retire(github: &impl GitHub, runner: &Runner) -> Result<Retired, GitHubError> {
    if let Err(why) = may_retire(runner) {
        return Ok(Retired::Stays(why));
    }
    // One without is gone already.
    let Some(scope) = runner.scope.clone() else { return Ok(Retired::Stays(Stays::Ended)) };
    let target = Target { scope, installation: runner.installation };
    let name = names::runner_name(&runner.fleet, &runner.instance);
    // What a reusable one is called there is known, and not its id. That of another is asked for as well: GitHub says
    // "gone" of an id that it never had.
    let Some(found) = github.find_runner(&target, &name).await? else { return Ok(Retired::GoneBefore) };
    // GitHub's `DELETE` has been seen to succeed on a busy one, and a reusable one may have a job that no webhook told of.
    if found.busy {
        return Ok(Retired::GotJob);
    }
    Ok(match github.delete_runner(&target, found.id).await? {
        Deletion::Gone => Retired::Deleted,
        Deletion::Busy => Retired::GotJob,
    })
}

#[cfg(test)]
mod tests {
    use super::{Retired, Stays, retire};
    use crate::{
        decide::runners::RunnerState,
        ledger::{
            Runner,
            tests::{instance, runner},
        },
        simulation::{
            runtime::run,
            world::{Fault, Registered, world},
        },
    };

    fn it(state: RunnerState) -> Runner {
        Runner { state, runner_id: Some(23), ..runner("linux-x64", 1) }
    }

    #[test]
    fn github_is_asked_only_where_the_ledger_shows_no_job() {
        let name = format!("linux-x64-{}", instance(1));
        for (state, busy, expected, deletes) in [
            (RunnerState::Registered, false, Retired::Deleted, 1),
            (RunnerState::Registered, true, Retired::GotJob, 0),
            // GitHub does not show it as busy yet, or would delete it all the same.
            (RunnerState::Busy, false, Retired::Stays(Stays::Busy), 0),
            (RunnerState::Launched, false, Retired::Stays(Stays::Starting), 0),
            (RunnerState::Spent, false, Retired::Stays(Stays::Ended), 0),
        ] {
            let port = world(1);
            let there = Registered { id: 23, online: true, busy, labels: vec![] };
            port.0.runners.borrow_mut().insert(name.clone(), there);
            assert_eq!(run(retire(&port, &it(state))).unwrap(), expected, "{state:?}");
            assert_eq!(port.0.called("github.delete_runner"), deletes, "{state:?}");
            assert_eq!(port.0.runners.borrow().is_empty(), expected == Retired::Deleted, "{state:?}");
        }
        let port = world(1);
        assert_eq!(run(retire(&port, &it(RunnerState::Registered))).unwrap(), Retired::GoneBefore);
        port.0.fault("github.find_runner", Fault::GitHubTransient);
        run(retire(&port, &it(RunnerState::Registered))).unwrap_err();
    }
}
