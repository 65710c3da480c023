//! The GitHub App: permissions, installations, events, webhook.

use std::collections::BTreeMap;

use dayfly_control::{
    clock::Millis,
    fleets::{self, Fleets},
    github::{
        GitHubError,
        inspect::{App, Delivered, HookConfig, Inspected, Installation},
    },
    report::Chain,
};

use super::finding::Finding;

/// What `deliveries` of the last so many milliseconds say is looked at: older ones tell of what was mended since.
const LATELY: Millis = 24 * 3_600_000;

/// A permission that the App needs.
struct Need {
    name: &'static str,
    /// As GitHub's pages call it.
    title: &'static str,
    write: bool,
    why: &'static str,
    /// Whether all goes without, but worse.
    optional: bool,
}

/// What the fleets need.
fn needs(fleets: Option<&Fleets>) -> Vec<Need> {
    let at = |level| fleets.is_none_or(|all| all.fleets.iter().any(|fleet| fleet.github.level == level));
    let mut needs = Vec::new();
    if at(fleets::Level::Organization) {
        needs.push(Need {
            name: "organization_self_hosted_runners",
            title: "Self-hosted runners (organization)",
            write: true,
            why: "runners of organizations can't be registered",
            optional: false,
        });
    }
    if fleets.is_some() && at(fleets::Level::Repository) {
        needs.push(Need {
            name: "administration",
            title: "Administration (repository)",
            write: true,
            why: "runners of repositories can't be registered",
            optional: false,
        });
    }
    needs.push(Need {
        name: "actions",
        title: "Actions (repository)",
        write: false,
        why: "jobs of public repositories are not taken, and lost webhooks stay unnoticed",
        optional: true,
    });
    if fleets.is_some_and(|all| all.fleets.iter().any(|fleet| fleet.interrupted.rerun > 0)) {
        needs.push(Need {
            name: "actions",
            title: "Actions (repository)",
            write: true,
            why: "jobs whose instances EC2 took away can't be run again",
            optional: true,
        });
    }
    needs
}

fn covers(granted: &BTreeMap<String, String>, need: &Need) -> bool {
    match granted.get(need.name).map(String::as_str) {
        Some("write" | "admin") => true,
        Some("read") => !need.write,
        _ => false,
    }
}

fn missing(granted: &BTreeMap<String, String>, fleets: Option<&Fleets>) -> Vec<Need> {
    needs(fleets).into_iter().filter(|need| !covers(granted, need)).collect()
}

/// All that is to be said of an App. `url` is where its webhook should go, where that is known.
pub(crate) fn app(it: &Inspected, fleets: Option<&Fleets>, url: Option<&str>, now: Millis) -> Vec<Finding> {
    let mut found = Vec::new();
    let id = &it.id;
    match &it.app {
        Ok(app) => {
            found.extend(permissions(id, app, fleets));
            found.push(events(id, app));
        }
        Err(error) => found.push(unasked(&format!("app {id}"), error)),
    }
    match &it.installations {
        Ok(all) => found.extend(installations(id, all, fleets)),
        Err(error) => found.push(unasked(&format!("app {id} installations"), error)),
    }
    match &it.hook {
        Ok(hook) => found.extend(hook_config(id, hook, url)),
        Err(error) => found.push(unasked(&format!("app {id} webhook"), error)),
    }
    match &it.deliveries {
        Ok(all) => found.push(deliveries(id, all, now)),
        Err(error) => found.push(unasked(&format!("app {id} deliveries"), error)),
    }
    found
}

fn unasked(check: &str, error: &GitHubError) -> Finding {
    match error {
        GitHubError::Permanent(_) => Finding::bad(
            check,
            Chain(error).to_string(),
            "compare the App's id, its key's parameter and DAYFLY_GITHUB_URL with the App's page",
        ),
        _ => unreached(check, error, "ask again; https://www.githubstatus.com tells of outages"),
    }
}

/// GitHub has not told, by `error`; `todo` where that does not tell more itself.
pub(super) fn unreached(check: &str, error: &GitHubError, todo: &str) -> Finding {
    let why = Chain(error).to_string();
    // rustls's words for a CA that is not among those that are trusted.
    let is_of_another_ca = why.contains("invalid peer certificate: UnknownIssuer");
    let todo = if is_of_another_ca { "name the CA of its certificate: github.ca_certificates" } else { todo };
    Finding::unknown(check, why, todo)
}

fn permissions(id: &str, app: &App, fleets: Option<&Fleets>) -> Vec<Finding> {
    let check = format!("app {id} permissions");
    let missing = missing(&app.permissions, fleets);
    if missing.is_empty() {
        let named: Vec<String> = app.permissions.iter().map(|(name, level)| format!("{name} {level}")).collect();
        return vec![Finding::ok(&check, format!("{} has what is needed: {}", app.name, named.join(", ")))];
    }
    missing.iter().map(|need| lacks(&check, "the App", need)).collect()
}

fn lacks(check: &str, who: &str, need: &Need) -> Finding {
    let Need { title, why, .. } = need;
    let level = if need.write { "write" } else { "read" };
    let what = format!("{who} lacks {title}: {level}; {why}");
    let todo =
        format!("set {title} to {level} on the App's page (Permissions & events), and have each owner accept it");
    if need.optional { Finding::warn(check, what, todo) } else { Finding::bad(check, what, todo) }
}

