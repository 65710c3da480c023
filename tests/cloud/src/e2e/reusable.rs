//! A runner that registers itself by a token and takes jobs until there are none.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Grant, Kind, Reason};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::by_hand::{self, hand_over, launch, token};
use super::queue;
use super::secrets::finds_none_of;
use super::steps::{gone_for, ran_on, told};
use crate::cloud::{Cloud, job};
use crate::life;

pub(super) async fn a_reusable_runner_takes_jobs_until_it_is_idle(cloud: Arc<Cloud>) -> Result<()> {
    let config = json!({ "idle_seconds": 10, "retire_seconds": 2, "stop_seconds": 5 });
    let machine = launch(&cloud, &config).await?;
    let grant = token(&cloud).await?;
    let Grant::Token { registration_token, .. } = &grant else { anyhow::bail!("a JIT config") };
    // All but its first letter: what the script is compared with must not be found in the script.
    let secret = registration_token.expose_secret()[1..].to_owned();
    hand_over(&cloud, &machine, grant).await?;
    told(&machine, Kind::Listening).await?;
    for name in ["first", "second"] {
        let jobs = queue(&cloud, [job(name, &by_hand::LABELS, &finds_none_of(&[&secret]))])?;
        ran_on(&cloud, jobs[0], &machine).await?;
        // A job that begins while the first one's worker is still seen counts as one with it.
        told(&machine, Kind::JobCompleted).await?;
    }
    ensure!(!machine.console().contains(&secret), "the console shows the token");
    gone_for(&machine, Reason::Idle).await?;
    let kinds: Vec<Kind> = life::words(&machine.console()).into_iter().map(|word| word.kind).collect();
    let job = [Kind::JobStarted, Kind::JobCompleted];
    let expected = [&[Kind::Listening], &job[..], &job, &[Kind::Retire, Kind::Finished]].concat();
    ensure!(kinds == expected, "{kinds:?}");
    // Control does not know this instance, and so has not deleted the runner: the agent's second deadline was passed.
    let name = by_hand::name(&machine);
    let runner = cloud.github.runners().into_iter().find(|runner| runner.name == name).context("its runner")?;
    ensure!(cloud.github.remove_runner(runner.id), "GitHub knows no runner {}", runner.id);
    Ok(())
}
