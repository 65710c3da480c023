//! `.env` (variables for the listener) and `.path` (the jobs' PATH), both beside the listener.

use std::fs;

use crate::{input::Env, root::Root};

/// The `KEY=VALUE` lines of a `.env`. A line without `=` or without a key is passed over, as by the real one.
#[must_use]
pub fn parse(text: &str) -> Vec<(String, String)> {
    let pairs = text.trim_start_matches('\u{feff}').lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(key, _)| !key.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `env` with `.env` and `.path` of `root` laid over it.
#[must_use]
pub fn applied(root: &Root, mut env: Env) -> Env {
    let mut set = |key: &str, value: &str| {
        env.retain(|(name, _)| name != key);
        env.push((key.into(), value.into()));
    };
    for (key, value) in parse(&fs::read_to_string(root.join(".env")).unwrap_or_default()) {
        set(&key, &value);
    }
    let path = fs::read_to_string(root.join(".path")).unwrap_or_default();
    if !path.trim().is_empty() {
        set("PATH", path.trim());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_pairs() {
        let pairs = parse("A=1\n\nnothing\n=x\nB=a=b c\n");
        assert_eq!(pairs, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "a=b c".to_owned())]);
    }

    #[test]
    fn a_file_wins_over_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".env"), "A=file\n").unwrap();
        fs::write(dir.path().join(".path"), "/jobs/bin\n").unwrap();
        let env = vec![("A".into(), "outer".into()), ("PATH".into(), "/bin".into())];
        let env = applied(&Root::at(dir.path().to_owned()), env);
        assert_eq!(env, [("A".into(), "file".into()), ("PATH".into(), "/jobs/bin".into())]);
    }
}
