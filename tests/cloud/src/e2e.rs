//! `laptop e2e`: end-to-end tests that share one cloud. Each ends by looking for leftovers.

mod by_hand;
mod crashes;
mod gaps;
mod housekeeping;
mod idle;
pub(crate) mod images;
mod inputs;
mod installing;
mod keeping;
mod leaving;
mod machines;
mod many;
mod operator;
pub(crate) mod packer;
mod releases;
mod reusable;
mod rough;
mod secrets;
mod standby;
mod steps;
mod storm;
mod walk;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use laptop_github::{Chaos, Job, JobSpec, Webhook};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Handle;

use crate::cloud::{Cloud, LABELS, job, wait_for};
use crate::leftovers;
use crate::life;
use crate::program::{Machines, Run};
use crate::ui::Ui;

type Body = fn(Arc<Cloud>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A test: its name, and what it does.
macro_rules! test {
    ($module:ident::$name:ident) => {
        (concat!(stringify!($module), "::", stringify!($name)), (|cloud| Box::pin($module::$name(cloud))) as Body)
    };
}

/// The tests of a kind of machine. Those with many jobs run on plain processes, where fifty cost seconds.
fn tests(machines: Machines) -> Vec<(&'static str, Body)> {
    let mut tests = vec![
        test!(many::one_job),
        test!(secrets::no_secret_is_in_any_log),
        test!(secrets::a_job_finds_no_registration),
        test!(machines::a_failing_job_ends_its_machine_too),
        test!(machines::an_agent_without_registration_gives_up_and_the_job_still_runs),
        test!(standby::a_job_gets_an_instance_that_stands_by),
        test!(standby::a_job_gets_a_stopped_instance),
        test!(standby::a_job_runs_though_ec2_can_not_start_its_instance),
    ];
    match machines {
        Machines::Systemd => tests.extend([
            test!(many::twenty_jobs),
            test!(machines::a_killed_agent_loses_no_job),
            test!(machines::an_agent_killed_for_good_ends_its_machine),
            test!(crashes::killed_while_claiming),
            test!(images::a_stock_image_installs_agent_and_runner),
            test!(images::an_installation_that_fails_ends_its_instance),
            test!(packer::an_image_that_packer_builds_runs_a_job),
            test!(packer::a_step_that_fails_publishes_nothing),
            test!(packer::another_runner_than_the_pinned_one_is_refused),
            test!(installing::a_runner_is_installed_though_s3_breaks_off),
            test!(installing::killed_while_installing),
            test!(crashes::killed_while_starting),
            test!(crashes::killed_while_listening),
            test!(crashes::killed_again_and_again_while_running),
            test!(crashes::killed_while_retiring),
            test!(crashes::killed_while_draining),
            test!(crashes::killed_while_ending),
            test!(reusable::a_reusable_runner_takes_jobs_until_it_is_idle),
            test!(leaving::an_idle_runner_retires),
            test!(leaving::a_job_that_slips_in_while_the_runner_retires_runs),
            test!(leaving::a_runner_deleted_at_github_ends_its_instance),
            test!(operator::a_runner_retires_at_the_operators_word),
            test!(leaving::a_spot_notice_retires_an_idle_runner),
            test!(leaving::a_spot_notice_interrupts_a_job),
            test!(leaving::an_interrupted_job_runs_again_on_demand),
            test!(leaving::a_rebalance_recommendation_waits_for_the_job),
            test!(leaving::scheduled_maintenance_retires_an_idle_runner),
            test!(leaving::a_listener_that_ignores_sigint_is_killed),
            test!(rough::a_network_that_is_cut_for_a_while_loses_no_job),
            test!(rough::what_a_job_leaves_behind_is_killed),
            test!(rough::a_job_that_fills_its_disk_ends_by_itself),
            test!(rough::a_metadata_service_in_trouble_is_asked_again),
            test!(rough::a_registration_is_claimed_though_ssm_throttles),
            test!(rough::a_job_gets_no_answer_from_the_metadata_service),
            test!(rough::a_job_gets_no_answer_where_there_is_no_nft),
            test!(walk::the_first_steps_lead_to_a_job),
            test!(secrets::no_secret_is_in_what_the_agent_keeps),
            test!(secrets::a_job_can_not_read_what_the_agent_keeps),
        ]),
        Machines::Process => tests.extend([
            test!(inputs::bad_webhooks_change_nothing),
            test!(many::fifty_jobs),
            test!(many::thirty_jobs_though_ssm_takes_three_writes_a_second),
            test!(many::fifty_jobs_with_webhooks_twice_and_shuffled),
            test!(many::fifty_jobs_with_each_function_killed),
            test!(many::one_job_with_scale_up_killed_between_its_writes),
            test!(many::one_call_to_github_per_runner),
            test!(keeping::instances_that_die_at_boot_are_replaced),
            test!(keeping::webhooks_of_an_endpoint_that_was_down_are_sent_again),
            test!(gaps::jobs_whose_webhooks_went_elsewhere_are_found),
            test!(gaps::jobs_whose_deliveries_are_forgotten_are_found),
            test!(releases::a_release_comes_into_the_bucket_and_onto_an_instance),
            test!(housekeeping::what_nobody_needs_goes_and_nothing_else),
            test!(keeping::a_completed_that_never_came_is_asked_for),
            test!(keeping::an_orphan_of_each_kind_is_found),
            test!(keeping::busy_machines_outlive_a_lifecycle_queue_that_is_down),
            test!(keeping::a_wrong_count_is_mended),
            test!(keeping::a_github_whose_clock_is_five_minutes_off_is_understood),
            test!(idle::an_idle_pool_grows_and_shrinks_by_its_schedules),
            test!(operator::the_doctor_finds_the_deployment_well),
            test!(operator::a_drained_fleet_launches_nothing_until_it_is_undone),
            test!(operator::a_report_counts_what_ran),
            test!(storm::two_hundred_jobs_over_five_fleets),
        ]),
    }
    tests
}

/// Runs the tests one after the other in one cloud.
pub async fn run(run: &Run, filter: Option<&str>) -> Result<()> {
    let ui = Ui::stdout();
    let cloud = Arc::new(Cloud::start(run, &ui).await?);
    drop(ui);
    let arguments = Arguments { test_threads: Some(1), filter: filter.map(str::to_owned), ..Arguments::default() };
    let kind = match run.machines {
        Machines::Systemd => "systemd",
        Machines::Process => "process",
    };
    let trials = tests(run.machines).into_iter().map(|(name, body)| trial(kind, name, body, &cloud)).collect();
    let conclusion = tokio::task::spawn_blocking(move || libtest_mimic::run(&arguments, trials)).await?;
    let cloud = Arc::try_unwrap(cloud).map_err(|_| anyhow::anyhow!("a test still holds the cloud"))?;
    cloud.stop().await?;
    ensure!(!conclusion.has_failed(), "{} of these tests failed", conclusion.num_failed);
    Ok(())
}

fn trial(kind: &str, name: &'static str, body: Body, cloud: &Arc<Cloud>) -> Trial {
    let (cloud, handle) = (Arc::clone(cloud), Handle::current());
    Trial::test(format!("{kind}::{name}"), move || {
        handle
            .block_on(async {
                let mut outcome = body(Arc::clone(&cloud)).await;
                // The next test finds GitHub and AWS well-behaved, whatever this one asked of it.
                cloud.github.clear_faults();
                cloud.github.set_chaos(Chaos::default())?;
                cloud.github_clock.set_ahead(0);
                cloud.aws.rate(many::PUT_PARAMETER, 0).await?;
                for operation in [keeping::TELL, steps::CLAIM, steps::CLAIMED] {
                    cloud.aws.throttle(operation, 0).await?;
                }
                cloud.aws.cut(installing::OBJECT, 0, 0).await?;
                cloud.ec2.hold_boots(false);
                let url = format!("{}/webhook", cloud.lambda.http_url());
                cloud.github.set_webhook(Webhook { url, secret: cloud.webhook_secret.clone() });
                cloud.aws.capacity(&serde_json::json!([])).await?;
                if outcome.is_ok() {
                    outcome = leftovers::wait_for_none(&cloud, Duration::from_mins(1)).await;
                }
                if let Err(reason) = outcome {
                    let cleared = keeping::clear(&cloud).await;
                    let Err(more) = cleared else { return Err(reason) };
                    bail!("{reason:#}; and what it left could not be taken away: {more:#}");
                }
                Ok(())
            })
            .map_err(|error: anyhow::Error| Failed::from(format!("{error:#}")))
    })
}

/// Queues jobs, all at once.
fn queue(cloud: &Cloud, specs: impl IntoIterator<Item = JobSpec>) -> Result<Vec<u64>> {
    specs.into_iter().map(|spec| Ok(cloud.github.queue_job(spec)?.id)).collect()
}

/// `count` jobs that say who they are.
fn plain_jobs(count: usize) -> impl Iterator<Item = JobSpec> {
    (1..=count).map(|number| job(&format!("build ({number})"), &LABELS, "echo \"ran as $(id -un)\""))
}

/// Waits until all jobs have ended.
async fn ended(cloud: &Cloud, jobs: &[u64], limit: Duration) -> Result<Vec<Job>> {
    wait_for("jobs done", limit, || {
        let now: Vec<Job> = jobs.iter().filter_map(|id| cloud.github.job(*id)).collect();
        let done = now.iter().filter(|job| job.completed_at.is_some()).count();
        let machines = cloud.machines_left();
        if done == jobs.len() {
            Ok(now)
        } else {
            Err(format!("{done} of {} done; {}", jobs.len(), machines.join(", ")))
        }
    })
    .await
}

/// Runs jobs that must all succeed, each once, on an instance each.
async fn run_all(cloud: &Cloud, specs: impl IntoIterator<Item = JobSpec>, limit: Duration) -> Result<Vec<Job>> {
    let before = cloud.aws.instances().await?.len();
    let jobs = queue(cloud, specs)?;
    let done = ended(cloud, &jobs, limit).await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await?;
    let launched = cloud.aws.instances().await?.len() - before;
    ensure!(launched == jobs.len(), "{launched} instances were launched for {} jobs", jobs.len());
    Ok(done)
}
