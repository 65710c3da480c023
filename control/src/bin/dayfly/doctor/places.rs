//! What is deployed: functions, queues, the schedule, secrets, clocks, the webhook's own answer.

use std::time::Duration;

use dayfly_contract::Problems;
use dayfly_control::{clock::Millis, config::Role, handlers::webhook::WebhookKey, report::counted};
use secrecy::{ExposeSecret as _, SecretString};

use super::finding::Finding;
use crate::{
    deployed::{self, Told},
    output::{span, time},
};

/// Clocks may differ by so much: GitHub refuses an App's token that is issued a minute ahead.
const SKEW: Millis = 20_000;
/// And by so much that AWS refuses what is signed, and GitHub the App's token.
const WORST_SKEW: Millis = 60_000;
/// Reconcile runs each minute; after so long it does not.
const SILENT: Millis = 5 * 60_000;
/// A queue of wake-ups is read at once; so many are a crowd.
const CROWD: u64 = 1000;

/// A function, whether it could be asked about, and its configuration.
pub(crate) fn function(name: &str, role: Role, told: &Told) -> Finding {
    let check = format!("function {}", role.name());
    match told {
        Told::There(it) => {
            let state = it.state.as_deref().unwrap_or("Active");
            match (state, it.config(role)) {
                // Lambda lets a function sleep that nobody called for weeks, and wakes it with the next call.
                ("Active" | "Inactive", Ok(_)) => {
                    Finding::ok(&check, format!("{name} is there, and its environment is whole"))
                }
                ("Active" | "Inactive", Err(problems)) => Finding::bad(
                    &check,
                    format!("its environment is refused: {}", all(&problems)),
                    "deploy again with the Terraform module of this version",
                ),
                (state, _) => {
                    let why = it.state_reason.as_deref().unwrap_or("no reason is given");
                    Finding::bad(&check, format!("{name} is {state}: {why}"), "see the function in Lambda's console")
                }
            }
        }
        Told::Absent if matches!(role, Role::SyncRunner | Role::Housekeep) => {
            Finding::ok(&check, "not deployed, as it need not be")
        }
        Told::Absent => Finding::bad(
            &check,
            format!("there is no function {name}"),
            "deploy it; --deployment and AWS_REGION say where",
        ),
        Told::Unasked(why) => Finding::unknown(&check, why.clone(), "ask with credentials that may"),
    }
}

