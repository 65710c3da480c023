//! Begins the sources that tell of the machine for as long as the agent lives; those of the runner begin with it.

use std::path::PathBuf;
use std::time::Duration;

use dayfly_contract::{AgentConfig, Reason};
use tokio::time::{Instant, interval_at};

use super::disk::{DiskNews, watch_disk};
use super::notices::{self, NoticeKind, Pace, watch_notices};
use super::stillness::{Clocks, watch_stillness};
use crate::aws::imds::Imds;
use crate::clock::Clock;
use crate::core::{Event, Notice};
use crate::driver::Source;
use crate::runner::Plan;

/// How often the disks and the clocks are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The sources for a machine with this `config` and `plan`.
#[must_use]
pub fn sources(imds: Imds, clock: Clock, config: &AgentConfig, plan: &Plan) -> Vec<Source> {
    let folders = vec![plan.directory().to_owned(), plan.work_folder()];
    vec![
        Box::new(move |events| {
            tokio::spawn(watch_notices(imds, Pace::default(), move |notice| {
                let _unheard = events.send(Event::Notice(noticed(notice, &clock)));
            }));
        }),
        disks(folders, config.disk_free_mib),
        Box::new(|events| {
            let clocks = Clocks::new();
            tokio::spawn(watch_stillness(
                LOOK,
                move || clocks.read(),
                move |stood| {
                    let _unheard = events.send(Event::Slept(stood));
                },
            ));
        }),
        heartbeat(Duration::from_secs(config.heartbeat_seconds)),
    ]
}

fn disks(folders: Vec<PathBuf>, floor_mib: u64) -> Source {
    Box::new(move |events| {
        if floor_mib == 0 {
            return;
        }
        tokio::spawn(watch_disk(folders, floor_mib, LOOK, move |news: DiskNews| {
            // One that is well again may still be told to leave: nobody knows for how long it is.
            if news.is_low {
                let _unheard = events.send(Event::DiskLow { free_mib: news.free_mib });
            }
        }));
    })
}

fn heartbeat(every: Duration) -> Source {
    Box::new(move |events| {
        tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + every, every);
            loop {
                ticks.tick().await;
                if events.send(Event::HeartbeatDue).is_err() {
                    return;
                }
            }
        });
    })
}

fn noticed(notice: notices::Notice, clock: &Clock) -> Notice {
    let reason = match notice.kind {
        NoticeKind::Spot => Reason::SpotInterruption,
        NoticeKind::Rebalance => Reason::Rebalance,
        NoticeKind::Maintenance => Reason::Maintenance,
    };
    // A recommendation says since when it is expected, and that is no end.
    let at = notice.at.filter(|_| notice.kind != NoticeKind::Rebalance);
    Notice { reason, at: at.map(|millis| clock.uptime_at(millis)), detail: notice.detail }
}
