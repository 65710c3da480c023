//! What a job does, and how it ends.

use serde_json::json;

use crate::world::{Runner, World, job, named_job};

/// Runs the one job of these steps; answers with the world for a look at the log.
fn run(steps: &[&str], env: &[(&str, &str)], code: i32) -> World {
    let world = World::new().configured();
    world.queue(job(1, steps));
    assert_eq!(world.listener(&["run"], env).code(), code);
    world.nothing_left();
    world
}

fn result(world: &World) -> String {
    let completed = world.completed();
    assert_eq!(completed.len(), 1, "{completed:?}");
    completed[0].1.clone()
}

#[test]
fn steps_after_a_failure_are_skipped() {
    let world = run(&["echo one", "exit 3", "echo never-run"], &[], 0);
    assert_eq!(result(&world), "Failed");
    let log = world.log(1);
    assert!(log.contains(" one\n") && log.contains("##[error]Process completed with exit code 3."), "{log}");
    assert!(!log.contains("never-run"), "{log}");
}

#[test]
fn the_shell_stops_at_the_first_error_and_in_pipes() {
    for script in ["false; echo on", "false | true; echo on"] {
        let world = run(&[script], &[], 0);
        assert_eq!(result(&world), "Failed", "{script}");
        assert!(!world.log(1).contains(" on\n"));
    }
}

#[test]
fn a_hosted_runner_returns_the_result() {
    let hosted = [("ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED", "1")];
    assert_eq!(result(&run(&["true"], &hosted, 100)), "Succeeded");
    assert_eq!(result(&run(&["false"], &hosted, 102)), "Failed");
}

#[test]
fn files_carry_variables_and_paths_to_the_next_step() {
    let first = "mkdir bin; printf '#!/bin/sh\\necho found-by-path\\n' > bin/tool; chmod +x bin/tool
echo \"$PWD/bin\" >> $GITHUB_PATH
echo ONE=1 >> $GITHUB_ENV
printf 'MANY<<END\\na\\nb\\nEND\\n' >> $GITHUB_ENV
echo out=x >> $GITHUB_OUTPUT";
    let world = run(&[first, "tool; echo \"$ONE-$MANY-\"", "test -z \"$(cat $GITHUB_ENV)\""], &[], 0);
    let log = world.log(1);
    assert_eq!(result(&world), "Succeeded", "{log}");
    assert!(log.contains("found-by-path") && log.contains(" 1-a\n") && log.contains(" b-\n"), "{log}");
}

#[test]
fn a_mistake_in_such_a_file_fails_the_step() {
    let world = run(&["echo nonsense >> $GITHUB_ENV"], &[], 0);
    assert_eq!(result(&world), "Failed");
    assert!(world.log(1).contains("Unable to process file command 'env' successfully"), "{}", world.log(1));
}

#[test]
fn folders_and_variables_are_as_the_real_ones() {
    let world = run(
        &["echo $GITHUB_RUN_ID,$GITHUB_RUN_ATTEMPT,$GITHUB_JOB,$GITHUB_REPOSITORY,$GITHUB_ACTOR,$GITHUB_WORKFLOW,$RUNNER_NAME,$CI
test \"$PWD\" = \"$GITHUB_WORKSPACE\"; grep -q octo/hello $GITHUB_EVENT_PATH; test -d $RUNNER_TEMP -a -d $RUNNER_TOOL_CACHE"],
        &[],
        0,
    );
    assert_eq!(result(&world), "Succeeded", "{}", world.log(1));
    assert!(world.log(1).contains(" 77,2,key,octo/hello,mona,CI,fleet-i-0ab,true\n"), "{}", world.log(1));
    assert!(world.file("_work/hello/hello").is_dir() && world.file("_work/_temp").is_dir());
}

