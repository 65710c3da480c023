//! EC2's notices to this instance: that it takes a spot instance back, that it expects to, that it has scheduled
//! maintenance. The metadata service tells them to who asks, so this asks it again and again.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::aws::imds::{Imds, MetadataError};
use crate::backoff::random;
use crate::errors::chain;

/// What EC2 gives notice of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// It takes the spot instance back, in about two minutes.
    Spot,
    /// It expects to take the spot instance back.
    Rebalance,
    /// It has scheduled a reboot, stop or retirement, or maintenance.
    Maintenance,
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// What it is of.
    pub kind: NoticeKind,
    /// When that happens at the earliest ([`NoticeKind::Rebalance`]: since when it is expected), in milliseconds since
    /// 1970; none where EC2 does not say, or not readably.
    pub at: Option<u64>,
    /// One sentence for a person.
    pub detail: String,
}

/// How often to ask.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For the notices that only spot instances get. AWS advises 5 s.
    pub spot: Duration,
    /// For maintenance, which is scheduled days before.
    pub maintenance: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { spot: Duration::from_secs(5), maintenance: Duration::from_mins(1) }
    }
}

/// Tells each new notice once, for ever. An instance that is known not to be spot is asked about maintenance alone.
/// Trouble with the metadata service is logged when it begins and when it is over.
pub async fn watch_notices(imds: Imds, pace: Pace, tell: impl Fn(Notice)) {
    let mut watch = Watch { imds, is_spot: None, maintenance_due: Instant::now(), trouble: None };
    let mut told = HashSet::new();
    loop {
        for notice in watch.look(pace).await {
            if told.insert(notice.clone()) {
                warn!(notice.at_ms = notice.at, "EC2 gives notice: {}", notice.detail);
                tell(notice);
            }
        }
        let pause = if watch.is_spot == Some(false) { pace.maintenance } else { pace.spot };
        // A tenth sooner or later: instances that were launched together do not ask together.
        sleep(pause.mul_f64(0.9 + random() / 5.0)).await;
    }
}

struct Watch {
    imds: Imds,
    /// None until the service has said.
    is_spot: Option<bool>,
    maintenance_due: Instant,
    /// Since when there is some.
    trouble: Option<Instant>,
}

impl Watch {
    /// All notices that stand now, as far as the service tells.
    async fn look(&mut self, pace: Pace) -> Vec<Notice> {
        let mut answers = Vec::new();
        if self.is_spot.is_none() {
            match self.imds.life_cycle().await {
                // Where it is not known, spot notices are asked for.
                Ok(told) => self.is_spot = Some(told.is_none_or(|told| told.trim() == "spot")),
                Err(error) => answers.push(Err(error)),
            }
        }
        if self.is_spot != Some(false) {
            answers.push(self.imds.spot_action().await.map(|text| text.iter().map(|text| spot(text)).collect()));
            answers.push(self.imds.rebalance().await.map(|text| text.iter().map(|text| rebalance(text)).collect()));
        }
        // A little early rather than a whole round late.
        if Instant::now() + pace.spot / 2 >= self.maintenance_due {
            let answer = self.imds.maintenance().await.map(|text| text.as_deref().map(maintenance).unwrap_or_default());
            if answer.is_ok() {
                self.maintenance_due = Instant::now() + pace.maintenance;
            }
            answers.push(answer);
        }
        self.note_trouble(answers.iter().find_map(|answer| answer.as_ref().err()));
        answers.into_iter().flatten().flatten().collect()
    }