fn events(id: &str, app: &App) -> Finding {
    let check = format!("app {id} events");
    let sends = |event: &str| app.events.iter().any(|it| it == event);
    match (sends("workflow_job"), sends("check_run")) {
        (true, false) => Finding::ok(&check, "it sends workflow_job"),
        (true, true) => Finding::warn(
            &check,
            "it sends workflow_job and check_run: each job that no fleet takes costs a call",
            "take check_run away on the App's page",
        ),
        (false, true) => Finding::warn(
            &check,
            "it sends check_run alone, which never tells that a job has begun",
            "let it send workflow_job in its place",
        ),
        (false, false) => Finding::bad(
            &check,
            "it sends no workflow_job events: no job is heard of",
            "subscribe to Workflow job on the App's page (Permissions & events)",
        ),
    }
}

fn installations(id: &str, all: &[Installation], fleets: Option<&Fleets>) -> Vec<Finding> {
    let check = format!("app {id} installations");
    if all.is_empty() {
        let todo = "install it at the organization or person whose jobs it is for";
        return vec![Finding::bad(&check, "the App is installed nowhere", todo)];
    }
    let mut found = Vec::new();
    for it in all {
        let check = format!("app {id} at {}", it.account);
        if it.suspended {
            let todo = "an owner there can unsuspend it (Settings, GitHub Apps)";
            found.push(Finding::bad(&check, "the installation is suspended: nothing of there is heard or done", todo));
            continue;
        }
        let before = found.len();
        found.extend(missing(&it.permissions, fleets).iter().map(|need| lacks(&check, "the installation", need)));
        if !it.events.iter().any(|event| event == "workflow_job" || event == "check_run") {
            let todo = "an owner there has to accept the App's new permissions and events";
            found.push(Finding::bad(&check, "it is sent no workflow_job events of there", todo));
        }
        if found.len() == before {
            let whose = if it.selected { "selected repositories" } else { "all repositories" };
            found.push(Finding::ok(&check, format!("installation {}, {whose}", it.id)));
        }
    }
    found
}

fn hook_config(id: &str, hook: &HookConfig, url: Option<&str>) -> Vec<Finding> {
    let check = format!("app {id} webhook");
    let mut found = Vec::new();
    match (hook.url.as_deref(), url) {
        (None | Some(""), _) => found.push(Finding::bad(
            &check,
            "the App's webhook has no URL: no job is heard of",
            url.map_or_else(|| "set it to Terraform's output webhook_url".to_owned(), |url| format!("set it to {url}")),
        )),
        (Some(is), Some(should)) if !is.trim_end_matches('/').eq_ignore_ascii_case(should.trim_end_matches('/')) => {
            let what = format!("it goes to {is}, and this deployment listens at {should}");
            found.push(Finding::bad(&check, what, format!("set the Webhook URL on the App's page to {should}")));
        }
        (Some(is), Some(_)) => found.push(Finding::ok(&check, format!("it goes to {is}"))),
        (Some(is), None) => found.push(Finding::unknown(
            &check,
            format!("it goes to {is}; this deployment's own address could not be asked"),
            "compare it with Terraform's output webhook_url, or name that by --webhook-url",
        )),
    }
    if hook.content_type.as_deref().is_some_and(|kind| kind != "json") {
        let todo = "set the content type to application/json";
        found.push(Finding::bad(&check, "it sends forms in place of JSON, which are answered 400", todo));
    }
    let insecure = matches!(hook.insecure_ssl.as_str(), Some("1")) || hook.insecure_ssl.as_f64() == Some(1.0);
    if insecure && hook.url.as_deref().is_some_and(|url| url.starts_with("https")) {
        let todo = "enable SSL verification";
        found.push(Finding::warn(&check, "GitHub does not check the certificate it sends to", todo));
    }
    found
}

fn deliveries(id: &str, all: &[Delivered], now: Millis) -> Finding {
    let check = format!("app {id} deliveries");
    let lately: Vec<&Delivered> = all.iter().filter(|it| it.at + LATELY >= now).collect();
    let Some(last) = lately.first() else {
        return Finding::warn(
            &check,
            "GitHub has sent nothing for a day",
            "if jobs were queued since, see the webhook's URL and events",
        );
    };
    let failed = lately.iter().filter(|it| !(200..400).contains(&it.status)).count();
    let of = lately.len();
    match last.status {
        401 => Finding::bad(
            &check,
            "the last delivery was answered 401: GitHub's secret is not the one in the parameter",
            "put the App's webhook secret into the parameter (github.webhook_secret), or the parameter's into the App",
        ),
        200..=399 if failed == 0 && of == 1 => Finding::ok(&check, "the last one went well"),
        200..=399 if failed == 0 => Finding::ok(&check, format!("the last {of} went well")),
        200..=399 => Finding::warn(
            &check,
            format!("{failed} of the last {of} failed, the latest went well"),
            "reconcile has them sent again; if it goes on, see the log of the function webhook",
        ),
        0 => Finding::bad(
            &check,
            "the last delivery got no answer",
            "see the webhook's URL and whether it can be reached",
        ),
        status => Finding::bad(
            &check,
            format!("the last delivery was answered {status}; {failed} of the last {of} failed"),
            "see the log of the function webhook",
        ),
    }
}

/// A token tells nothing of itself.
pub(crate) fn token() -> Finding {
    Finding::unknown(
        "token",
        "a token is used in place of an App: what it may do can't be asked",
        "it needs Self-hosted runners: write (organization) or Administration: write (repository), and Actions: read",
    )
}

#[cfg(test)]
mod tests;
