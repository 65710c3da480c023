//! The environment that the runner is started with, and hands on to its jobs.
//!
//! Nothing of the agent's own gets in, but for the way to the outside (a proxy). The runner itself lays `.env` and `.path`
//! beside it over this; see [`super::env_file`].

use std::collections::BTreeMap;
use std::ffi::OsString;

use tracing::warn;

use super::account::Account;
use crate::hook::script::Scripts;

/// Names and values.
pub type Environment = BTreeMap<OsString, OsString>;

/// What Debian and Ubuntu give a login; the runner hands it on to jobs, unless a file `.path` beside it says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";

/// Names the script that runs as the first step of each job.
pub const HOOK_STARTED: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// Names the script that runs as the last step of each job.
pub const HOOK_COMPLETED: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";

/// Each in both spellings; programs differ in which they read.
const PROXIES: [[&str; 2]; 3] =
    [["http_proxy", "HTTP_PROXY"], ["https_proxy", "HTTPS_PROXY"], ["no_proxy", "NO_PROXY"]];

/// The environment for a runner of `account`: `configured` in the agent's config, `own` the agent's own variables.
#[must_use]
pub fn environment(
    account: &Account,
    configured: &BTreeMap<String, String>,
    hooks: Option<&Scripts>,
    own: impl IntoIterator<Item = (OsString, OsString)>,
) -> Environment {
    let mut environment = Environment::new();
    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    set("HOME", account.home.clone().into());
    set("USER", account.name.clone().into());
    set("LOGNAME", account.name.clone().into());
    set("SHELL", account.shell.clone().into());
    set("PATH", PATH.into());
    set("LANG", "C.UTF-8".into());
    for (name, value) in own {
        let spellings = PROXIES.iter().find(|spellings| spellings.iter().any(|spelling| name == **spelling));
        // Of two spellings a program takes the one it likes, so that the config's must be the only one.
        if spellings.is_some_and(|spellings| spellings.iter().all(|spelling| !configured.contains_key(*spelling))) {
            environment.insert(name, value);
        }
    }
    for (name, value) in configured {
        if name.starts_with("ACTIONS_RUNNER_HOOK_JOB_") && hooks.is_some() {
            // The value is not logged: nobody knows what people put there.
            warn!(
                name,
                "runner.environment has a hook, which is passed over: use runner.hook_started or hook_completed"
            );
        } else {
            environment.insert(name.into(), value.into());
        }
    }
    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    if let Some(hooks) = hooks {
        set(HOOK_STARTED, hooks.started.clone().into());
        set(HOOK_COMPLETED, hooks.completed.clone().into());
    }
    // Exit code 7 for a version that GitHub takes no more, where it were 1, that of any failure.
    set("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1".into());
    if account.uid.is_root() {
        set("RUNNER_ALLOW_RUNASROOT", "1".into());
    }
    environment
}

#[cfg(test)]
mod tests {
    use nix::unistd::Uid;

    use super::*;

    fn of(configured: &[(&str, &str)], own: &[(&str, &str)], hooks: bool) -> BTreeMap<String, String> {
        let account = Account { uid: Uid::from_raw(1001), home: "/home/me".into(), ..Account::for_tests() };
        let configured = configured.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let own = own.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let scripts = Scripts { started: "/run/started.sh".into(), completed: "/run/completed.sh".into() };
        let environment = environment(&account, &configured, hooks.then_some(&scripts), own);
        environment.into_iter().map(|(n, v)| (n.into_string().unwrap(), v.into_string().unwrap())).collect()
    }

    #[test]
    fn it_is_a_logins_and_nothing_of_the_agents() {
        let found = of(&[], &[("AWS_ENDPOINT_URL", "http://x"), ("DAYFLY_LOG", "debug"), ("HOME", "/root")], true);
        let expected = [
            (HOOK_COMPLETED, "/run/completed.sh"),
            (HOOK_STARTED, "/run/started.sh"),
            ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1"),
            ("HOME", "/home/me"),
            ("LANG", "C.UTF-8"),
            ("LOGNAME", "me"),
            ("PATH", PATH),
            ("SHELL", "/bin/sh"),
            ("USER", "me"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn the_config_wins_over_a_login_and_a_proxy() {
        let own = [("https_proxy", "http://own"), ("HTTPS_PROXY", "http://own"), ("no_proxy", ".own")];
        let found = of(&[("HTTPS_PROXY", "http://config"), ("PATH", "/opt/bin")], &own, true);
        assert_eq!(found["HTTPS_PROXY"], "http://config");
        assert!(!found.contains_key("https_proxy"), "{found:?}");
        assert_eq!(found["no_proxy"], ".own");
        assert_eq!(found["PATH"], "/opt/bin");
    }

    #[test]
    fn the_agents_hooks_win_over_the_config() {
        let configured = [(HOOK_STARTED, "/theirs.sh"), ("ACTIONS_RUNNER_HOOK_CONTAINER", "/hook/index.js")];
        let found = of(&configured, &[], true);
        assert_eq!(found[HOOK_STARTED], "/run/started.sh");
        assert_eq!(found["ACTIONS_RUNNER_HOOK_CONTAINER"], "/hook/index.js");
        assert_eq!(of(&configured, &[], false)[HOOK_STARTED], "/theirs.sh");
    }

    #[test]
    fn root_is_allowed_to_where_it_is_the_runners_user() {
        let account = Account { uid: Uid::from_raw(0), ..Account::for_tests() };
        let found = environment(&account, &BTreeMap::new(), None, []);
        assert_eq!(found[&OsString::from("RUNNER_ALLOW_RUNASROOT")], "1");
        assert!(!of(&[], &[], false).contains_key("RUNNER_ALLOW_RUNASROOT"));
    }
}
