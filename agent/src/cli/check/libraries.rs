//! The shared libraries that the runner's .NET needs and does not bring.
//!
//! Looked for where the dynamic linker looks: its default folders, Debian's multi-arch ones, and `/etc/ld.so.conf.d`.
//! <https://github.com/dotnet/core/blob/main/release-notes/8.0/linux-packages.md>

use std::collections::BTreeSet;
use std::path::Path;

use dayfly_contract::RunnerConfig;

use super::Finding;
use super::image::Image;

/// A library, by the beginnings of its files' names up to the number of its interface.
struct Library {
    name: &'static str,
    /// One name of each list must be there.
    all_of: &'static [&'static [&'static str]],
    /// What provides it: on Debian and Ubuntu; on Amazon Linux and Fedora.
    packages: (&'static str, &'static str),
}

/// Any further number may follow these: `libicuuc.so.72`.
const ICU: Library = Library {
    name: "libicu",
    all_of: &[&["libicuuc.so."], &["libicui18n.so."], &["libicudata.so."]],
    packages: ("libicu74 (or the number of your release)", "libicu"),
};

const LIBRARIES: [Library; 5] = [
    Library {
        name: "libssl",
        all_of: &[&["libssl.so.3", "libssl.so.1.1", "libssl.so.10"]],
        packages: ("libssl3", "openssl-libs"),
    },
    Library {
        name: "libgssapi_krb5",
        all_of: &[&["libgssapi_krb5.so.2"]],
        packages: ("libkrb5-3, libgssapi-krb5-2", "krb5-libs"),
    },
    Library { name: "libz", all_of: &[&["libz.so.1"]], packages: ("zlib1g", "zlib") },
    Library {
        name: "libstdc++",
        all_of: &[&["libstdc++.so.6"], &["libgcc_s.so.1"]],
        packages: ("libstdc++6", "libstdc++"),
    },
    Library {
        name: "glibc",
        all_of: &[&["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"], &["libc.so.6"]],
        packages: ("libc6", "glibc"),
    },
];

const TRACING: Library = Library {
    name: "liblttng-ust",
    all_of: &[&["liblttng-ust.so.1", "liblttng-ust.so.0"]],
    packages: ("liblttng-ust1", "lttng-ust"),
};

/// Variables by which .NET does without ICU, where it is `1` or `true`.
const NO_ICU: &str = "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT";

pub(super) fn all(image: &Image<'_>, config: &RunnerConfig) -> Vec<Finding> {
    let files = files(image, &config.directory);
    let mut findings = Vec::new();
    let no_icu = config.environment.get(NO_ICU).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    findings.push(match look(&ICU, &files) {
        Err(_) if no_icu => Finding::ok(ICU.name, format!("not there, and not needed with {NO_ICU}")),
        outcome => finding(&ICU, outcome),
    });
    findings.extend(LIBRARIES.iter().map(|library| finding(library, look(library, &files))));
    findings.push(match look(&TRACING, &files) {
        Ok(found) => Finding::ok(TRACING.name, found),
        Err(_) => Finding::ok(TRACING.name, "not there; only tracing of the runner itself needs it"),
    });
    findings
}

fn finding(library: &Library, outcome: Result<String, String>) -> Finding {
    let (debian, fedora) = library.packages;
    match outcome {
        Ok(found) => Finding::ok(library.name, found),
        Err(missing) => {
            let advice = format!(
                "install {debian} (apt) or {fedora} (dnf), or run bin/installdependencies.sh in the runner's folder"
            );
            Finding::missing(library.name, format!("no {missing}"), advice)
        }
    }
}

/// What was found of a library, or the first that was not.
fn look(library: &Library, files: &BTreeSet<String>) -> Result<String, String> {
    let found: Result<Vec<&str>, String> = library
        .all_of
        .iter()
        .map(|any_of| {
            let file = files.iter().find(|file| any_of.iter().any(|name| is(file, name)));
            file.map(String::as_str).ok_or_else(|| any_of.join(" or "))
        })
        .collect();
    found.map(|files| files.join(", "))
}

/// Whether `file` is `name`, with any number after it where `name` ends in a dot.
fn is(file: &str, name: &str) -> bool {
    match file.strip_prefix(name) {
        Some("") => true,
        Some(rest) => name.ends_with('.') && rest.starts_with(|c: char| c.is_ascii_digit()),
        None => false,
    }
}

/// The names of all shared libraries there are.
fn files(image: &Image<'_>, directory: &str) -> BTreeSet<String> {
    let triplet = image.triplet();
    let mut folders: Vec<String> =
        ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"].map(str::to_owned).into();
    folders.extend(["/lib", "/usr/lib", "/usr/local/lib"].map(|folder| format!("{folder}/{triplet}")));
    // The runner's own come first of all when it looks for one.
    folders.push(format!("{directory}/bin"));
    let configs = image.names("/etc/ld.so.conf.d").into_iter().map(|name| format!("/etc/ld.so.conf.d/{name}"));
    for config in configs.chain(["/etc/ld.so.conf".to_owned()]) {
        let text = image.read(&config).unwrap_or_default();
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(str::to_owned));
    }
    let mut files = BTreeSet::new();
    for folder in folders {
        let names = image.names(&folder).into_iter();
        // A link to a library that is gone is none.
        files.extend(names.filter(|name| name.contains(".so") && image.exists(Path::new(&folder).join(name))));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_with_its_interface_number() {
        assert!(is("libicuuc.so.72", "libicuuc.so.") && is("libicuuc.so.72.1", "libicuuc.so."));
        assert!(!is("libicuuc.so", "libicuuc.so.") && !is("libicuuc.so.x", "libicuuc.so."));
        assert!(is("libz.so.1", "libz.so.1") && !is("libz.so.10", "libz.so.1") && !is("libz.so", "libz.so.1"));
    }
}
