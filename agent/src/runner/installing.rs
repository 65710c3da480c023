//! From files on a disk to a runner that can be started: its user, its registration, and what it finds around it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use dayfly_contract::{Grant, MetadataAccess, Phase, Registration, RunnerConfig, Timeline};
use secrecy::SecretString;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use super::account::Account;
use super::env_file;
use super::environment::{Environment, environment};
use super::jit::{JitError, JitFiles};
use super::launch::{LISTENER, listener};
use super::register::{self, NewRunner};
use super::setup_info::{self, SetupFacts};
use super::{Plan, access, process, work_folder};
use crate::clock::Uptime;
use crate::effects::Unusable;
use crate::errors::chain;
use crate::hook;
use crate::hook::script::{Scripts, UserHooks};
use crate::install::{self, Objects, Ready, Wanted};

/// How long the runner may take to tell its version; .NET has to be loaded from a cold disk.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// The runner's user, made where it is missing.
pub(super) async fn account(plan: &Plan) -> Result<Account, Unusable> {
    let name = plan.runner.user.clone();
    let found = spawn_blocking(move || Account::find_or_create(&name)).await;
    let found = found.map_err(|_panicked| Unusable::runner("looking the runner's user up failed"))?;
    found.map_err(|error| Unusable::runner(chain(&error)))
}

/// Sees that the runner's files are there.
pub(super) async fn prepare(plan: &Plan, objects: Option<Arc<dyn Objects>>) -> Result<Ready, Unusable> {
    let account = account(plan).await?;
    let wanted = Wanted {
        directory: plan.directory().to_owned(),
        source: plan.runner.source.clone(),
        minimum_version: plan.runner.minimum_version.clone(),
        owner: account.switch.then_some((account.uid, account.gid)),
    };
    let unusable = if wanted.source.is_some() { Unusable::install } else { Unusable::runner };
    let ready = install::ready(&wanted, objects, image_version(plan, &account)).await;
    ready.map_err(|error| unusable(chain(&error)))
}

/// What the runner of the image says of itself.
async fn image_version(plan: &Plan, account: &Account) -> Option<String> {
    let mut command = listener(plan.directory(), account, "--version");
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(VERSION_LIMIT, command.output()).await {
        Ok(Ok(output)) => install::printed(&String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => {
            warn!(%error, "The runner can't be asked for its version");
            None
        }
        Err(_elapsed) => {
            warn!("The runner does not tell its version");
            None
        }
    }
}

/// Gives the runner its registration and all that it finds around it.
pub(super) async fn install(
    plan: &Plan,
    registration: Registration,
    version: Option<String>,
    phases: BTreeMap<Phase, Uptime>,
) -> Result<(), Unusable> {
    let account = account(plan).await?;
    let directory = plan.directory();
    if plan.metadata_access == MetadataAccess::Agent {
        let account = account.clone();
        let closed = spawn_blocking(move || access::close(&account)).await;
        let closed = closed.map_err(|_panicked| Unusable::runner("closing the metadata service failed"))?;
        closed.map_err(|error| Unusable::runner(chain(&error)))?;
    }
    work_folder::prepare(directory, &plan.runner.work_folder, &account)
        .map_err(|error| doing("work folder", &error))?;
    write_hooks(plan, &account)?;
    // An agent that was killed while it registered the runner may have left the process, and two would mix their files.
    if let Some(orphan) = process::find(&directory.join(LISTENER), "configure") {
        let killed = process::kill_group(orphan);
        warn!(pid = orphan.pid, ?killed, "A registration of an earlier agent was stopped");
    }
    match registration.grant {
        Grant::Jit { jit_config, .. } => {
            register::remove_leftovers(directory).map_err(|error| Unusable::runner(chain(&error)))?;
            jit_files(plan, &jit_config)
                .map_err(|error| doing("registration", &error))?
                .write(directory, &account)
                .map_err(|error| doing(&format!("writing the registration into {}", directory.display()), &error))?;
        }
        // Taken for none where it is claimed.
        Grant::Leave { .. } => return Err(Unusable::runner("the registration is none")),
        Grant::Token { registration_token, url, labels, runner_group } => {
            let runner = NewRunner {
                url: &url,
                token: &registration_token,
                name: &registration.runner_name,
                labels: &labels,
                group: runner_group.as_deref(),
                work_folder: &plan.runner.work_folder,
                disable_update: plan.runner.disable_update,
                ephemeral: false,
            };
            let registered =
                register::register(directory, &account, &runner_environment(plan, &account), &runner).await;
            registered.map_err(|error| Unusable::runner(chain(&error)))?;
        }
    }
    let facts = SetupFacts {
        image: plan.identity.image_id.clone(),
        instance_type: plan.identity.instance_type.clone(),
        zone: plan.identity.availability_zone.clone(),
        instance_id: plan.identity.instance_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        fleet: plan.fleet.clone(),
        runner_version: version,
        timeline: Timeline(phases.into_iter().map(|(phase, at)| (phase.name().to_owned(), at.0)).collect()),
    };
    if let Err(error) = setup_info::write(directory, &account, &facts) {
        // For people's eyes alone.
        warn!(%error, ".setup_info can't be written");
    }
    Ok(())
}

fn jit_files(plan: &Plan, jit_config: &SecretString) -> Result<JitFiles, JitError> {
    let files = JitFiles::decode(jit_config)?;
    let files = if plan.runner.disable_update { files.without_updates()? } else { files };
    // What control asked GitHub for stays, unless this machine's config says otherwise.
    if plan.runner.work_folder == RunnerConfig::WORK_FOLDER {
        return Ok(files);
    }
    files.with_work_folder(&plan.runner.work_folder)
}

fn write_hooks(plan: &Plan, account: &Account) -> Result<(), Unusable> {
    let configured =
        UserHooks { started: plan.runner.hook_started.clone(), completed: plan.runner.hook_completed.clone() };
    let theirs = env_file::take_hooks(plan.directory(), account, &configured).map_err(|error| doing(".env", &error))?;
    // Where it was deleted or replaced meanwhile the link says so, and calling it fails: hooks survive that.
    let agent = std::env::current_exe().map_err(|error| doing("finding the agent's own program", &error))?;
    hook::script::write(&plan.hook_dir, &agent, &theirs)
        .map_err(|error| doing(&format!("writing hooks into {}", plan.hook_dir.display()), &error))?;
    Ok(())
}

/// The environment of the runner.
pub(super) fn runner_environment(plan: &Plan, account: &Account) -> Environment {
    environment(account, &plan.runner.environment, Some(&Scripts::of(&plan.hook_dir)), std::env::vars_os())
}

fn doing(what: &str, error: &dyn Display) -> Unusable {
    Unusable::runner(format!("{what}: {error}"))
}