fn all(problems: &Problems) -> String {
    problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A queue: how many messages are in it, or why that is not known, and how old the oldest is, where that is known.
pub(crate) fn queue(name: &str, visible: Result<u64, String>, age: Option<Millis>) -> Finding {
    let check = format!("queue {name}");
    let is_dead = name.ends_with("-dlq");
    match visible {
        Err(why) if why.contains("NonExistentQueue") || why.contains("QueueDoesNotExist") => {
            Finding::bad(&check, "there is no such queue", "deploy it; --deployment and AWS_REGION say where")
        }
        Err(why) => Finding::unknown(&check, why, "sqs:GetQueueUrl and sqs:GetQueueAttributes are needed"),
        Ok(0) => Finding::ok(&check, "empty"),
        Ok(n) if is_dead => {
            let old = age.map_or_else(String::new, |age| format!(", the oldest {} old", span(0, age)));
            Finding::bad(
                &check,
                format!(
                    "{}{old}: nobody could act upon {}",
                    counted(n, "dead letter"),
                    if n == 1 { "it" } else { "them" }
                ),
                "read what is there (the attribute reason says why) and then purge the queue",
            )
        }
        Ok(n) if n >= CROWD => {
            Finding::warn(&check, waiting(n), "see the errors and throttles of the function that reads it")
        }
        Ok(n) => Finding::ok(&check, waiting(n)),
    }
}

fn waiting(n: u64) -> String {
    if n == 1 { "1 message waits".to_owned() } else { format!("{n} messages wait") }
}

/// The schedule's rule, `ENABLED` or not.
pub(crate) fn rule(state: Result<Option<String>, String>) -> Finding {
    let check = "schedule";
    match state {
        Ok(Some(state)) if state == "ENABLED" => Finding::ok(check, "reconcile's rule is enabled"),
        Ok(Some(state)) => Finding::bad(check, format!("reconcile's rule is {state}"), "enable it, or deploy again"),
        Ok(None) => Finding::bad(check, "reconcile has no rule: nothing that is lost is found again", "deploy again"),
        Err(why) => Finding::unknown(check, why, "events:DescribeRule is needed"),
    }
}

/// When reconcile's last run came to its end, as its note in the ledger says.
pub(crate) fn ran(deployment: &str, noted: Result<Option<Millis>, String>, now: Millis) -> Finding {
    let check = "reconcile";
    let todo = format!("see its rule, and its log: /aws/lambda/{}", deployed::name(deployment, Role::Reconcile));
    match noted {
        Err(why) => Finding::unknown(check, why, "dynamodb:GetItem on the ledger is needed"),
        Ok(None) => Finding::bad(check, "it has never run to its end", todo),
        Ok(Some(at)) if now.saturating_sub(at) > SILENT => {
            Finding::bad(check, format!("it last ran {} ago, at {}", span(at, now), time(at)), todo)
        }
        Ok(Some(at)) => Finding::ok(check, format!("it last ran {} ago", span(at, now))),
    }
}

/// The ledger's table: its state, and whether what is old is deleted.
pub(crate) fn table(name: &str, state: Result<Option<String>, String>, expires: Result<bool, String>) -> Vec<Finding> {
    let check = "ledger";
    let state = match state {
        Ok(Some(state)) if state == "ACTIVE" => Finding::ok(check, format!("the table {name} is there")),
        Ok(Some(state)) => {
            Finding::bad(check, format!("the table {name} is {state}"), "wait, or see DynamoDB's console")
        }
        Ok(None) => Finding::bad(check, format!("there is no table {name}"), "deploy it; --table says its name"),
        Err(why) => Finding::unknown(check, why, "dynamodb:DescribeTable is needed"),
    };
    let expires = match expires {
        Ok(true) => None,
        Ok(false) => {
            let todo = "enable the TTL attribute expires, or deploy again";
            Some(Finding::warn(check, "what has expired is not deleted: the table grows", todo))
        }
        Err(why) => Some(Finding::unknown(check, why, "dynamodb:DescribeTimeToLive is needed")),
    };
    [state].into_iter().chain(expires).collect()
}

/// A secret, or why it could not be read; `good` says whether it is well-formed.
pub(crate) fn secret(
    what: &str,
    parameter: &str,
    read: &Result<SecretString, String>,
    good: impl Fn(&SecretString) -> Result<(), String>,
) -> Finding {
    let check = format!("parameter {parameter}");
    match read {
        Err(why) if why.contains("ParameterNotFound") => {
            Finding::bad(&check, format!("{what} is not there"), "put it there as a SecureString")
        }
        Err(why) if why.contains("AccessDenied") => {
            let todo = "only the functions need to read it: ssm:GetParameter with decryption";
            Finding::unknown(&check, format!("{what} may not be read by you"), todo)
        }
        Err(why) => Finding::unknown(&check, format!("{what}: {why}"), "ask again"),
        Ok(secret) => match good(secret) {
            Ok(()) => Finding::ok(&check, format!("{what} is there and well-formed")),
            Err(why) => Finding::bad(&check, format!("{what} is there, but {why}"), "put the right one there"),
        },
    }
}

/// Whether a webhook's secret is one.
pub(crate) fn is_webhook_secret(secret: &SecretString) -> Result<(), String> {
    // Blanks count: a line that has one at its ends is hardly what GitHub was told.
    let is_blank_at_its_ends = |line: &str| line.trim() != line;
    if WebhookKey::new(secret).is_empty() {
        Err("it holds no secret".to_owned())
    } else if secret.expose_secret().lines().any(is_blank_at_its_ends) {
        Err("a line of it begins or ends with a blank".to_owned())
    } else {
        Ok(())
    }
}

/// The first of a webhook's secrets.
pub(crate) fn first_secret(secret: &SecretString) -> Option<SecretString> {
    secret.expose_secret().lines().find(|line| !line.is_empty()).map(SecretString::from)
}

/// Whether a token may be one.
pub(crate) fn is_token(secret: &SecretString) -> Result<(), String> {
    let text = secret.expose_secret().trim();
    let good = text.len() >= 20 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(()) } else { Err("it does not look like a token of GitHub's".to_owned()) }
}

