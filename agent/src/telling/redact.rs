//! The runner's last words, fit to be told: what may be a secret is struck out.
//!
//! The runner masks secrets that it knows to be some, in jobs' logs. What it writes about its own failures passes no such
//! mask and may quote a request with its token. So this strikes out too much rather than too little; a path or a commit
//! that is lost with it stands in the log on the instance.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// The longest line, in characters.
const LONGEST: usize = 300;
/// What stands for a secret.
const STRUCK: &str = "***";
/// How long a run of letters and digits is before it may be a secret by its looks alone.
const LONG: usize = 32;

/// The last lines of the file `log`, at most `lines` of them and from its last `bytes` bytes, oldest first and without
/// empty ones. Nothing where it can't be read: it is told about a failure, and must not be another one.
#[must_use]
pub fn last_lines(log: &Path, lines: usize, bytes: usize) -> Vec<String> {
    let text = tail(log, bytes).unwrap_or_default();
    let mut in_key = false;
    let told: Vec<String> =
        text.lines().map(|line| strike(line, &mut in_key)).filter(|line| !line.is_empty()).collect();
    told[told.len().saturating_sub(lines)..].to_vec()
}

/// The end of a file, from a line's beginning on: of a secret that is cut in two the rest might not look like one.
fn tail(log: &Path, bytes: usize) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(bytes as u64);
    // One byte more tells whether a line begins there.
    file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
    let mut text = Vec::new();
    file.take(length - start.saturating_sub(1)).read_to_end(&mut text)?;
    if start > 0 {
        let line = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
        text.drain(..line);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// One line as it may be told. `in_key` says that the lines before have begun a private key.
fn strike(line: &str, in_key: &mut bool) -> String {
    let line = plain(line);
    let (begins, ends) = (line.contains("-----BEGIN "), line.contains("-----END "));
    if *in_key || begins {
        let was_private = *in_key || line.contains("PRIVATE KEY");
        *in_key = was_private && !ends;
        if was_private {
            return STRUCK.to_owned();
        }
    }
    let mut secrets = user_infos(&line);
    // `https://x-access-token:…@host` is struck out already, and its host helps.
    let named: Vec<_> = named(&line).filter(|value| !secrets.iter().any(|all| all.contains(&value.start))).collect();
    secrets.extend(named);
    secrets.extend(announced(&line));
    secrets.extend(marked(&line));
    secrets.extend(random_looking(&line));
    secrets.sort_by_key(|range| range.start);
    let (mut told, mut place) = (String::new(), 0);
    for range in secrets {
        if range.start >= place {
            told.push_str(&line[place..range.start]);
            told.push_str(STRUCK);
        }
        place = place.max(range.end);
    }
    told.push_str(&line[place..]);
    shorten(told.trim_end())
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(LONGEST - 1) {
        Some((end, last)) if end + last.len_utf8() < line.len() => format!("{}…", &line[..end]),
        _ => line.to_owned(),
    }
}

/// Without colours (`ESC [ … letter`), which might stand in the middle of a secret, and without control characters.
fn plain(line: &str) -> String {
    let mut told = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            // Up to and with the letter that ends it.
            while rest.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
        } else {
            told.push(if c.is_control() { ' ' } else { c });
        }
    }
    told
}

/// The user and password in URLs: `https://user:password@host`.
fn user_infos(line: &str) -> Vec<Range<usize>> {
    let begins = line.match_indices("://").map(|(at, mark)| at + mark.len());
    begins
        .filter_map(|start| {
            let end = start + length(&line[start..], |c| !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '"'));
            line[start..end].rfind('@').map(|at| start..start + at)
        })
        .collect()
}

/// What follows the name of a way to log in: `Authorization: …`, `Bearer …`.
fn announced(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for (name, is_rest_of_line) in
        [("authorization:", true), ("bearer ", false), ("basic ", false), ("remoteauth ", false), ("token ", false)]
    {
        for (at, _) in lower.match_indices(name).filter(|(at, _)| !is_word_before(line, *at)) {
            let start = at + name.len() + length(&line[at + name.len()..], char::is_whitespace);
            let end = if is_rest_of_line { line.len() } else { start + length(&line[start..], |c| !c.is_whitespace()) };
            // "a basic test" tells nothing.
            if end - start >= 8 {
                found.push(start..end);
            }
        }
    }
    found
}

