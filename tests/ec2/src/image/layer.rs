//! The layer above Debian: the agent, its units, its settings and a runner, as an AMI holds them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::recipe::RUNNER_ID;
use crate::tree;

/// Our files on the image.
#[derive(Clone, Debug)]
pub struct AmiFiles {
    /// The agent's program; becomes `/usr/local/bin/dayfly-agent`.
    pub agent: PathBuf,
    /// Its unit; becomes `/etc/systemd/system/dayfly-agent.service`, enabled as its `[Install]` section says.
    pub unit: PathBuf,
    /// The unit that ends the machine after the agent, which starts it itself; becomes
    /// `/etc/systemd/system/dayfly-agent-end.service`. None: an image without it.
    pub end_unit: Option<PathBuf>,
    /// Folder of a runner; becomes `/opt/actions-runner`, owned by the user `runner`. None: an image without one.
    pub runner: Option<PathBuf>,
    /// `/etc/dayfly/agent.env`.
    pub env: BTreeMap<String, String>,
    /// Further files: path on the image, contents, mode.
    pub extra: Vec<(PathBuf, Vec<u8>, u32)>,
}

const UNIT: &str = "dayfly-agent.service";
const END_UNIT: &str = "dayfly-agent-end.service";

/// Writes the layer to `dir`, anew if there is one.
pub fn ami_layer(dir: &Path, files: &AmiFiles) -> anyhow::Result<()> {
    crate::machine::remove_folder(dir)?;
    folder(dir)?;
    let agent = std::fs::read(&files.agent).with_context(|| format!("reading the agent {}", files.agent.display()))?;
    put(dir, Path::new("/usr/local/bin/dayfly-agent"), &agent, 0o755)?;
    let read =
        |unit: &Path| std::fs::read_to_string(unit).with_context(|| format!("reading the unit {}", unit.display()));
    let unit = read(&files.unit)?;
    let units = Path::new("/etc/systemd/system");
    put(dir, &units.join(UNIT), unit.as_bytes(), 0o644)?;
    if let Some(end_unit) = &files.end_unit {
        put(dir, &units.join(END_UNIT), read(end_unit)?.as_bytes(), 0o644)?;
    }
    for link in install_links(&unit)? {
        let link = inside(dir, &units.join(link))?;
        folders(dir, link.parent().context("a link has a parent")?)?;
        symlink(units.join(UNIT), &link).with_context(|| format!("enabling {UNIT} by {}", link.display()))?;
    }
    put(dir, Path::new("/etc/dayfly/agent.env"), environment(&files.env)?.as_bytes(), 0o644)?;
    for (path, contents, mode) in &files.extra {
        put(dir, path, contents, *mode)?;
    }
    if let Some(runner) = &files.runner {
        let target = dir.join("opt/actions-runner");
        folders(dir, &dir.join("opt"))?;
        // A copy, as its owner changes.
        tree::copy(runner, &target, tree::Files::Copy)?;
        tree::walk(&target, &mut |path, _| {
            std::os::unix::fs::lchown(path, Some(RUNNER_ID), Some(RUNNER_ID))
                .with_context(|| format!("giving {} to the runner", path.display()))
        })?;
    }
    Ok(())
}

/// Writes a layer with these files alone, each of mode 0644, or with nothing at all, for an image that has the rest.
pub fn files_layer(dir: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    crate::machine::remove_folder(dir)?;
    folder(dir)?;
    files.iter().try_for_each(|(path, contents)| put(dir, Path::new(path), contents.as_bytes(), 0o644))
}

/// Where systemctl would put the links for a unit's `[Install]` section.
fn install_links(unit: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut links = Vec::new();
    let mut section = "";
    for line in unit.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, names)) = line.split_once('=').filter(|_| section == "[Install]") else { continue };
        for name in names.split_whitespace() {
            match key.trim() {
                "WantedBy" => links.push(Path::new(&format!("{name}.wants")).join(UNIT)),
                "RequiredBy" => links.push(Path::new(&format!("{name}.requires")).join(UNIT)),
                "Alias" => links.push(PathBuf::from(name)),
                _ => {}
            }
        }
    }
    if links.is_empty() {
        bail!("{UNIT}: found nothing in its [Install] section, expected WantedBy=, RequiredBy= or Alias=");
    }
    Ok(links)
}

/// A file for systemd's `EnvironmentFile=`.
fn environment(variables: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, value) in variables {
        if value.contains(['\n', '"', '\\']) {
            bail!("env.{name}: found a line break, quote or backslash, expected plain text");
        }
        writeln!(text, "{name}=\"{value}\"")?;
    }
    Ok(text)
}

fn inside(dir: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let relative = path.strip_prefix("/").with_context(|| format!("{}: expected an absolute path", path.display()))?;
    Ok(dir.join(relative))
}

fn put(dir: &Path, path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let target = inside(dir, path)?;
    folders(dir, target.parent().context("a file has a parent")?)?;
    std::fs::write(&target, contents).with_context(|| format!("writing {}", target.display()))?;
    finish(&target, mode)
}

/// Creates folders down to `path`. The layer's folders are what the machine sees, so their modes count.
fn folders(dir: &Path, path: &Path) -> anyhow::Result<()> {
    let mut at = dir.to_owned();
    for part in path.strip_prefix(dir).context("a layer's files are in the layer")? {
        at.push(part);
        if !at.exists() {
            folder(&at)?;
        }
    }
    Ok(())
}

fn folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
    finish(path, 0o755)
}

/// Mode and owner, whatever the umask is.
fn finish(path: &Path, mode: u32) -> anyhow::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .and_then(|()| chown(path, Some(0), Some(0)))
        .with_context(|| format!("setting mode and owner of {} (which needs root)", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_enabled_as_its_install_section_says() {
        let unit = "[Service]\nAlias=no.service\n[Install]\nWantedBy=multi-user.target other.target\nRequiredBy = a.target\nAlias=b.service\n";
        let links: Vec<String> =
            install_links(unit).expect("links").iter().map(|link| link.display().to_string()).collect();
        assert_eq!(
            links,
            [
                "multi-user.target.wants/dayfly-agent.service",
                "other.target.wants/dayfly-agent.service",
                "a.target.requires/dayfly-agent.service",
                "b.service"
            ]
        );
        assert!(install_links("[Service]\nExecStart=/bin/true\n").is_err());
    }

    #[test]
    fn settings_are_quoted_and_refuse_what_quoting_cannot_hold() {
        let one = |value: &str| BTreeMap::from([("A".to_owned(), value.to_owned())]);
        assert_eq!(environment(&one("http://x y")).expect("settings"), "A=\"http://x y\"\n");
        let error = environment(&one("a\"b")).expect_err("a quote");
        assert!(error.to_string().starts_with("env.A:"), "{error}");
    }
}
