//! Looks at moto again and again, and carries out what `decide` says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::decide::{Ours, Step, step};
use super::{Event, Happened, Inner};
use crate::machine::Kind;
use crate::{Facts, Machine, Phase, State};

pub(super) async fn run(host: Arc<Inner>) {
    let mut silent = false;
    let mut every = tokio::time::interval(host.poll);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Before the list, and once more after it: an instance that has ended when boots go on does not boot by an older list.
        let held = host.held.load(Ordering::SeqCst);
        match host.moto.instances().await {
            Ok(instances) => {
                if silent {
                    info!("moto answers again");
                }
                silent = false;
                look(&host, instances, held).await;
            }
            Err(error) => {
                // Told once: it may be starting, or be gone for good while we are being shut down.
                if !silent {
                    warn!(error = format!("{error:#}"), "moto does not answer");
                }
                silent = true;
                host.settled.send_replace(false);
            }
        }
    }
}

/// `held`: no instance was to boot when the list was asked for.
async fn look(host: &Arc<Inner>, instances: Vec<Facts>, held: bool) {
    let mut settled = true;
    // First, as others of this list may be to boot from them, and before a disk goes.
    for facts in &instances {
        make_images(host, facts).await;
    }
    for facts in instances {
        let machine = host.machines().current.get(&facts.id).cloned();
        let record = machine.as_ref().map(|machine| machine.record());
        let ours = record.as_ref().map_or(Ours::Absent, Ours::of);
        let next = step(facts.state, ours);
        settled &= next == Step::Nothing && matches!(facts.state, State::Stopped | State::Terminated);
        let (id, state) = (facts.id.clone(), facts.state);
        if next != Step::Nothing {
            debug!(instance.id = %id, theirs = ?facts.state, ours = ?ours, "{id} needs {next:?}");
        }
        let ending = || record.as_ref().map_or_else(|| "it has no machine".to_owned(), crate::Record::ending);
        let told = match next {
            Step::Nothing => Ok(()),
            Step::Boot => {
                if !held && !host.held.load(Ordering::SeqCst) {
                    boot(host, facts);
                }
                Ok(())
            }
            Step::TellRunning => host.moto.tell_state(&id, "running", "").await,
            Step::TellStopped => host.moto.tell_state(&id, "stopped", &ending()).await,
            Step::TellTerminated => host.moto.tell_state(&id, "terminated", &ending()).await,
            Step::TellShutdown => host.moto.tell_shutdown(&id, &ending()).await,
            Step::PowerOff | Step::Stop | Step::PullPlug => {
                if let Some(machine) = machine {
                    match next {
                        Step::Stop => machine.stop(),
                        Step::PowerOff => machine.power_off(),
                        _ => machine.pull_plug(),
                    }
                }
                Ok(())
            }
            Step::Forget => {
                let mut machines = host.machines();
                let gone = machines.current.remove(&id);
                machines.past.extend(gone);
                Ok(())
            }
        };
        if state == State::Terminated && ours == Ours::Absent {
            discard(host, &id).await;
        }
        if let Err(error) = told {
            // The next look finds the same and tries again.
            warn!(instance.id = %id, error = format!("{error:#}"), "{id}: moto took no word");
        }
    }
    host.settled.send_replace(settled);
}

/// Makes the images that EC2 has of a stopped instance, each once. Of one that runs, EC2 would make them as well, at a
/// moment that nobody knows: here it is when it stops.
async fn make_images(host: &Arc<Inner>, facts: &Facts) {
    for image in &facts.images {
        let machine = host.machines().of(&facts.id);
        let Some(machine) = machine.filter(|machine| machine.is_kept() && machine.record().reached(Phase::Gone)) else {
            return;
        };
        if !host.machines().images.insert(image.clone()) {
            continue;
        }
        match machine.make_image(image).await {
            Ok(()) => info!(instance.id = %facts.id, "{image} is made of {}", facts.id),
            Err(error) => warn!(instance.id = %facts.id, error = format!("{error:#}"), "{image} can't be made"),
        }
    }
}

/// Takes away the disk of a stopped instance that was terminated, if it has one.
async fn discard(host: &Arc<Inner>, id: &str) {
    let kept = host.machines().past.iter().rev().find(|machine| machine.id() == id).cloned();
    if let Some(machine) = kept.filter(|machine| machine.is_kept())
        && let Err(error) = machine.discard().await
    {
        warn!(instance.id = id, error = format!("{error:#}"), "The disk of {id} is left");
    }
}

fn boot(host: &Arc<Inner>, facts: Facts) {
    let room = &host.room;
    let raw = facts.user_data_bytes();
    let user_data = match &room.kind {
        Kind::Systemd(_) => raw,
        Kind::Process(process) => process.user_data(raw, &room.folder.join(&facts.id)),
    };
    if let Some(other) = facts.private_ip.and_then(|address| room.imds.owner(address))
        && other != facts.id
    {
        warn!(instance.id = %facts.id, "{} has the address of {other}", facts.id);
    }
    room.imds.put(facts.clone(), user_data);
    let id = facts.id.clone();
    let machine = Machine::boot(facts, Arc::clone(room));
    tokio::spawn(announce(Arc::clone(host), Arc::clone(&machine)));
    host.machines().current.insert(id, machine);
}

/// Turns the machine's record into events until it is gone.
async fn announce(host: Arc<Inner>, machine: Arc<Machine>) {
    let mut record = machine.watch();
    let mut told = std::collections::BTreeSet::new();
    loop {
        let now = record.borrow_and_update().clone();
        for (phase, at) in &now.phases {
            if told.insert(*phase) {
                send(&host, &machine, *at, Happened::Reached(*phase));
            }
        }
        if let Some(at) = now.phases.get(&Phase::Gone) {
            return send(&host, &machine, *at, Happened::Ended { reason: now.ending() });
        }
        if record.changed().await.is_err() {
            return;
        }
    }
}

fn send(host: &Inner, machine: &Machine, at: Timestamp, what: Happened) {
    // Nobody need listen.
    let _ = host.events.send(Event { at, instance_id: machine.id().to_owned(), what });
}
