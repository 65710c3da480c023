//! `config.sh` and `config.sh remove`: a registration by token instead of a JIT config.

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    input::Input,
    root::Root,
    server::{self, Registration, ServerError},
    settings::{self, Settings},
    words::say,
};

/// The labels that every self-hosted runner has unless told otherwise.
const DEFAULT_LABELS: [&str; 3] = ["self-hosted", "Linux", if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }];

/// Registers and writes the configuration.
pub fn configure(root: &Root, input: &Input) -> anyhow::Result<()> {
    if Settings::exist(root) {
        bail!(
            "Cannot configure the runner because it is already configured. To reconfigure the runner, run 'config.cmd \
             remove' or './config.sh remove' first."
        );
    }
    let url = text(input, "url").context("--url is missing: the organization's or repository's address")?;
    let token = input.value("token").context("--token is missing: a registration token")?;
    let hostname = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let name = text(input, "name").unwrap_or_else(hostname);
    let labels = labels(&text(input, "labels").unwrap_or_default(), input.flag("no-default-labels"))?;
    let group = text(input, "runnergroup");
    let base = base(&url, input.var("STANDIN_SERVER").as_deref())?;
    let ask = Registration {
        url: &url,
        token,
        name: &name,
        labels: &labels,
        group: group.as_deref(),
        ephemeral: input.flag("ephemeral"),
        replace: input.flag("replace"),
    };
    let files = server::register(&base, &ask).map_err(refused).context("registering the runner")?;
    say("\n√ Connected to GitHub\n");
    settings::write_files(root, &files)?;
    patch(root, input)?;
    say("√ Runner successfully added\n√ Runner connection is good\n√ Settings Saved.\n");
    Ok(())
}

/// Takes the registration back.
pub fn remove(root: &Root, input: &Input) -> anyhow::Result<()> {
    if !Settings::exist(root) {
        say("Does not exist. Skipping Removing .credentials\nDoes not exist. Skipping Removing .runner");
        return Ok(());
    }
    if !input.flag("local") {
        let token = input.value("token").context("--token is missing: a remove token")?;
        let settings = Settings::load(root)?;
        let base = format!("{}/", settings.runner.server_url.trim_end_matches('/'));
        match server::remove(&base, token, &settings.runner.agent_id) {
            Ok(()) => say("√ Runner removed successfully"),
            Err(ServerError::Gone) => say("Runner no longer exists on the server"),
            Err(error) => return Err(refused(error).context("removing the runner")),
        }
    }
    Settings::delete(root);
    say("√ Removed .credentials\n√ Removed .runner\n");
    Ok(())
}

/// What the server can't know goes into `.runner` here.
fn patch(root: &Root, input: &Input) -> anyhow::Result<()> {
    let path = root.join(settings::RUNNER);
    let content = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut runner: Value = serde_json::from_str(content.trim_start_matches('\u{feff}')).context("reading .runner")?;
    if let Some(work) = text(input, "work") {
        runner["workFolder"] = json!(work);
    }
    if let Some(address) = text(input, "monitorsocketaddress") {
        runner["monitorSocketAddress"] = json!(address);
    }
    runner["disableUpdate"] = json!(input.flag("disableupdate"));
    settings::write(root, settings::RUNNER, runner.to_string().as_bytes())
}

fn text(input: &Input, name: &str) -> Option<String> {
    input.value(name).map(|value: &SecretString| value.expose_secret().to_owned())
}

fn labels(given: &str, no_defaults: bool) -> anyhow::Result<Vec<String>> {
    let given = given.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned);
    let defaults = DEFAULT_LABELS.into_iter().filter(|_| !no_defaults).map(str::to_owned);
    let mut labels: Vec<String> = Vec::new();
    for label in defaults.chain(given) {
        if !labels.iter().any(|known| known.eq_ignore_ascii_case(&label)) {
            labels.push(label);
        }
    }
    if labels.is_empty() {
        bail!("--labels is empty; with --no-default-labels at least one label is needed");
    }
    Ok(labels)
}

/// The private protocol's address: `STANDIN_SERVER`, for addresses that name github.com, else the address's own host.
fn base(url: &str, server: Option<&str>) -> anyhow::Result<String> {
    let origin = if let Some(server) = server {
        server.trim_end_matches('/').to_owned()
    } else {
        let (scheme, rest) =
            url.split_once("://").with_context(|| format!("--url is {url:?}; allowed is an http address"))?;
        format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
    };
    Ok(format!("{origin}/_runner/"))
}

fn refused(error: ServerError) -> anyhow::Error {
    match error {
        ServerError::Refused => anyhow::anyhow!("the server refused the token (401)"),
        ServerError::Conflict => anyhow::anyhow!("a runner with this name exists (409); --replace takes its place"),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_defaults_and_the_given_once_each() {
        assert_eq!(labels("gpu, linux,gpu", false).unwrap().join(","), format!("{},gpu", DEFAULT_LABELS.join(",")));
        assert_eq!(labels("gpu", true).unwrap(), ["gpu"]);
        assert!(labels(" ,", true).is_err());
    }

    #[test]
    fn the_server_is_named_or_is_the_addresss_host() {
        assert_eq!(base("http://127.0.0.1:7/o/r", None).unwrap(), "http://127.0.0.1:7/_runner/");
        assert_eq!(base("https://github.com/o", Some("http://x:1/")).unwrap(), "http://x:1/_runner/");
        assert!(base("github.com/o", None).is_err());
    }
}
