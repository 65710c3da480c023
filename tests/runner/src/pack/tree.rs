//! What is in a release: the small tree that runs, and the files that give the full one the real one's size.

use super::{Plan, Size, filler::Random};

/// One entry of the release, below its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative path, without `./`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A folder.
    Folder,
    /// This program.
    Program,
    /// A script.
    Text(&'static str),
    /// So many bytes that mean nothing.
    Filler(u64),
    /// A symbolic link to this.
    Link(&'static str),
}

/// Regular files in a full release, as in the real one.
const FULL_FILES: usize = 20_000;
/// Bytes in a full release, as in the real one.
const FULL_BYTES: u64 = 720_000_000;
/// The full release's Node folders with the size of their `bin/node`.
const NODES: [(&str, u64); 4] =
    [("node20", 98_000_000), ("node20_alpine", 93_000_000), ("node24", 121_000_000), ("node24_alpine", 115_000_000)];
/// .NET's assemblies in `bin/`.
const ASSEMBLIES: usize = 230;
const ASSEMBLY_BYTES: u64 = 100_000_000;

/// All entries, each folder before what is in it. `program` is this program's size.
#[must_use]
pub fn entries(plan: &Plan, program: u64) -> Vec<Entry> {
    let mut entries = vec![
        folder("bin"),
        file("bin/Runner.Listener", Content::Program),
        file("bin/Runner.Worker", Content::Program),
        file("bin/installdependencies.sh", Content::Text(include_str!("../../scripts/installdependencies.sh"))),
        file("config.sh", Content::Text(include_str!("../../scripts/config.sh"))),
        file("env.sh", Content::Text(include_str!("../../scripts/env.sh"))),
        file("run.sh", Content::Text(include_str!("../../scripts/run.sh"))),
        file("run-helper.sh.template", Content::Text(include_str!("../../scripts/run-helper.sh.template"))),
        file("safe_sleep.sh", Content::Text(include_str!("../../scripts/safe_sleep.sh"))),
        folder("externals"),
    ];
    match plan.size {
        Size::Small => {
            for node in ["node20", "node24"] {
                entries.push(folder(&format!("externals/{node}")));
                entries.push(folder(&format!("externals/{node}/bin")));
                let script = Content::Text(include_str!("../../scripts/node.sh"));
                entries.push(file(&format!("externals/{node}/bin/node"), script));
            }
        }
        Size::Full => fill(&mut entries, plan.seed, program),
    }
    entries
}

fn fill(entries: &mut Vec<Entry>, seed: u64, program: u64) {
    let mut random = Random::new(seed);
    let sizes = shares(ASSEMBLY_BYTES.saturating_sub(2 * program), ASSEMBLIES, &mut random);
    for (number, size) in sizes.into_iter().enumerate() {
        entries.push(data(format!("bin/System.Part{number:03}.dll"), size));
    }
    for (node, size) in NODES {
        let base = format!("externals/{node}");
        for part in ["", "/bin", "/include", "/include/node", "/lib", "/lib/node_modules"] {
            entries.push(folder(&format!("{base}{part}")));
        }
        entries.push(Entry { mode: 0o755, ..data(format!("{base}/bin/node"), size) });
        entries.push(Entry {
            content: Content::Link("../lib/node_modules/npm/bin/npm-cli.js"),
            ..file(&format!("{base}/bin/npm"), Content::Folder)
        });
        entries.push(Entry {
            content: Content::Link("../lib/node_modules/npm/bin/npx-cli.js"),
            ..file(&format!("{base}/bin/npx"), Content::Folder)
        });
    }
    let files = FULL_FILES.saturating_sub(regular_files(entries));
    let bytes = FULL_BYTES.saturating_sub(total(entries, program));
    let sizes = shares(bytes, files, &mut random);
    let mut folders = std::collections::BTreeSet::new();
    for (number, size) in sizes.into_iter().enumerate() {
        let (node, _) = NODES[number % NODES.len()];
        let number = number / NODES.len();
        let dir = if number.is_multiple_of(3) {
            format!("externals/{node}/include/node/part{:02}", number / 120)
        } else {
            // Some as deep as npm's own modules, beyond the 100 bytes that a plain tar header holds.
            let deep = if number % 40 == 1 {
                "/node_modules/a-module-with-a-rather-long-name/dist/commonjs/internal/deep"
            } else {
                ""
            };
            format!("externals/{node}/lib/node_modules/npm/node_modules/module-{:03}{deep}", number / 25)
        };
        add_folders(entries, &mut folders, &dir);
        entries.push(data(format!("{dir}/file{number:05}.js"), size));
    }
}

/// The folders of `dir` that are not there yet.
fn add_folders(entries: &mut Vec<Entry>, known: &mut std::collections::BTreeSet<String>, dir: &str) {
    for (at, _) in dir.match_indices('/').chain([(dir.len(), "")]) {
        // The first four levels are there already or are made here once.
        if known.insert(dir[..at].to_owned()) && !entries.iter().take(400).any(|entry| entry.path == dir[..at]) {
            entries.push(folder(&dir[..at]));
        }
    }
}

/// `total` bytes over `count` files: many small ones, few large ones.
fn shares(total: u64, count: usize, random: &mut Random) -> Vec<u64> {
    // The cube of an even distribution: the median is an eighth of the largest.
    let weights: Vec<u64> = (0..count)
        .map(|_| {
            let even = random.below(1000) + 20;
            even * even * even / 1000
        })
        .collect();
    let sum: u64 = weights.iter().sum::<u64>().max(1);
    weights.into_iter().map(|weight| weight * (total / 1000) / sum.div_ceil(1000)).collect()
}

/// How many of the entries are regular files.
#[must_use]
pub fn regular_files(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| !matches!(entry.content, Content::Folder | Content::Link(_))).count()
}

/// The bytes in all files.
#[must_use]
pub fn total(entries: &[Entry], program: u64) -> u64 {
    let size = |entry: &Entry| match entry.content {
        Content::Folder | Content::Link(_) => 0,
        Content::Program => program,
        Content::Text(text) => text.len() as u64,
        Content::Filler(size) => size,
    };
    entries.iter().map(size).sum()
}

fn folder(path: &str) -> Entry {
    Entry { path: path.to_owned(), mode: 0o755, content: Content::Folder }
}

fn file(path: &str, content: Content) -> Entry {
    Entry { path: path.to_owned(), mode: 0o755, content }
}

fn data(path: String, size: u64) -> Entry {
    Entry { path, mode: 0o644, content: Content::Filler(size) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FULL: Plan = Plan { size: Size::Full, seed: 7 };

    #[test]
    fn a_full_release_has_the_real_ones_count_and_size() {
        let entries = entries(&FULL, 10_000_000);
        assert_eq!(regular_files(&entries), FULL_FILES);
        let bytes = total(&entries, 10_000_000);
        assert!((700_000_000..=FULL_BYTES).contains(&bytes), "{bytes}");
        assert!(entries.iter().any(|entry| entry.path.len() > 100), "a path beyond a plain tar header");
    }

    #[test]
    fn every_folder_comes_once_and_before_what_is_in_it() {
        for size in [Size::Small, Size::Full] {
            let mut known = BTreeSet::from([""]);
            let entries = entries(&Plan { size, seed: 7 }, 1);
            for entry in &entries {
                let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                assert!(known.contains(parent), "{} before its folder", entry.path);
                assert!(known.insert(&entry.path), "{} twice", entry.path);
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_tree() {
        assert!(entries(&FULL, 5) == entries(&FULL, 5));
        assert!(entries(&FULL, 5) != entries(&Plan { seed: 8, ..FULL }, 5));
    }
}
