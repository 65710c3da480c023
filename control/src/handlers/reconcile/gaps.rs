//! Where webhooks were missed for a time, the runs of the known repositories are looked through, once.

use std::cell::RefCell;

use tracing::{error, info, warn};

use super::{Done, Ports, Run};
use crate::{
    decide::{
        events::JobEvent,
        jobs::JobState,
        reconcile::gaps::{Delivered, Memory, Open, Question, Repositories, Scan, find},
    },
    fleets::{Owner, Scope, Target},
    github::{
        GitHubError,
        runs::{RunJob, Runs},
        watch::Watch,
    },
    handlers::webhook::{
        HEARD,
        take::{Door, Taken, take},
    },
    ledger::{Ledger, LedgerError, Notes},
    report::{BoxError, Chain},
};

/// The most calls of one run, beside those for a token. GitHub allows an installation 5,000 an hour at least.
const MOST_CALLS: u32 = 30;
/// The most pages of the jobs of one run: 100 each.
const MOST_JOB_PAGES: u32 = 3;

/// The note of what is remembered.
const NOTE: &str = "gaps";
/// The note of the known repositories.
const REPOSITORIES: &str = "repositories";

/// Repositories that this run has met, and the App's installation there.
pub(super) type Met = RefCell<Vec<(String, Option<u64>)>>;

/// Notes that `job` has moved, and no webhook told of it: before it is moved, so that it is not forgotten.
pub(super) async fn miss<P: Ports>(run: &Run<'_, P>, job: u64) -> Result<(), LedgerError> {
    let mut memory: Memory = run.recall(NOTE).await?;
    memory.miss(job, run.now());
    run.note(NOTE, &memory).await
}

/// Notes that deliveries were lost for good, or can't be known of any more.
pub(super) async fn lose<P: Ports>(run: &Run<'_, P>, unread: bool) -> Result<(), LedgerError> {
    let mut memory: Memory = run.recall(NOTE).await?;
    *(if unread { &mut memory.unread } else { &mut memory.lost }) = Some(run.now());
    run.note(NOTE, &memory).await
}

/// Looks whether there is a gap, and goes on with what is looked through for one.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>) -> Done {
    let repositories = learn(run).await?;
    let before: Memory = run.recall(NOTE).await?;
    let mut memory = before.clone();
    memory.tidy(run.now());
    if memory.scan.is_none() && memory.is_due(run.now()) {
        memory.looked_at = run.now();
        let heard = run.deps.ledger.recall(HEARD).await?;
        let delivered = delivered(run).await;
        if let Some(why) = find(&memory, heard, delivered, run.now()) {
            let all: Vec<String> = repositories.0.keys().cloned().collect();
            run.deps.metrics.refused("gap");
            error!(
                gap.reason = why.name(),
                repositories.count = all.len(),
                "A defect: webhooks were missed ({}); the runs of {} repositories are looked through",
                why.name(),
                all.len()
            );
            memory.begin(why, all, run.now());
        }
    }
    if memory != before {
        run.remember(NOTE, &memory).await;
    }
    let Some(mut scan) = memory.scan.take() else { return Ok(()) };
    go_on(run, &mut scan, &repositories).await;
    memory.scan = Some(scan).filter(|scan| {
        let more = scan.next().is_some();
        if !more {
            info!(gap.reason = scan.why.name(), jobs.found = scan.found, "All repositories were looked through");
        }
        more
    });
    run.remember(NOTE, &memory).await;
    Ok(())
}

/// The repositories that jobs of ours were of, as earlier runs have met them.
pub(super) async fn repositories<P: Ports>(run: &Run<'_, P>) -> Result<Repositories, LedgerError> {
    run.recall(REPOSITORIES).await
}

/// The known repositories, and those that this run has met.
async fn learn<P: Ports>(run: &Run<'_, P>) -> Result<Repositories, BoxError> {
    run.read_all().await?;
    let before = repositories(run).await?;
    let mut known = before.clone();
    for level in run.levels.borrow().values() {
        for it in &level.view.queued {
            known.learn(&it.repository, it.installation, run.now());
        }
    }
    for (repository, installation) in run.met.take() {
        known.learn(&repository, installation, run.now());
    }
    let cut = known.tidy(run.now());
    if cut > 0 {
        run.deps.metrics.refused("repositories_cut");
        warn!(repositories.count = cut, "There are more repositories than are remembered");
    }
    if known != before {
        run.remember(REPOSITORIES, &known).await;
    }
    Ok(known)
}

/// When GitHub delivered last; not known where one of the hooks can't be asked.
async fn delivered<P: Ports>(run: &Run<'_, P>) -> Option<Delivered> {
    let mut all = Delivered::default();
    let hooks = match run.deps.github.app_hooks().await {
        Ok(hooks) => hooks,
        Err(error) => {
            warn!("{}", Chain(&error));
            return None;
        }
    };
    if hooks.is_empty() && run.deps.hooks.is_empty() {
        return None;
    }
    for hook in hooks.iter().chain(&run.deps.hooks) {
        match run.deps.github.delivered(hook).await {
            Ok(it) => all = all.and(it),
            Err(error) => {
                warn!(hook.name = %hook, "{}", Chain(&error));
                return None;
            }
        }
    }
    Some(all)
}

