//! One job's life, put together from what GitHub, EC2 and the agent tell.

use dayfly_contract::{Lifecycle, Phase};
use jiff::Timestamp;
use laptop_ec2::{Machine, Phase as MachinePhase};
use laptop_github::{Conclusion, Delivery, Job};

use crate::ui;

/// A moment in a job's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// Who tells of it.
    pub(crate) who: &'static str,
    pub(crate) what: String,
}

/// When each step of a job's life ended, in milliseconds since it was queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps([Option<i64>; NAMES.len()]);

/// What the table calls the time up to each moment, from the one before.
const NAMES: [&str; 9] = [
    "webhook answered",
    "instance launched",
    "machine started",
    "agent started",
    "registration claimed",
    "runner started",
    "runner listening",
    "job running",
    "job done",
];
/// Index of "job running".
const RUNNING: usize = 7;

/// Everything that is known so far, oldest first.
pub(crate) fn moments(job: &Job, deliveries: &[Delivery], machine: Option<&Machine>) -> Vec<Moment> {
    let mut moments = Vec::new();
    for delivery in of_job(job, deliveries) {
        let action = delivery.action.as_deref().unwrap_or_default();
        let what =
            format!("webhook workflow_job {action}: {} in {:.0} ms", delivery.status_code, delivery.duration * 1000.0);
        moments.push(Moment { at: delivery.delivered_at, who: "GitHub", what });
    }
    for happening in &job.history {
        moments.push(Moment { at: happening.at, who: "GitHub", what: format!("job: {}", happening.what) });
    }
    if let Some(machine) = machine {
        let record = machine.record();
        for (phase, at) in &record.phases {
            let what = match phase {
                MachinePhase::Queued => "instance launched",
                MachinePhase::Leader => "first process started",
                MachinePhase::Ready => "machine is up",
                MachinePhase::Stopping => "powering off",
                MachinePhase::Gone => "machine is gone",
                MachinePhase::Prepared | MachinePhase::Ended => continue,
            };
            moments.push(Moment { at: *at, who: "EC2", what: format!("{} {what}", machine.id()) });
        }
        moments.extend(machine.console().lines().filter_map(said));
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// All that the agent tells control, as its log on the console shows it. After a restart of the agent the same may be
/// told again.
pub(crate) fn words(console: &str) -> Vec<Lifecycle> {
    let lines = console.lines().filter_map(log_line);
    lines.filter_map(|line| serde_json::from_str(line["lifecycle.message"].as_str()?).ok()).collect()
}

/// The agent's last word on the console: the lifecycle message that says how it ended.
#[must_use]
pub fn last_word(console: &str) -> Option<Lifecycle> {
    words(console).into_iter().rfind(|word| word.kind.is_last())
}

/// The times of a job that is done.
pub(crate) fn steps(job: &Job, deliveries: &[Delivery], machine: Option<&Machine>) -> Steps {
    let origin = job.created_at.as_millisecond();
    let since = |at: Timestamp| at.as_millisecond() - origin;
    let record = machine.map(Machine::record);
    let reached = |phase| Some(since(*record.as_ref()?.phases.get(&phase)?));
    let word = machine.and_then(|machine| last_word(&machine.console()));
    let told = |phase| Some(i64::try_from(word.as_ref()?.timeline.get(phase)?).ok()? - origin);
    let answered = of_job(job, deliveries).find(|delivery| delivery.action.as_deref() == Some("queued"));
    #[expect(clippy::cast_possible_truncation, reason = "a duration in milliseconds")]
    let answered = answered.map(|delivery| since(delivery.delivered_at) + (delivery.duration * 1000.0) as i64);
    Steps([
        answered,
        reached(MachinePhase::Queued),
        reached(MachinePhase::Leader),
        told(Phase::Agent),
        told(Phase::Claimed),
        told(Phase::Started),
        told(Phase::Listening),
        job.started_at.map(since),
        job.completed_at.map(since),
    ])
}

impl Steps {
    /// Milliseconds from the webhook to the running job.
    pub(crate) fn until_running(&self) -> Option<i64> {
        self.0[RUNNING]
    }
}

/// The table at the end: median and slowest time at which each step was reached.
pub(crate) fn table(all: &[Steps]) -> String {
    let rows: Vec<Vec<String>> = NAMES.iter().enumerate().map(|(i, name)| row(name, i, all)).collect();
    ui::table(&["phase", "step (median)", "since queued (median)", "since queued (slowest)"], &rows)
}

fn row(name: &str, i: usize, all: &[Steps]) -> Vec<String> {
    let mut reached: Vec<i64> = all.iter().filter_map(|steps| steps.0[i]).collect();
    let mut took: Vec<i64> =
        all.iter().filter_map(|steps| Some(steps.0[i]? - if i == 0 { 0 } else { steps.0[i - 1]? })).collect();
    reached.sort_unstable();
    took.sort_unstable();
    let show = |millis: Option<&i64>| millis.map_or_else(|| "–".to_owned(), |millis| seconds(*millis));
    vec![name.to_owned(), show(took.get(took.len() / 2)), show(reached.get(reached.len() / 2)), show(reached.last())]
}

/// Milliseconds as seconds, for people.
pub(crate) fn seconds(millis: i64) -> String {
    format!("{}{}.{:03} s", if millis < 0 { "-" } else { "" }, millis.abs() / 1000, millis.abs() % 1000)
}

fn of_job<'a>(job: &'a Job, deliveries: &'a [Delivery]) -> impl Iterator<Item = &'a Delivery> {
    deliveries.iter().filter(|delivery| delivery.request_payload["workflow_job"]["id"].as_u64() == Some(job.id))
}

/// Whether a job did what it should, exactly once.
pub(crate) fn ran_once(job: &Job) -> Result<(), String> {
    if job.conclusion == Some(Conclusion::Success) && job.handed_out == 1 {
        return Ok(());
    }
    Err(format!("job {} is {:?} ({:?}), handed out {} times", job.id, job.state, job.conclusion, job.handed_out))
}

/// A line of the agent's log on the console. systemd's console puts a prefix before it.
fn log_line(line: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&line[line.find('{')?..]).ok()
}

fn said(line: &str) -> Option<Moment> {
    let line = log_line(line)?;
    let message = line["message"].as_str()?;
    let what =
        line["runner.line"].as_str().map_or_else(|| message.to_owned(), |words| format!("the runner says: {words}"));
    Some(Moment { at: line["timestamp"].as_str()?.parse().ok()?, who: "agent", what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_the_last_of_its_kind_behind_a_console_prefix() {
        let told = |kind: &str, agent: u64| {
            let message = format!(
                r#"{{\"version\":1,\"kind\":\"{kind}\",\"instance_id\":\"i-0123456789abcdef0\",\"fleet\":\"x\",\"timeline\":{{\"agent\":{agent}}}}}"#
            );
            format!(
                "[ 0.4] dayfly-agent[31]: {{\"timestamp\":\"2026-11-20T10:00:00Z\",\"message\":\"Control is told\",\"lifecycle.message\":\"{message}\"}}\n"
            )
        };
        let console = ["[  OK  ] Reached target\n", &told("listening", 1), &told("failed", 2), &told("finished", 5)];
        let console = [&console.concat(), told("heartbeat", 9).as_str()].concat();
        assert_eq!(last_word(&console).unwrap().timeline.get(Phase::Agent), Some(5));
        assert_eq!(words(&console).len(), 4);
        assert_eq!(last_word(&told("listening", 1)), None);
        assert_eq!(last_word("nothing {here}"), None);
    }

    #[test]
    fn the_table_tells_step_and_sum() {
        let mut steps = Steps::default();
        steps.0[0] = Some(12);
        steps.0[1] = Some(1012);
        let text = table(&[steps]);
        let line = text.lines().find(|line| line.contains("instance launched")).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["instance", "launched", "1.000", "s", "1.012", "s", "1.012", "s"]
        );
    }
}
