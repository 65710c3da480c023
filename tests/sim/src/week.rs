//! A week with very many jobs.

use serde_json::json;

use crate::{
    Faults, Setting,
    documents::{fleet, fleets, spot, with},
};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// So many `jobs` over so many `days`, for four fleets, with a little of each fault all the time.
#[must_use]
pub fn of(jobs: u64, days: u64) -> Setting {
    let labelled =
        |name: &str, it| with(with(it, "name", json!(name)), "labels", json!(["self-hosted", "linux", name]));
    let all = [
        labelled("small", fleet("small", 400)),
        labelled("large", spot(fleet("large", 400))),
        labelled("again", with(fleet("again", 400), "ephemeral", json!(false))),
        labelled("arm", spot(fleet("arm", 400))),
    ];
    let until = days * DAY;
    Setting {
        fleets: fleets(&all),
        labels: ["small", "large", "again", "arm"].map(|name| vec!["self-hosted", "linux", name]).to_vec(),
        spread: until,
        longest_job: 3 * MINUTE,
        call: 3,
        concurrency: 30,
        kept: 30 * MINUTE,
        faults: Faults {
            until,
            calls: 1,
            failed: 1,
            vanished: 1,
            shuffled: 2,
            boots: 1,
            dooms: 1,
            interruptions: 50,
            stale: true,
            ..Faults::default()
        },
        ..Setting::calm(400, jobs, 2000)
    }
}
