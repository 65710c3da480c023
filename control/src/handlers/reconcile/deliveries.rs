//! Webhooks that failed are sent again.

use tracing::{error, info, warn};

use super::{Done, Ports, Run, gaps};
use crate::{
    decide::reconcile::{deliveries::Memory, gaps::is_unread},
    github::{
        GitHubError,
        watch::{Hook, Redelivery, Watch},
    },
    report::Chain,
};

/// The most pages of a hook's list that are read in one run: 100 deliveries each.
const MOST_PAGES: u32 = 5;
/// The most deliveries that are sent again in one run. At one a second GitHub's secondary limits are far.
const MOST_SENT: usize = 20;

/// Heals each hook.
pub(super) async fn heal<P: Ports>(run: &Run<'_, P>) -> Done {
    let hooks = run.deps.github.app_hooks().await?;
    for hook in hooks.iter().chain(&run.deps.hooks) {
        if !run.has_time() {
            break;
        }
        let key = format!("hook#{hook}");
        let healed = async {
            let before: Memory = run.recall(&key).await?;
            if is_unread(before.known_until, run.now()) {
                gaps::lose(run, true).await?;
            }
            let mut memory = before.clone();
            let healed = one(run, hook, &mut memory).await;
            // Also what was done before a failure.
            if memory != before {
                run.remember(&key, &memory).await;
            }
            healed
        };
        if let Err(failed) = healed.await {
            run.deps.metrics.refused("hook");
            error!(hook.name = %hook, error = %Chain(failed.as_ref()), "The deliveries of {hook} are looked at again in the next run");
        }
    }
    Ok(())
}

/// Reads the list of those that failed, a few pages of it.
async fn read<P: Ports>(run: &Run<'_, P>, hook: &Hook, memory: &mut Memory) -> Done {
    for _ in 0..MOST_PAGES {
        let cursor = memory.next_page(run.now());
        let page = match run.deps.github.failed(hook, cursor.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                // A cursor that GitHub has forgotten would be refused for ever.
                if matches!(error, GitHubError::Permanent(_)) {
                    memory.walk = None;
                }
                return Err(error.into());
            }
        };
        if !memory.read(&page.failed, page.next) || !run.has_time() {
            break;
        }
    }
    Ok(())
}

async fn one<P: Ports>(run: &Run<'_, P>, hook: &Hook, memory: &mut Memory) -> Done {
    let is_read = read(run, hook, memory).await;
    let waiting = memory.waiting.clone();
    let lost = memory.tidy(run.now()) + memory.left_out;
    if lost > 0 {
        if let Err(failed) = gaps::lose(run, false).await {
            // Told in the next run: of what is forgotten nobody would look for the jobs.
            memory.waiting = waiting;
            return Err(failed.into());
        }
        memory.left_out = 0;
        run.deps.metrics.refused("delivery_lost");
        error!(hook.name = %hook, deliveries.count = lost, "{lost} deliveries were never taken, and are not sent again");
    }
    is_read?;
    for (guid, id) in memory.due(run.now(), MOST_SENT) {
        if !run.has_time() {
            break;
        }
        match run.deps.github.redeliver(hook, id).await? {
            Redelivery::Accepted => {
                memory.sent(&guid, run.now());
                run.deps.metrics.mended("delivery");
                info!(hook.name = %hook, delivery.id = guid, "Delivery {guid} is sent again");
            }
            Redelivery::Gone => {
                gaps::lose(run, false).await?;
                memory.forget(&guid);
                run.deps.metrics.refused("delivery_lost");
                warn!(hook.name = %hook, delivery.id = guid, "GitHub does not send delivery {guid} again");
            }
        }
    }
    Ok(())
}