/// Asks on where the scan has come to, within this run's calls. What was found is noted after it was taken: to take it
/// again changes nothing.
async fn go_on<P: Ports>(run: &Run<'_, P>, scan: &mut Scan, repositories: &Repositories) {
    let mut left = MOST_CALLS;
    while let Some(question) = scan.next().filter(|_| run.has_time()) {
        // A question is begun where it can be asked to its end, however many pages the answer has.
        let most = match &question {
            Question::Runs { .. } => 1,
            Question::Jobs { .. } => MOST_JOB_PAGES,
        };
        if left < most {
            break;
        }
        let (Question::Runs { repository, .. } | Question::Jobs { repository, .. }) = &question;
        let installation = repositories.0.get(repository).and_then(|it| it.installation);
        let target = Target { scope: Scope::Repository(repository.clone()), installation };
        let answer = match &question {
            Question::Runs { repository, status, page } => {
                left -= 1;
                run.deps.github.open_runs(&target, repository, status, *page).await.map(|(runs, more)| {
                    scan.listed(&runs, more);
                    None
                })
            }
            Question::Jobs { repository, run: it } => {
                queued(run, &target, repository, it.id, &mut left).await.map(Some)
            }
        };
        match (answer, &question) {
            (Ok(Some(jobs)), Question::Jobs { repository, run: it }) => {
                let (mut found, mut failed) = (0, false);
                for job in &jobs {
                    match enter(run, &target, repository, it, job).await {
                        Ok(entered) => found += u64::from(entered),
                        Err(error) => {
                            failed = true;
                            error!(job.id = job.id, error = %Chain(error.as_ref()), "Job {} can't be taken now", job.id);
                        }
                    }
                }
                if !failed {
                    scan.looked(found);
                } else if !is_passed_over(run, scan, repository) {
                    break;
                }
            }
            // What was listed is in the scan.
            (Ok(_), _) => {}
            // One that is gone, or that we may not see any more.
            (Err(error @ GitHubError::Permanent(_)), _) => {
                run.deps.metrics.refused("gap_repository");
                warn!(repository.name = repository, error = %Chain(&error), "{repository} can't be looked through");
                scan.skip();
            }
            (Err(error), _) => {
                warn!(repository.name = repository, error = %Chain(&error), "The next run looks on");
                if matches!(error, GitHubError::Limited { .. }) || !is_passed_over(run, scan, repository) {
                    break;
                }
            }
        }
    }
}

/// Whether what fails in `repository` has failed for so long that it is passed over.
fn is_passed_over<P: Ports>(run: &Run<'_, P>, scan: &mut Scan, repository: &str) -> bool {
    let over = scan.failed();
    if over {
        run.deps.metrics.refused("gap_repository");
        error!(repository.name = repository, "Passed over in {repository} what fails again and again");
    }
    over
}

/// The queued jobs of the run `id`. Each call is taken from what is `left`, also one that fails.
async fn queued<P: Ports>(
    run: &Run<'_, P>,
    target: &Target,
    repository: &str,
    id: u64,
    left: &mut u32,
) -> Result<Vec<RunJob>, GitHubError> {
    let mut all = Vec::new();
    for page in 1..=MOST_JOB_PAGES {
        *left = left.saturating_sub(1);
        let (jobs, more) = run.deps.github.run_jobs(target, repository, id, page).await?;
        all.extend(jobs.into_iter().filter(|job| job.status == "queued"));
        if !more {
            return Ok(all);
        }
    }
    run.deps.metrics.refused("gap_cut");
    warn!(run.id = id, repository.name = repository, "Run {id} has more jobs than are looked through");
    Ok(all)
}

/// Takes a queued job as its webhook would have been; answers whether nobody had told of it.
async fn enter<P: Ports>(
    run: &Run<'_, P>,
    target: &Target,
    repository: &str,
    of: &Open,
    job: &RunJob,
) -> Result<bool, BoxError> {
    if run.deps.ledger.job(job.id).await?.is_some_and(|known| known.state >= JobState::Queued) {
        return Ok(false);
    }
    let event = JobEvent {
        state: JobState::Queued,
        id: job.id,
        labels: job.labels.clone(),
        asks: Vec::new(),
        repository: repository.to_owned(),
        public_fork: of.public_fork,
        run_id: of.id,
        run_attempt: job.attempt,
        installation: target.installation,
        runner_name: None,
        runner_id: None,
        conclusion: None,
        waited_ms: None,
    };
    let owner = Owner { is_person: of.of_person, enterprise: None };
    let deps = run.deps;
    let door = Door {
        fleets: &deps.fleets,
        ledger: &deps.ledger,
        wake: &deps.wake,
        metrics: &deps.metrics,
        clock: &deps.clock,
    };
    match take(&door, "", &event, &owner, None).await? {
        Taken::NotOurs => Ok(false),
        Taken::Noted => {
            deps.metrics.mended("missed_job");
            warn!(
                job.id = job.id,
                job.repository = repository,
                run.id = of.id,
                "Job {} is queued, and no webhook told of it",
                job.id
            );
            Ok(true)
        }
    }
}
