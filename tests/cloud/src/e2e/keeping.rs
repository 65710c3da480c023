//! What nobody tells of: reconcile finds it and puts it right. Half an hour passes at a word ([`pass`]).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::names;
use laptop_ec2::Phase;
use laptop_github::{Chaos, Fault};
use laptop_lambda::Outcome;
use serde_json::json;

use super::by_hand::github;
use super::steps::{LIMIT, at_rest, running};
use super::{ended, plain_jobs, queue, run_all};
use crate::cloud::{Cloud, FLEET, FLEETING, LABELS, job, poll, wait_for};
use crate::leftovers;
use crate::life;

/// The call by which agents tell control.
pub(super) const TELL: &str = "sqs.SendMessage";
/// An instance that there never was.
const NOBODY: &str = "i-0123456789abcdef0";

/// Has reconcile look at everything once.
pub(super) async fn reconcile(cloud: &Cloud) -> Result<()> {
    let function = &cloud.outputs.functions["reconcile"];
    poll("reconcile", LIMIT, Duration::from_millis(500), || async move {
        let answer = cloud.lambda.invoke(function, &json!({})).await?;
        Ok(if answer.outcome == Outcome::Success { Ok(()) } else { Err(format!("{answer:?}")) })
    })
    .await
}

/// Does `work` while reconcile looks at everything again and again. GitHub's clock is a minute behind from now on: what has
/// failed there just now failed a minute ago by ours, which is when it is sent again.
pub(super) async fn healed<T>(cloud: &Cloud, work: impl Future<Output = Result<T>>) -> Result<T> {
    cloud.github_clock.set_ahead(-61);
    let heal = async {
        loop {
            // One whose time is out on a busy machine is made up for by the next.
            cloud.lambda.invoke(&cloud.outputs.functions["reconcile"], &json!({})).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        done = work => done,
        failed = heal => failed,
    }
}

/// Lets so many minutes pass, and has reconcile look.
pub(super) async fn later(cloud: &Cloud, minutes: u64) -> Result<()> {
    pass(cloud, Duration::from_mins(minutes)).await?;
    reconcile(cloud).await
}

/// Makes all that AWS has noted of the time so much older, and GitHub's list of deliveries with it: else what was sent
/// again is forgotten as settled while its failure is as new as ever, and is sent once more. What functions are writing is
/// written first, or it would be new.
pub(super) async fn pass(cloud: &Cloud, by: Duration) -> Result<()> {
    let _hold = cloud.lambda.hold_schedules().await;
    at_rest(cloud).await?;
    // First: to a reconcile in between, a list that is older than its memory tells nothing new.
    cloud.github.age_deliveries(by);
    cloud.aws.age(by).await
}

/// Lets time pass, 20 minutes at a time and three hours at most, until nothing is left.
pub(super) async fn until_nothing_is_left(cloud: &Cloud) -> Result<()> {
    for _ in 0..9 {
        if leftovers::look(cloud).await?.is_empty() {
            break;
        }
        later(cloud, 20).await?;
    }
    leftovers::wait_for_none(cloud, Duration::from_secs(10)).await
}

/// Takes away what a test that failed has left: the next one would fail of it too, and hide what was wrong.
pub(super) async fn clear(cloud: &Cloud) -> Result<()> {
    // Their jobs end with them.
    for runner in cloud.github.runners() {
        let _ = cloud.github.remove_runner(runner.id);
    }
    for job in cloud.github.jobs().into_iter().filter(|job| job.completed_at.is_none()) {
        // It fails where the job ends just now.
        let _ = cloud.github.cancel_job(job.id);
    }
    for instance in cloud.aws.instances().await?.into_iter().filter(|instance| instance.state != "terminated") {
        cloud.aws.end_instance(&instance.id, "Client.UserInitiatedShutdown").await?;
    }
    cloud.ec2.hold_boots(false);
    until_nothing_is_left(cloud).await
}

/// The instances of the fleet that live by EC2.
pub(super) async fn alive(cloud: &Cloud) -> Result<Vec<String>> {
    let all = cloud.aws.instances().await?;
    let live = all.into_iter().filter(|it| ["pending", "running"].contains(&it.state.as_str()));
    Ok(live.filter(|it| it.tags.get(names::TAG_FLEET).is_some_and(|it| it == FLEET)).map(|it| it.id).collect())
}

/// The one instance that lives, once there is one.
async fn the_instance(cloud: &Cloud) -> Result<String> {
    poll("one instance", LIMIT, Duration::from_millis(100), || async move {
        let alive = alive(cloud).await?;
        Ok(if let [one] = alive.as_slice() { Ok(one.clone()) } else { Err(format!("{} live", alive.len())) })
    })
    .await
}

/// EC2 takes instances back before their agents say a word, three times in a row: the job gets its runner all the same.
pub(super) async fn instances_that_die_at_boot_are_replaced(cloud: Arc<Cloud>) -> Result<()> {
    cloud.ec2.hold_boots(true);
    let jobs = queue(&cloud, plain_jobs(1))?;
    for death in 1..=3 {
        let instance = the_instance(&cloud).await?;
        cloud.aws.end_instance(&instance, "Server.InternalError").await?;
        if death == 3 {
            cloud.ec2.hold_boots(false);
        }
        later(&cloud, 20).await.with_context(|| format!("death {death}"))?;
    }
    let done = ended(&cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(anyhow::Error::msg)?;
    until_nothing_is_left(&cloud).await
}

/// Webhooks that failed while nobody answered are sent again, once each.
pub(super) async fn webhooks_of_an_endpoint_that_was_down_are_sent_again(cloud: Arc<Cloud>) -> Result<()> {
    let before = cloud.github.deliveries().len();
    cloud.github.set_chaos(Chaos { lost_percent: 100, ..Chaos::default() })?;
    let jobs = queue(&cloud, plain_jobs(3))?;
    wait_for("three webhooks lost", LIMIT, || {
        let sent = cloud.github.deliveries().len() - before;
        if sent >= 3 && cloud.github.deliveries_pending() == 0 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await?;
    ensure!(alive(&cloud).await?.is_empty(), "an instance was launched for webhooks that never came");
    cloud.github.set_chaos(Chaos::default())?;
    reconcile(&cloud).await?;
    later(&cloud, 2).await?;
    let done = ended(&cloud, &jobs, LIMIT).await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    later(&cloud, 2).await?;
    let again = cloud.github.deliveries().iter().skip(before).filter(|it| it.redelivery).count();
    ensure!(again == 3, "{again} webhooks were sent again");
    until_nothing_is_left(&cloud).await
}

/// No delivery tells of the end of this job, not even a failed one: GitHub is asked.
pub(super) async fn a_completed_that_never_came_is_asked_for(cloud: Arc<Cloud>) -> Result<()> {
    let go = cloud.folder.join("go-completed");
    let script = format!("until test -e {}; do sleep 0.1; done", go.display());
    let jobs = queue(&cloud, [job("untold", &LABELS, &script)])?;
    let machine = running(&cloud, jobs[0]).await?;
    told_all(&cloud).await?;
    cloud.github.set_chaos(Chaos { drop_first: 1, ..Chaos::default() })?;
    std::fs::write(&go, "")?;
    ended(&cloud, &jobs, LIMIT).await?;
    machine.wait_for(Phase::Gone, LIMIT).await?;
    ensure!(cloud.github.chaos().drop_first == 0, "the webhook was not dropped");
    until_nothing_is_left(&cloud).await
}

/// One of each: an instance, a registration in either store, a runner at GitHub, none of which anybody knows of.
pub(super) async fn an_orphan_of_each_kind_is_found(cloud: Arc<Cloud>) -> Result<()> {
    // It stays `pending`: no agent is there to end it.
    cloud.ec2.hold_boots(true);
    let made = async {
        cloud.aws.run_instance(&format!("dayfly-laptop/{FLEET}"), None, "").await?;
        let parameter = format!("{}/{NOBODY}", cloud.outputs.registration_prefix);
        cloud.aws.put_parameter(&parameter, "whose?").await?;
        let key = format!("{}{NOBODY}", cloud.outputs.registration_bucket_prefix);
        cloud.aws.put_object(&cloud.outputs.registration_bucket, &key, b"whose?".to_vec()).await?;
        let body = json!({ "name": names::runner_name(FLEET, NOBODY), "runner_group_id": 1, "labels": LABELS });
        github(&cloud, "generate-jitconfig", &body).await?;
        let left = leftovers::look(&cloud).await?;
        ensure!(left.len() >= 4, "{left:?}");
        // Ended by reconcile and nobody else: not before it has been seen for long.
        reconcile(&cloud).await?;
        later(&cloud, 12).await?;
        let still = leftovers::look(&cloud).await?;
        ensure!(still.iter().any(|it| it.starts_with("instance ")), "ended within its grace: {still:?}");
        ensure!(still.iter().any(|it| it.starts_with("runner ")), "deleted within its grace: {still:?}");
        until_nothing_is_left(&cloud).await
    }
    .await;
    cloud.ec2.hold_boots(false);
    made
}

/// Agents can't tell control anything for hours, and of one job's beginning no webhook tells either: nobody ends them. All
/// that this may cost is an instance too many, launched for the second, which finds no job and retires.
pub(super) async fn busy_machines_outlive_a_lifecycle_queue_that_is_down(cloud: Arc<Cloud>) -> Result<()> {
    let go = cloud.folder.join("go-silent");
    let script = format!("until test -e {}; do sleep 0.1; done", go.display());
    cloud.aws.throttle(TELL, u32::MAX).await?;
    let silent = async {
        let mut jobs = queue(&cloud, [job("told", &FLEETING, &script)])?;
        let mut machines = vec![running(&cloud, jobs[0]).await?];
        told_all(&cloud).await?;
        // The `queued` of the second comes through, and its `in_progress` does not.
        cloud.ec2.hold_boots(true);
        jobs.extend(queue(&cloud, [job("untold", &FLEETING, &script)])?);
        told_all(&cloud).await?;
        cloud.github.set_chaos(Chaos { drop_first: 1, ..Chaos::default() })?;
        cloud.ec2.hold_boots(false);
        machines.push(running(&cloud, jobs[1]).await?);
        for minutes in [31, 62, 93, 124] {
            later(&cloud, 31).await?;
            let ended = machines.iter().find(|it| it.record().asked || it.record().reached(Phase::Stopping));
            ensure!(ended.is_none(), "ended within {minutes} minutes, in the middle of its job: {ended:?}");
        }
        ensure!(cloud.github.chaos().drop_first == 0, "the webhook was not dropped");
        Ok(jobs)
    }
    .await;
    cloud.ec2.hold_boots(false);
    cloud.aws.throttle(TELL, 0).await?;
    std::fs::write(&go, "")?;
    let done = ended(&cloud, &silent?, LIMIT).await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    leftovers::wait_for_none(&cloud, LIMIT).await
}

/// Waits until all webhooks so far were delivered.
pub(super) async fn told_all(cloud: &Cloud) -> Result<()> {
    wait_for("webhooks delivered", LIMIT, || match cloud.github.deliveries_pending() {
        0 => Ok(()),
        left => Err(format!("{left} are under way")),
    })
    .await
}

/// Somebody wrote the count of a fleet's instances by hand: it is mended, and `max` holds again.
pub(super) async fn a_wrong_count_is_mended(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.count_alive(&cloud.outputs.table, FLEET, 100).await?;
    ensure!(!leftovers::look(&cloud).await?.is_empty(), "the count was not changed");
    let jobs = queue(&cloud, plain_jobs(1))?;
    // A difference is mended where it was seen twice.
    for _ in 0..2 {
        reconcile(&cloud).await?;
    }
    later(&cloud, 1).await?;
    let done = ended(&cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(anyhow::Error::msg)?;
    leftovers::wait_for_none(&cloud, Duration::from_mins(1)).await?;
    run_all(&cloud, plain_jobs(1), LIMIT).await.map(drop)
}

/// GitHub refuses what the App made by our clock; it is made anew by GitHub's.
pub(super) async fn a_github_whose_clock_is_five_minutes_off_is_understood(cloud: Arc<Cloud>) -> Result<()> {
    let (jit, tokens) = ("/orgs/{org}/actions/runners/generate-jitconfig", "access_tokens");
    for ahead in [-300, 300] {
        cloud.github_clock.set_ahead(ahead);
        // So that the App has to ask for a new token.
        cloud.github.add_fault(Fault { status: Some(401), count: Some(1), ..Fault::of("POST", jit) })?;
        cloud.github.reset_calls();
        run_all(&cloud, plain_jobs(1), LIMIT).await.with_context(|| format!("GitHub is {ahead} s ahead"))?;
        let calls = cloud.github.calls();
        let asked: u64 = calls.iter().filter(|(route, _)| route.contains(tokens)).map(|(_, count)| *count).sum();
        // A token from GitHub's future is refused first.
        let least = if ahead < 0 { 2 } else { 1 };
        ensure!(asked >= least, "tokens were asked for {asked} times, not {least}: {calls:?}");
    }
    Ok(())
}
