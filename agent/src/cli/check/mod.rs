//! Whether a machine, or the image of one, is fit to run jobs. Nothing of it is run and nobody is asked: all is seen in
//! its files, so that an image can be checked from outside too.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::local;
use crate::settings::Settings;

mod image;
mod libraries;
mod runner;
mod system;
#[cfg(test)]
mod tests;

use image::Image;

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing looked for, in a word or two.
    pub name: String,
    /// Whether it is as it must be.
    pub verdict: Verdict,
    /// What is there, or what is not.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Whether a thing is as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Ok,
    /// It could be better; jobs run all the same.
    Note,
    /// It is not, and jobs can't run.
    Missing,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Missing => "missing",
        }
    }
}

impl Finding {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn note(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Note, found: found.into(), advice: Some(advice.into()) }
    }

    fn missing(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Missing, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks the image over whose root folder is `root`.
#[must_use]
pub fn check(root: &Path, settings: &Settings) -> Vec<Finding> {
    check_image(&Image { root, arch: std::env::consts::ARCH, free: &image::free_bytes }, settings)
}

fn check_image(image: &Image<'_>, settings: &Settings) -> Vec<Finding> {
    let file = settings.config_file.display();
    let (config, own) = match local::read(image.root, settings) {
        Ok(known) => known,
        // What is to be looked for is not known then.
        Err(problems) => {
            return vec![Finding::missing("config", format!("{file}: {problems}"), "correct it, or remove it")];
        }
    };
    let mut findings = vec![if own {
        Finding::ok("config", file.to_string())
    } else {
        Finding::ok("config", format!("no {file}, so the defaults are looked for; instances get theirs by user-data"))
    }];
    findings.push(runner::runner(image, &config.runner));
    findings.push(runner::user(image, &config.runner.user));
    findings.extend(runner::scripts(image, &config));
    findings.extend(libraries::all(image, &config.runner));
    findings.push(system::unit(image));
    findings.push(system::systemd(image));
    findings.push(system::cgroups(image));
    findings.extend(system::firewall(image, config.metadata_access));
    findings.extend(system::space(image, &config.runner));
    findings
}

/// Whether jobs can run.
#[must_use]
pub fn is_fit(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Missing)
}

/// Writes them for a person, one line each, and what comes of it.
pub fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let widest = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for Finding { name, verdict, found, advice } in findings {
        let advice = advice.as_ref().map_or_else(String::new, |advice| format!(": {advice}"));
        writeln!(out, "{:<7}  {name:<widest$}  {found}{advice}", verdict.word())?;
    }
    let missing = findings.iter().filter(|finding| finding.verdict == Verdict::Missing).count();
    match missing {
        0 => writeln!(out, "This image is fit to run jobs."),
        1 => writeln!(out, "This image can't run jobs: 1 thing is missing."),
        more => writeln!(out, "This image can't run jobs: {more} things are missing."),
    }
}