    fn note_trouble(&mut self, error: Option<&MetadataError>) {
        match (error, self.trouble) {
            (Some(error), None) => {
                warn!(error = %chain(error), "EC2's notices can't be read now; trying on");
                self.trouble = Some(Instant::now());
            }
            (None, Some(since)) => {
                info!(seconds = since.elapsed().as_secs(), "EC2's notices can be read again");
                self.trouble = None;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Reads `{"action": "terminate", "time": "2026-11-20T14:00:00Z"}`. That there is an answer is the notice; one that
/// can't be read still is one.
fn spot(text: &str) -> Notice {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Action {
        action: Option<String>,
        time: Option<String>,
    }
    let Action { action, time } = serde_json::from_str(text).unwrap_or_default();
    let (at, when) = moment(time.as_deref(), rfc3339);
    let action = action.map_or_else(String::new, |action| format!(" ({})", short(&action)));
    Notice { kind: NoticeKind::Spot, at, detail: format!("EC2 takes the spot instance back{action}{when}") }
}

/// Reads `{"noticeTime": "2026-11-20T14:00:00Z"}`.
fn rebalance(text: &str) -> Notice {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Recommendation {
        notice_time: Option<String>,
    }
    let Recommendation { notice_time } = serde_json::from_str(text).unwrap_or_default();
    let (at, when) = moment(notice_time.as_deref(), rfc3339);
    Notice { kind: NoticeKind::Rebalance, at, detail: format!("EC2 expects to take the spot instance back{when}") }
}

/// Reads a list of events, each with `NotBefore`, `Code`, `Description` and `State`. Those that are completed or
/// canceled stay in it for a while and are passed over.
fn maintenance(text: &str) -> Vec<Notice> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Scheduled {
        not_before: Option<String>,
        code: Option<String>,
        description: Option<String>,
        state: Option<String>,
    }
    let events: Vec<Scheduled> = serde_json::from_str(text).unwrap_or_else(|error| {
        // Told each minute, as long as it lasts: it is not expected at all.
        warn!(%error, "What EC2 has scheduled can't be read");
        Vec::new()
    });
    let active = events.into_iter().filter(|event| event.state.as_deref().is_none_or(|state| state == "active"));
    active
        .map(|event| {
            let (at, when) = moment(event.not_before.as_deref(), gmt);
            let code = event.code.map_or_else(|| "maintenance".to_owned(), |code| short(&code));
            let description = event.description.map_or_else(String::new, |text| format!(": {}", short(&text)));
            let detail = format!("EC2 has scheduled {code}{when}{description}");
            Notice { kind: NoticeKind::Maintenance, at, detail }
        })
        .collect()
}

/// A time as milliseconds, and as the end of a sentence.
fn moment(text: Option<&str>, read: fn(&str) -> Option<Timestamp>) -> (Option<u64>, String) {
    match text.map(|text| (text, read(text))) {
        Some((_, Some(time))) => (u64::try_from(time.as_millisecond()).ok(), format!(", {time}")),
        Some((text, None)) => (None, format!(", {}", short(text))),
        None => (None, String::new()),
    }
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// `21 Jan 2019 09:00:43 GMT`, which only these events use.
fn gmt(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%d %b %Y %H:%M:%S GMT", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// Long enough for all that AWS documents.
fn short(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spot_actions_are_read() {
        let notice = spot(r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#);
        let detail = "EC2 takes the spot instance back (terminate), 2017-09-18T08:22:00Z".to_owned();
        assert_eq!(notice, Notice { kind: NoticeKind::Spot, at: Some(1_505_722_920_000), detail });
        assert!(spot(r#"{"action": "hibernate"}"#).detail.ends_with("(hibernate)"));
    }

    #[test]
    fn a_notice_that_can_not_be_read_is_one_all_the_same() {
        for text in ["", "soon", "{}", "[]", r#"{"action": 3}"#] {
            assert_eq!((spot(text).kind, spot(text).at), (NoticeKind::Spot, None), "{text}");
            assert_eq!((rebalance(text).kind, rebalance(text).at), (NoticeKind::Rebalance, None), "{text}");
        }
        assert!(spot(r#"{"action": "stop", "time": "soon"}"#).detail.ends_with("(stop), soon"));
    }

    #[test]
    fn rebalance_recommendations_are_read() {
        let notice = rebalance(r#"{"noticeTime": "2020-11-05T08:22:00Z"}"#);
        assert_eq!((notice.kind, notice.at), (NoticeKind::Rebalance, Some(1_604_564_520_000)));
    }

    #[test]
    fn maintenance_is_told_as_long_as_it_is_to_come() {
        let text = r#"[
            {"NotBefore": "21 Jan 2019 09:00:43 GMT", "Code": "system-reboot", "Description": "scheduled reboot",
             "EventId": "instance-event-0d59937288b749b32", "NotAfter": "21 Jan 2019 09:17:23 GMT", "State": "active"},
            {"NotBefore": "1 Feb 2019 09:00:43 GMT", "Code": "instance-retirement", "Description": "", "State": "active"},
            {"NotBefore": "21 Jan 2019 09:00:43 GMT", "Code": "system-reboot", "State": "completed"},
            {"NotBefore": "21 Jan 2019 09:00:43 GMT", "Code": "instance-stop", "State": "canceled"}]"#;
        let notices = maintenance(text);
        let times: Vec<Option<u64>> = notices.iter().map(|notice| notice.at).collect();
        assert_eq!(times, [Some(1_548_061_243_000), Some(1_549_011_643_000)]);
        assert_eq!(notices[0].detail, "EC2 has scheduled system-reboot, 2019-01-21T09:00:43Z: scheduled reboot");
        assert_eq!(maintenance("[]"), []);
        assert_eq!(maintenance("none"), []);
    }
}