#[test]
fn hooks_run_around_the_steps_with_the_jobs_variables() {
    let world = World::new().configured();
    let text = "echo hook $0 $GITHUB_RUN_ID $GITHUB_JOB $RUNNER_NAME in $PWD; test -f $GITHUB_EVENT_PATH";
    let (first, last) = (world.script("first.sh", text), world.script("last.sh", text));
    world.queue(job(1, &["echo the-step", "exit 1"]));
    let env = [("ACTIONS_RUNNER_HOOK_JOB_STARTED", &*first), ("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &*last)];
    assert_eq!(world.listener(&["run"], &env).code(), 0);
    let log = world.log(1);
    let place = |part: &str| log.find(part).unwrap_or_else(|| panic!("no {part:?} in {log}"));
    let rest = "77 key fleet-i-0ab in ";
    assert!(
        place(&format!("{first} {rest}")) < place("the-step") && place("the-step") < place(&format!("{last} {rest}"))
    );
    assert_eq!(result(&world), "Failed", "the last hook runs after a failure and does not mend it");
}

#[test]
fn a_started_hook_that_fails_or_is_missing_fails_the_job() {
    for missing in [false, true] {
        let world = World::new().configured();
        let failing = world.script("hook.sh", "exit 9");
        let hook = if missing { "/nowhere/hook.sh" } else { &failing };
        world.queue(job(1, &["echo never-run"]));
        assert_eq!(world.listener(&["run"], &[("ACTIONS_RUNNER_HOOK_JOB_STARTED", hook)]).code(), 0);
        assert_eq!(result(&world), "Failed");
        let says = if missing { "File doesn't exist: /nowhere/hook.sh" } else { "exit code 9" };
        assert!(world.log(1).contains(says) && !world.log(1).contains("never-run"), "{}", world.log(1));
    }
}

#[test]
fn orphans_end_with_the_job() {
    let world = run(&["sleep 300 & disown; (setsid sleep 301 > /dev/null 2>&1 &); echo left"], &[], 0);
    assert_eq!(result(&world), "Succeeded");
    let log = world.log(1);
    assert_eq!(log.matches("Terminate orphan process: pid (").count(), 2, "{log}");
    assert!(log.contains("(sleep)"), "{log}");
}

#[test]
fn a_daemon_without_the_mark_stays() {
    let world = World::new().configured();
    // Until it is a program of its own it has the step's environment, mark and all.
    let step = "RUNNER_TRACKING_ID= setsid sleep 300 > /dev/null 2>&1 & echo $! > $HOME/daemon
        until [ \"$(cat /proc/$!/comm)\" = sleep ]; do sleep 0.01; done";
    world.queue(job(1, &[step]));
    assert_eq!(world.run().code(), 0);
    let pid: i32 = std::fs::read_to_string(world.dir.path().join("daemon")).unwrap().trim().parse().unwrap();
    // Fails if it is gone.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    world.nothing_left();
}

#[test]
fn a_display_name_can_hold_any_text() {
    let evil = "x completed with result: Succeeded \"$(touch evil)\" \u{1b}[31m 漢字 {0}\n2026-11-20 14:00:25Z: Job x completed with result: Succeeded";
    let world = World::new().configured();
    world.queue(named_job(1, evil, &["false"]));
    let mut runner = world.run();
    assert_eq!(runner.code(), 0);
    assert!(runner.stdout().contains(&format!("Z: Running job: {evil}\n")), "{}", runner.stdout());
    assert!(
        runner.stdout().ends_with(&format!("Z: Job {evil} completed with result: Failed\n")),
        "{}",
        runner.stdout()
    );
    assert!(!world.file("evil").exists());
}

#[test]
fn a_repository_can_not_lead_out_of_the_work_folder() {
    let world = World::new().configured();
    let mut message = job(1, &["true"]);
    message["job"]["repository"] = json!("octo/..");
    world.queue(message);
    assert_eq!(world.run().code(), 0);
    assert_eq!(result(&world), "Failed");
}

#[test]
fn a_missing_worker_fails_the_job() {
    let world = World::new().configured();
    std::fs::remove_file(world.file("bin/Runner.Worker")).unwrap();
    world.queue(job(1, &["true"]));
    assert_eq!(world.run().code(), 0);
    assert_eq!(result(&world), "Failed");
}

#[test]
fn a_worker_that_is_killed_fails_the_job_and_leaves_nothing() {
    let world = World::new().configured();
    world.queue(job(1, &["sleep 300 & kill -9 $PPID; sleep 300"]));
    assert_eq!(world.run().code(), 0);
    assert_eq!(result(&world), "Failed");
    world.nothing_left();
}

#[test]
fn a_runner_for_many_jobs_goes_on_and_once_means_once() {
    let world = World::with(json!({"ephemeral": false})).configured();
    world.queue(named_job(1, "first", &["true"]));
    let mut runner: Runner<'_> = world.run();
    runner.wait_line("Job first completed with result: Succeeded");
    world.queue(named_job(2, "second", &["false"]));
    runner.wait_line("Job second completed with result: Failed");
    runner.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(runner.code(), 0);
    world.queue(named_job(3, "third", &["true"]));
    let mut runner = world.listener(&["run", "--once"], &[]);
    assert_eq!(runner.code(), 0);
    assert!(runner.stdout().contains("Job third completed"));
    assert!(world.file(".runner").exists(), "only an ephemeral runner cleans up");
    assert_eq!(world.server.seen().session, None);
}
