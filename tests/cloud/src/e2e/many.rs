//! Each job runs exactly once, on an instance of its own, whatever happens to webhooks and functions.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::Reason;
use laptop_ec2::Machine;
use laptop_github::Chaos;
use laptop_lambda::{After, FunctionStats};

use super::steps::at_rest;
use super::{ended, keeping, plain_jobs, queue, run_all};
use crate::cloud::Cloud;
use crate::life;

/// The operation that SSM throttles first.
pub(super) const PUT_PARAMETER: &str = "ssm.PutParameter";
const LIMIT: Duration = Duration::from_mins(4);

pub(super) async fn one_job(cloud: Arc<Cloud>) -> Result<()> {
    let done = run_all(&cloud, plain_jobs(1), LIMIT).await?;
    ensure!(done[0].log.contains("ran as "), "the job's log: {}", done[0].log);
    ensure!(!done[0].log.contains("ran as root"), "the job ran as root: {}", done[0].log);
    Ok(())
}

pub(super) async fn twenty_jobs(cloud: Arc<Cloud>) -> Result<()> {
    run_all(&cloud, plain_jobs(20), LIMIT).await.map(drop)
}

pub(super) async fn fifty_jobs(cloud: Arc<Cloud>) -> Result<()> {
    run_all(&cloud, plain_jobs(50), LIMIT).await.map(drop)
}

/// What AWS gives an account that has not asked for more.
pub(super) async fn thirty_jobs_though_ssm_takes_three_writes_a_second(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.rate(PUT_PARAMETER, 3).await?;
    run_all(&cloud, plain_jobs(30), LIMIT).await.map(drop)
}

pub(super) async fn fifty_jobs_with_webhooks_twice_and_shuffled(cloud: Arc<Cloud>) -> Result<()> {
    cloud.github.set_chaos(Chaos { copies: 2, shuffle_ms: 1500, seed: 7, ..Chaos::default() })?;
    run_all(&cloud, plain_jobs(50), LIMIT).await.map(drop)
}

pub(super) async fn fifty_jobs_with_each_function_killed(cloud: Arc<Cloud>) -> Result<()> {
    let before = cloud.lambda.stats();
    let instances = cloud.aws.instances().await?.len();
    // Calls of AWS, those of the cold start included, after which each function is killed: some before its first write,
    // some between two, some after the last. webhook: secret, fleets, job, transaction, wake-up. scale-up: fleets, key,
    // level, level again, reservation, two buckets, CreateFleet, its answer into the ledger, parameters. lifecycle: fleets,
    // runner, its end.
    let strikes: [(&str, &[u32]); 3] =
        [("webhook", &[3, 4, 5]), ("scale-up", &[3, 5, 7, 8, 9, 10, 11]), ("lifecycle", &[2, 3, 4])];
    for (handler, calls) in strikes {
        for calls in calls {
            cloud.lambda.kill_once(&cloud.outputs.functions[handler], After::Calls(*calls));
        }
    }
    // GitHub does not send a failed webhook again by itself: reconcile asks for it.
    let done = keeping::healed(&cloud, async {
        let jobs = queue(&cloud, plain_jobs(50))?;
        let done = ended(&cloud, &jobs, LIMIT).await?;
        crate::leftovers::wait_for_none(&cloud, Duration::from_mins(2)).await?;
        Ok(done)
    })
    .await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    // A reservation that is killed again and again may come too late for the instances it had launched: these give up, and
    // others are launched.
    let gave_up = |machine: &Machine| {
        let word = life::last_word(&machine.console());
        word.is_some_and(|word| word.reason == Some(Reason::RegistrationMissing))
    };
    let all = cloud.aws.instances().await?;
    let new = all.iter().skip(instances).filter_map(|instance| cloud.ec2.machine(&instance.id));
    let (in_vain, launched): (Vec<_>, Vec<_>) = new.partition(|machine| gave_up(machine));
    ensure!(launched.len() == 50, "{} instances were of use to 50 jobs, {} were not", launched.len(), in_vain.len());
    let after = cloud.lambda.stats();
    for (handler, calls) in strikes {
        let function = &cloud.outputs.functions[handler];
        let kills = after[function].kills - before.get(function).map_or(0, |stats| stats.kills);
        ensure!(kills == calls.len() as u64, "{handler} was killed {kills} times of {}", calls.len());
        ensure!(cloud.lambda.kills_pending(function) == 0, "{handler} still has kills to come");
    }
    Ok(())
}

/// A function's numbers; all zero before its first invocation.
fn stats(cloud: &Cloud, function: &str) -> FunctionStats {
    cloud.lambda.stats().remove(function).unwrap_or_default()
}

/// What a launch of one runner costs at least: the level, the reservation, CreateFleet, its answer in the ledger, the
/// parameter, and its notice in the ledger.
const CALLS_OF_ONE_LAUNCH: u32 = 6;

/// With one job there is no other wake-up that would make up for the lost one.
pub(super) async fn one_job_with_scale_up_killed_between_its_writes(cloud: Arc<Cloud>) -> Result<()> {
    let function = &cloud.outputs.functions["scale-up"];
    for calls in 1.. {
        let before = stats(&cloud, function).kills;
        cloud.lambda.kill_once(function, After::Calls(calls));
        run_all(&cloud, plain_jobs(1), LIMIT).await.with_context(|| format!("killed after call {calls}"))?;
        let kills = stats(&cloud, function).kills - before;
        if kills == 0 {
            // No invocation makes as many calls.
            cloud.lambda.withdraw_kills(function);
            ensure!(calls > CALLS_OF_ONE_LAUNCH, "not killed after call {calls}");
            break;
        }
        ensure!(kills == 1, "killed {kills} times after call {calls}");
    }
    Ok(())
}

pub(super) async fn one_call_to_github_per_runner(cloud: Arc<Cloud>) -> Result<()> {
    // Reconcile asks GitHub for other reasons.
    let _hold = cloud.lambda.hold_schedules().await;
    at_rest(&cloud).await?;
    cloud.github.reset_calls();
    let scale_up = &cloud.outputs.functions["scale-up"];
    let cold = stats(&cloud, scale_up).cold_starts;
    run_all(&cloud, plain_jobs(10), LIMIT).await?;
    let cold = stats(&cloud, scale_up).cold_starts - cold;
    let calls = cloud.github.calls();
    let count =
        |part: &str| calls.iter().filter(|(route, _)| route.contains(part)).map(|(_, count)| *count).sum::<u64>();
    let api = calls.iter().filter(|(route, _)| !route.contains("/_")).map(|(_, count)| *count).sum::<u64>();
    ensure!(count("generate-jitconfig") == 10, "generate-jitconfig: {calls:?}");
    // A process asks for a token once and keeps it.
    ensure!(count("access_tokens") <= cold, "{cold} processes were started: {calls:?}");
    // One whose job was over before its registration was noted is deleted, which is rare.
    let deleted = count("DELETE /orgs/");
    ensure!(deleted <= 2, "runners were deleted: {calls:?}");
    ensure!(api - deleted - count("access_tokens") == 10, "more than one call per runner beyond tokens: {calls:?}");
    Ok(())
}
