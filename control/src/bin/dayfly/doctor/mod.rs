//! `dayfly doctor`: looks at everything that a deployment needs, and tells what to do about what is not well.
//!
//! [`ask`] asks; what follows from the answers is decided by pure functions: [`github`], [`places`], [`launches`]. What
//! can't be asked is a finding too, and keeps nothing else from being looked at.

mod ask;
mod finding;
mod github;
mod launches;
mod places;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_control::report::counted;
use serde_json::json;

use self::finding::{Finding, Level};
use crate::{
    output::{finish, say},
    place::{Place, block},
};

/// Looks at the GitHub App, the webhook, secrets, functions, queues, the schedule, images, templates, roles, quotas and
/// clocks, and tells what to do. It only reads, but for two pings to the webhook's own address. It fails where something
/// is bad, and goes on where something can't be looked at.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where the App's webhook should go, where API Gateway can't be asked for it.
    #[arg(long)]
    pub(crate) webhook_url: Option<String>,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(asked: &Doctor) -> ExitCode {
    let found = block(async {
        let deployment = asked.place.deployment()?;
        let place = asked.place.connect().await?;
        Ok(ask::all(asked, &place, &deployment).await)
    });
    let worst = found.as_ref().ok().and_then(|found| found.iter().map(|it| it.level).max());
    let told: Result<()> = found.and_then(|found| say(&if asked.json { to_json(&found) } else { text(&found) }));
    if told.is_ok() && worst == Some(Level::Bad) {
        return ExitCode::FAILURE;
    }
    finish(told)
}

fn count(found: &[Finding], level: Level) -> usize {
    found.iter().filter(|it| it.level == level).count()
}

fn text(found: &[Finding]) -> String {
    let lines: String = found.iter().map(|it| format!("{it}\n")).collect();
    let of = |level| count(found, level);
    format!(
        "{lines}\n{} ok, {}, {} bad, {} could not be looked at\n",
        of(Level::Ok),
        counted(of(Level::Warn), "warning"),
        of(Level::Bad),
        of(Level::Unknown)
    )
}

fn to_json(found: &[Finding]) -> String {
    let all: Vec<_> = found.iter().map(Finding::json).collect();
    let ok = count(found, Level::Bad) == 0;
    format!("{:#}\n", json!({"ok": ok, "findings": all}))
}

#[cfg(test)]
mod tests {
    use super::{Finding, text, to_json};

    #[test]
    fn all_is_told_and_counted() {
        let found = [Finding::ok("a", "b"), Finding::bad("c", "d", "e"), Finding::unknown("f", "g", "h")];
        let text = text(&found);
        assert!(text.ends_with("\n1 ok, 0 warnings, 1 bad, 1 could not be looked at\n"), "{text}");
        let one = super::text(&[Finding::warn("a", "b", "c")]);
        assert!(one.ends_with("\n0 ok, 1 warning, 0 bad, 0 could not be looked at\n"), "{one}");
        let json: serde_json::Value = serde_json::from_str(&to_json(&found)).unwrap();
        assert_eq!((&json["ok"], &json["findings"][1]["todo"]), (&false.into(), &"e".into()));
        let json: serde_json::Value = serde_json::from_str(&to_json(&found[..1])).unwrap();
        assert_eq!(json["ok"], true);
    }
}
