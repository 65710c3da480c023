use std::fs;

use super::*;

fn struck(line: &str) -> String {
    strike(line, &mut false)
}

#[test]
fn secrets_are_struck_out() {
    // Put together here, so that nobody who looks for secrets in this repository finds one.
    let token = |mark: &str| format!("{mark}{}", "16C7e42F292c6912E7710c838347Ae178B4a");
    let aws = |mark: &str| format!("{mark}{}", "IOSFODNN7EXAMPLE");
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjMifQ.c2lnbmF0dXJl-_x";
    let cases = [
        (format!("with {} ok", token("ghs_")), "with *** ok"),
        (format!("'{}'", token("ghp_")), "'***'"),
        (token("gho_"), "***"),
        (token("ghu_"), "***"),
        (token("ghr_"), "***"),
        (format!("x={}", token("github_pat_11AAAA_")), "x=***"),
        (format!("ghs_123_{jwt} end"), "*** end"),
        (format!("id {}, next", aws("AKIA")), "id ***, next"),
        (aws("ASIA"), "***"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ok".to_owned(), "key *** ok"),
        (format!("got {jwt}!"), "got ***!"),
        ("Bearer abcdefgh1234".to_owned(), "Bearer ***"),
        ("a bearer  opaque-token, and".to_owned(), "a bearer  *** and"),
        ("Authorization: RemoteAuth short x y".to_owned(), "Authorization: ***"),
        ("cloning https://x-access-token:hunter2@github.com/a/b".to_owned(), "cloning https://***@github.com/a/b"),
        ("via http://me:p@ss@proxy:3128/ and http://b".to_owned(), "via http://***@proxy:3128/ and http://b"),
        ("db_password=hunter2 next".to_owned(), "db_password=*** next"),
        (r#"{"accessToken": "opaque", "id": 3}"#.to_owned(), r#"{"accessToken": "***", "id": 3}"#),
        ("--jitconfig=ab12 x".to_owned(), "--jitconfig=*** x"),
        ("GET /x?se=2026&sig=a%2Bb&sp=r 403".to_owned(), "GET /x?se=2026&sig=***&sp=r 403"),
        ("?X-Amz-Signature=ab12&X-Amz-Date=1".to_owned(), "?X-Amz-Signature=***&X-Amz-Date=1"),
        ("sha 356a192b7913b04c54574d18c28d46e6395428ab is".to_owned(), "sha *** is"),
        ("md5 0cc175b9c0f1b6a831c399e269772661".to_owned(), "md5 ***"),
        ("c3VwZXItc2VjcmV0LXJzYS1rZXktb2YtYS1ydW5uZXI=".to_owned(), "***"),
        ("aGVsbG8/d29ybGQ+Zm9v/YmFyYmF6MTIzNDU2Nzg5MA==".to_owned(), "***"),
        ("in /_work/2f6d3b8e-1c2d-4e5f-8a9b-0c1d2e3f4a5b/x.sh".to_owned(), "in /_work/***/x.sh"),
        ("gh\u{1b}[31ms_16C7e42F292c69\u{1b}[0m12E7710c838347 end".to_owned(), "*** end"),
        ("é ghs_16C7e42F292c6912E7710c838347 ü".to_owned(), "é *** ü"),
    ];
    for (line, told) in cases {
        assert_eq!(struck(&line), told, "{line}");
    }
}

#[test]
fn what_helps_a_person_is_left() {
    for line in [
        "2026-11-20 14:00:05Z: Running job: build (linux, 3)",
        "An error occurred: Could not find file '/home/runner/actions-runner/_diag/Runner_20261120-140000-utc.log'.",
        "System.Net.Http.HttpRequestException: Name or service not known (pipelines.actions.githubusercontent.com:443)",
        "   at GitHub.Runner.Listener.MessageListener.CreateSessionAsync(CancellationToken token) in Listener.cs:line 83",
        "/opt/actions-runner/externals/node24/bin/node: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found",
        "Runner.Listener: the runner no longer exists on the server. Cleaning up local configuration.",
        "https://github.com/dayfly/dayfly/actions/runs/11894526233/job/33142398720",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/dayfly/main/registrations/i-0123456789abcdef0",
        "the-quick-brown-fox_jumps-over-the-lazy-dog_and-does-it-once-again",
        "GetAgentPoolConfigurationStoreAsyncOverAndOver",
        "Secret source: Actions",
        "a basic test, a token of it",
        "ghs_ and AKIA and eyJ are marks",
        "Überraschung: naïve café ✓",
    ] {
        assert_eq!(struck(line), line);
    }
}

#[test]
fn a_private_key_is_struck_out_to_its_end() {
    let mut in_key = false;
    let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nshort\n-----END RSA PRIVATE KEY-----\nb\n\
                -----BEGIN CERTIFICATE-----\nc";
    let told: Vec<String> = text.lines().map(|line| strike(line, &mut in_key)).collect();
    assert_eq!(told, ["a", "***", "***", "***", "***", "b", "-----BEGIN CERTIFICATE-----", "c"]);
}

#[test]
fn lines_are_short_and_have_no_control_characters() {
    assert_eq!(struck("a\tb\u{0}c\u{7}"), "a b c");
    let told = struck(&"ä ".repeat(1000));
    assert_eq!(told.chars().count(), LONGEST);
    assert!(told.ends_with('…'));
    let just = "ä".repeat(LONGEST);
    assert_eq!(struck(&just), just);
}

#[test]
fn any_text_is_survived() {
    let pieces = ["é", "://", "@", "ghs_", "=", "token", "\u{1b}[", "Bearer ", "A1b", "/", "\"", " ", "eyJ", "x"];
    for a in 0..pieces.len().pow(4) {
        let line: String = (0..4u32).map(|n| pieces[a / pieces.len().pow(n) % pieces.len()]).collect();
        let told = struck(&line);
        assert!(told.chars().count() <= LONGEST, "{line}");
    }
}

#[test]
fn random_runs_of_any_kind_are_found() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use sha2::{Digest, Sha256};
    let mut kept = 0;
    for n in 0..500u32 {
        let hash = Sha256::digest(n.to_be_bytes());
        for text in [hex::encode(hash), hex::encode(&hash[..20]), STANDARD.encode(hash), URL_SAFE_NO_PAD.encode(hash)] {
            kept += usize::from(struck(&text).contains(&text[8..16]));
        }
    }
    assert_eq!(kept, 0, "of 2000");
}

#[test]
fn the_last_lines_are_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("runner.log");
    let last = |lines, bytes| last_lines(&log, lines, bytes);
    assert_eq!(last(5, 100), [""; 0]);
    fs::write(&log, "one\n\ntwo\nthree\r\n\nfour").unwrap();
    assert_eq!(last(9, 100), ["one", "two", "three", "four"]);
    assert_eq!(last(2, 100), ["three", "four"]);
    // "three" begins 12 bytes before the end.
    assert_eq!(last(9, 11), ["four"]);
    assert_eq!(last(9, 12), ["three", "four"]);
    assert_eq!(last(9, 2), [""; 0]);
    fs::write(&log, [b"ok \xff\n".as_slice(), &[b'x'; 50]].concat()).unwrap();
    assert_eq!(last(9, 100), ["ok \u{fffd}".to_owned(), "x".repeat(50)]);
}
