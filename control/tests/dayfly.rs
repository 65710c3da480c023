//! The command line as it is called: answers, errors, exit codes.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const TERRAFORM: &str = include_str!("../testdata/fleets.terraform.json");

/// Runs `dayfly fleets ARGUMENTS` with `input` as its standard input.
fn fleets(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dayfly"))
        .arg("fleets")
        .args(arguments)
        .env_remove("DAYFLY_FLEETS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read it has closed it.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const BIG: [&str; 6] =
    ["match", "-", "--repository", "octo-org/a", "--labels", "self-hosted,Linux,X64,BIG,dayfly-cpu=8"];

#[test]
fn match_names_the_fleet_and_gives_each_ones_reason() {
    let output = fleets(&BIG, TERRAFORM);
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stdout), (Some(0), "whole\n"));
    assert_eq!(stderr, "linux-x64: labels: missing big\nreusable: labels: none in common\nwhole: takes it\n");
    let output = fleets(&[&BIG[..], &["--json"]].concat(), TERRAFORM);
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stderr), (Some(0), ""));
    let answer: Value = serde_json::from_str(stdout).unwrap();
    assert_eq!(answer["fleet"], "whole");
    assert_eq!(answer["candidates"][2]["verdict"], "takes");
}

#[test]
fn match_says_why_no_fleet_takes_a_job() {
    let output = fleets(&["match", "-", "--labels", "linux", "--repository", "octo-org/secret-plan"], TERRAFORM);
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stdout), (Some(1), ""));
    assert!(
        stderr.starts_with("linux-x64: admission: the repository is among the repositories_denied of the document\n")
    );
    assert!(stderr.ends_with("no fleet takes a job of octo-org/secret-plan with the labels linux\n"), "{stderr}");
    let fork = ["match", "-", "--labels", "linux", "--repository", "octo-org/a", "--public-fork", "--json"];
    let output = fleets(&fork, TERRAFORM);
    let (code, stdout, _) = told(&output);
    let answer: Value = serde_json::from_str(stdout).unwrap();
    assert_eq!(
        (code, &answer["fleet"], &answer["candidates"][0]["verdict"]),
        (Some(1), &Value::Null, &json!("admission"))
    );
    for wrong in [&["match", "-"][..], &["match", "-", "--labels", "a", "--repository", "octo"]] {
        assert_eq!(told(&fleets(wrong, TERRAFORM)).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn match_does_not_ask_whose_a_job_is_where_nobody_says() {
    let mut document: Value = serde_json::from_str(TERRAFORM).unwrap();
    document["repositories"] = json!(["octo-org/*"]);
    document["fleets"][0]["github"] = json!({"level": "organization", "owner": "octo-org"});
    let document = document.to_string();
    let output = fleets(&["match", "-", "--labels", "linux"], &document);
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stdout), (Some(0), "linux-x64\n"), "{stderr}");
    assert!(stderr.starts_with("whose jobs a fleet takes is not looked at without --repository\n"), "{stderr}");
    for (more, repository) in [(&[][..], Value::Null), (&["--repository", "octo-org/a"], json!("octo-org/a"))] {
        let output = fleets(&[&["match", "-", "--labels", "linux", "--json"], more].concat(), &document);
        let answer: Value = serde_json::from_str(told(&output).1).unwrap();
        assert_eq!((&answer["fleet"], &answer["repository"]), (&json!("linux-x64"), &repository));
    }
    for (more, whose) in [
        (&["--personal"][..], "its runners are for organizations, and the repository is a person's"),
        (&["--repository", "other/a"], "the repository is not among the repositories of the document"),
    ] {
        let output = fleets(&[&["match", "-", "--labels", "linux"], more].concat(), &document);
        let (code, _, stderr) = told(&output);
        assert!(code == Some(1) && stderr.contains(&format!("linux-x64: admission: {whose}\n")), "{stderr}");
    }
}

#[test]
fn match_goes_by_the_enterprise_where_it_is_told() {
    let mut document: Value = serde_json::from_str(TERRAFORM).unwrap();
    document["fleets"][0]["github"] = json!({"level": "enterprise", "owner": "octo"});
    let document = document.to_string();
    for (more, code) in [(&[][..], 0), (&["--enterprise", "Octo"], 0), (&["--enterprise", "other"], 1)] {
        let output = fleets(&[&["match", "-", "--labels", "linux"], more].concat(), &document);
        let (found, _, stderr) = told(&output);
        assert_eq!(found, Some(code), "{more:?} {stderr}");
        assert_eq!(stderr.contains("linux-x64: admission: its runners are those of octo\n"), code == 1, "{stderr}");
    }
}

#[test]
fn check_tells_mistakes_and_warnings() {
    let output = fleets(&["check", "-"], TERRAFORM);
    assert_eq!(told(&output), (Some(0), "3 fleets, no mistakes\n", ""));
    let mut document: Value = serde_json::from_str(TERRAFORM).unwrap();
    document["fleets"][1]["repositorys"] = json!([]);
    document["public_forks"] = json!(false);
    let output = fleets(&["check", "-"], &document.to_string());
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stdout), (Some(0), "3 fleets, no mistakes\n"));
    assert_eq!(
        stderr,
        "warning: fleets[1].repositorys: nobody reads a field of that name\n\
         warning: fleet whole: public_forks does nothing here while the document does not say so too\n"
    );
    document["ties"] = json!("random");
    document["fleets"][0]["max"] = json!(0);
    let output = fleets(&["check", "-"], &document.to_string());
    let (code, stdout, stderr) = told(&output);
    assert_eq!((code, stdout), (Some(78), ""));
    assert_eq!(
        stderr,
        "-: ties: found \"random\", expected \"name\" or \"spread\"\n\
         -: fleets[0].max: found 0, expected a whole number from 1 to 10000\n"
    );
    let output = fleets(&["check", "/nonexistent/fleets.json"], "");
    let (code, _, stderr) = told(&output);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("reading /nonexistent/fleets.json: No such file"), "{stderr}");
}

#[test]
fn schema_is_the_published_one() {
    assert_eq!(told(&fleets(&["schema"], "")), (Some(0), include_str!("../fleets.schema.json"), ""));
}