/// How the webhook answered our own ping, signed rightly and wrongly.
pub(crate) fn ping(url: &str, right: &Result<u16, String>, wrong: &Result<u16, String>) -> Vec<Finding> {
    let check = "webhook ping";
    let first = match right {
        Ok(200) => Finding::ok(check, format!("{url} took a ping that is signed with the stored secret")),
        Ok(401) => Finding::bad(
            check,
            format!("{url} refused a ping that is signed with the stored secret"),
            "the function reads it at its start: deploy again, or wait until it starts anew",
        ),
        Ok(404) => {
            Finding::bad(check, format!("{url} is not there (404)"), "compare it with Terraform's output webhook_url")
        }
        Ok(status) => Finding::bad(check, format!("{url} answered {status}"), "see the log of the function webhook"),
        Err(why) => Finding::bad(
            check,
            format!("{url} did not answer: {why}"),
            "see API Gateway, and whether you can reach it from here",
        ),
    };
    let second = match wrong {
        Ok(401) | Err(_) => None,
        Ok(status) if (200..300).contains(status) => Some(Finding::bad(
            check,
            format!("{url} took a ping that is signed with another secret ({status})"),
            "this is no webhook of Dayfly's: anybody could ask for instances",
        )),
        Ok(_) => None,
    };
    [first].into_iter().chain(second).collect()
}

/// How far our clock is from `whose`, whose answer had that date, asked `before` and answered `after` by ours.
pub(crate) fn clock(whose: &str, date: Option<Millis>, before: Millis, after: Millis) -> Finding {
    let check = format!("clock against {whose}");
    let Some(date) = date else {
        return Finding::unknown(&check, "the answer had no date", "ask again");
    };
    // A date has whole seconds, and was made between the two.
    let ahead = before.saturating_sub(date + 999);
    let behind = date.saturating_sub(after);
    let (skew, which) = if ahead >= behind { (ahead, "ahead") } else { (behind, "behind") };
    let what = || format!("this machine is {:.1} s {which}", Duration::from_millis(skew).as_secs_f64());
    let todo = "set the clock (NTP); the functions' own clocks are AWS's";
    match skew {
        0..SKEW => Finding::ok(&check, format!("within {} s", SKEW / 1000)),
        SKEW..WORST_SKEW => Finding::warn(&check, what(), todo),
        _ => Finding::bad(&check, what(), todo),
    }
}

/// A role of IAM, by the status of the question for it.
pub(crate) fn role(check: &str, name: &str, status: Result<u16, String>, todo: &str) -> Finding {
    match status {
        Ok(200) => Finding::ok(check, format!("{name} is there")),
        Ok(404) => Finding::bad(check, format!("there is no {name}"), todo),
        Ok(401 | 403) => Finding::unknown(
            check,
            format!("{name} may not be looked at by you"),
            "iam:GetRole and iam:GetInstanceProfile are needed",
        ),
        Ok(status) => Finding::unknown(check, format!("IAM answered {status} about {name}"), "ask again"),
        Err(why) => Finding::unknown(check, why, "ask again"),
    }
}

#[cfg(test)]
mod tests;
