//! Images and their snapshots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tracing::info;

use super::{
    Ports, Run,
    report::{ImageEntry, Outcome, SnapshotEntry},
};
use crate::{
    clock::Clock,
    decide::housekeeping::{Image, Use, Uses, Verdict, images_in, judge, of_fleets, parameter_of, snapshots},
    estate::{Estate, EstateError, Instance},
    objects::{If, Objects, ObjectsError},
    report::Chain,
};

/// Snapshots of images that are gone, or were to go when a run ended: once an image is, nothing else tells which they were.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Pending {
    snapshots: BTreeSet<String>,
}

/// Takes images away that may go, and their snapshots.
pub(super) async fn clear<P: Ports>(run: &mut Run<'_, P>, instances: &[Instance]) {
    let (deps, settings) = (run.deps, &run.deps.settings);
    // Neither are there any then, nor snapshots of theirs.
    if settings.images.tags.is_empty() {
        return;
    }
    let (images, uses) = match look(run, instances).await {
        Ok(seen) => seen,
        Err(error) => return run.failed("estate", &Chain(&error).to_string()),
    };
    let before = match pending(run).await {
        Ok(before) => before,
        Err(error) => return run.failed("store", &Chain(&error).to_string()),
    };
    let verdicts = judge(&images, &settings.images, &uses, deps.clock.now());
    let going: BTreeSet<&str> =
        verdicts.iter().filter(|(_, it)| *it == Verdict::Goes).map(|(image, _)| image.id.as_str()).collect();
    let split = |gone: &BTreeSet<&str>| images.iter().partition::<Vec<_>, _>(|it| gone.contains(it.id.as_str()));
    let (gone, left) = split(&going);
    let all = snapshots(&gone, &left, &before);
    if !settings.dry_run
        && all != before
        && let Err(error) = note(run, &all).await
    {
        return run.failed("store", &Chain(&error).to_string());
    }
    let mut gone = BTreeSet::new();
    for (image, verdict) in verdicts {
        let (outcome, reason) = match verdict {
            Verdict::Stays(why) => (Outcome::Stays, Some(why.to_string())),
            Verdict::Goes => (deregister(run, image).await, None),
        };
        if matches!(outcome, Outcome::Gone | Outcome::WouldGo) {
            gone.insert(image.id.as_str());
        }
        run.count("image", outcome.name());
        let (id, name) = (image.id.clone(), image.name.clone());
        run.report.images.push(ImageEntry { id, name, created_at: image.created_at, outcome, reason });
    }
    let (gone, left) = split(&gone);
    let deletable = snapshots(&gone, &left, &before);
    let mut rest = BTreeSet::new();
    for id in &deletable {
        let outcome = delete_snapshot(run, id).await;
        if outcome != Outcome::Gone {
            rest.insert(id.clone());
        }
        run.count("snapshot", outcome.name());
        run.report.snapshots.push(SnapshotEntry { id: id.clone(), outcome });
    }
    if !settings.dry_run
        && rest != all
        && let Err(error) = note(run, &rest).await
    {
        run.failed("store", &Chain(&error).to_string());
    }
}

/// The account's images, and all that names any.
async fn look<P: Ports>(run: &Run<'_, P>, instances: &[Instance]) -> Result<(Vec<Image>, Uses), EstateError> {
    let (deps, estate) = (run.deps, &run.deps.estate);
    let images = estate.images().await?;
    let mut uses = Uses::new();
    let mut parameters = of_fleets(&deps.fleets, &images, &mut uses);
    let mut names = |image: &str, by: Use| {
        uses.entry(image.to_owned()).or_default().insert(by);
    };
    for instance in instances {
        names(&instance.image, Use::Instance(instance.id.clone()));
    }
    for it in estate.template_versions().await? {
        if let Some(parameter) = parameter_of(&it.image) {
            parameters.insert(parameter.to_owned());
        } else {
            names(&it.image, Use::Template { id: it.template, version: it.version });
        }
    }
    // AWS's own name AWS's images.
    parameters.retain(|name| !name.starts_with("/aws/"));
    parameters.extend(estate.parameter_names().await?);
    let parameters: Vec<String> = parameters.into_iter().collect();
    let values: BTreeMap<String, String> = estate.parameters(&parameters).await?;
    for (name, value) in values {
        for image in images_in(&value) {
            names(&image, Use::Parameter(name.clone()));
        }
    }
    Ok((images, uses))
}

async fn deregister<P: Ports>(run: &mut Run<'_, P>, image: &Image) -> Outcome {
    if run.deps.settings.dry_run {
        return Outcome::WouldGo;
    }
    if !run.time_is_left() {
        return Outcome::Later;
    }
    match run.deps.estate.deregister(&image.id).await {
        Ok(()) => {
            info!(image.id, image.name, "Deregistered an old image");
            Outcome::Gone
        }
        Err(error) => {
            run.failed("not_cleared", &Chain(&error).to_string());
            Outcome::Failed
        }
    }
}

async fn delete_snapshot<P: Ports>(run: &mut Run<'_, P>, id: &str) -> Outcome {
    if run.deps.settings.dry_run {
        return Outcome::WouldGo;
    }
    if !run.time_is_left() {
        return Outcome::Later;
    }
    match run.deps.estate.delete_snapshot(id).await {
        Ok(()) => {
            info!(snapshot.id = id, "Deleted a snapshot of an image that is gone");
            Outcome::Gone
        }
        Err(error) => {
            run.failed("not_cleared", &Chain(&error).to_string());
            Outcome::Failed
        }
    }
}

fn pending_key<P: Ports>(run: &Run<'_, P>) -> String {
    format!("{}/snapshots.json", run.deps.settings.reports)
}

async fn pending<P: Ports>(run: &Run<'_, P>) -> Result<BTreeSet<String>, ObjectsError> {
    let text = run.deps.reports.read(&pending_key(run)).await?;
    let pending = text.and_then(|it| serde_json::from_str::<Pending>(&it.text).ok()).unwrap_or_default();
    Ok(pending.snapshots)
}

async fn note<P: Ports>(run: &Run<'_, P>, snapshots: &BTreeSet<String>) -> Result<(), ObjectsError> {
    // Texts in a list have no way to fail.
    let text = serde_json::to_string(&Pending { snapshots: snapshots.clone() }).unwrap_or_default();
    let _always = run.deps.reports.write(&pending_key(run), &text, If::Always).await?;
    Ok(())
}