/// The values of what is called a secret: `password=…`, `"accessToken": "…"`, `X-Amz-Signature=…`, `sig=…`.
fn named(line: &str) -> impl Iterator<Item = Range<usize>> {
    const NAMES: [&str; 10] =
        ["password", "passwd", "pwd", "secret", "token", "apikey", "api_key", "signature", "credential", "jitconfig"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices(['=', ':']).filter_map(move |(at, sign)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        let start = before.len() - before.chars().rev().take_while(|c| is_name(*c)).count();
        let name = before[start..].to_ascii_lowercase();
        if name != "sig" && !NAMES.iter().any(|secret| name.ends_with(secret)) {
            return None;
        }
        let value = at + sign.len() + length(&line[at + sign.len()..], |c| matches!(c, '"' | '\'' | ' '));
        let end = value + length(&line[value..], |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '&' | ',' | ';'));
        (end > value).then_some(value..end)
    })
}

/// What says by its first letters that it is a secret.
fn marked(line: &str) -> Vec<Range<usize>> {
    // GitHub's tokens, AWS's access keys, and JWTs (`{"` in base64) without or within another token.
    const MARKS: [(&str, usize); 9] = [
        ("ghs_", 10),
        ("ghp_", 10),
        ("gho_", 10),
        ("ghu_", 10),
        ("ghr_", 10),
        ("github_pat_", 10),
        ("AKIA", 12),
        ("ASIA", 12),
        ("eyJ", 15),
    ];
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '=' | '+' | '/' | '~');
    let mut found = Vec::new();
    for (mark, least) in MARKS {
        for (at, _) in line.match_indices(mark).filter(|(at, _)| !is_word_before(line, *at)) {
            let end = at + length(&line[at..], is_part);
            if end - at >= mark.len() + least {
                found.push(at..end);
            }
        }
    }
    found
}

/// Long runs that nobody would write by hand: keys in base64, hashes. A path or a long name changes between small
/// letters, capitals and digits now and then; something random does at each second character.
fn random_looking(line: &str) -> Vec<Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/_-".contains(byte);
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = start + bytes[start..].iter().take_while(|byte| is_part(byte)).count();
        // What ends some of base64 belongs to it; elsewhere it is a sign between a name and a value.
        let padding = bytes[end..].iter().take_while(|byte| **byte == b'=').count();
        found.extend(random_within(&bytes[start..end]).map(|range| {
            let reaches_end = start + range.end == end;
            start + range.start..start + range.end + if reaches_end { padding } else { 0 }
        }));
        start = end.max(start + 1);
    }
    found
}

/// The part of `run` that looks random, in whole segments of a path, without words at its ends.
fn random_within(run: &[u8]) -> Option<Range<usize>> {
    let mut windows = run.windows(LONG).enumerate().filter(|(_, window)| is_random(window)).map(|(at, _)| at);
    let first = windows.next()?;
    let last = windows.next_back().unwrap_or(first) + LONG;
    let mut start = run[..first].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let mut end = run[last..].iter().position(|&byte| byte == b'/').map_or(run.len(), |at| last + at);
    // The window that sees the beginning of something random sees the folder before it as well.
    while let Some(at) = run[start..end].iter().position(|&byte| byte == b'/')
        && is_word(&run[start..start + at])
    {
        start += at + 1;
    }
    while let Some(at) = run[start..end].iter().rposition(|&byte| byte == b'/')
        && is_word(&run[start + at + 1..end])
    {
        end = start + at;
    }
    Some(start..end)
}

fn is_random(window: &[u8]) -> bool {
    // CamelCase alone changes twice a word; with digits among it, far fewer changes are odd.
    let least = if window.iter().any(u8::is_ascii_digit) { LONG / 5 } else { LONG * 2 / 5 };
    changes(window) > least
}

fn is_word(segment: &[u8]) -> bool {
    changes(segment) * 5 <= segment.len()
}

/// How often small letters, capitals and digits follow each other; other signs are passed over.
fn changes(text: &[u8]) -> usize {
    let class = |byte: &u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let classes: Vec<u8> = text.iter().filter_map(class).collect();
    classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// The bytes of the characters at the beginning of `text` that are `wanted`.
fn length(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

fn is_word_before(line: &str, at: usize) -> bool {
    line[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
