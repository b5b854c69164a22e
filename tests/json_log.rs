//! The real binary with `JSON_LOGGING`: every line that it ever writes is an object.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

const POD: [(&str, &str); 5] = [
    ("NODE_NAME", "node-1"),
    ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
    ("KUBERNETES_SERVICE_PORT", "1"),
    ("INSTANCE_METADATA_URL", "http://127.0.0.1:1"),
    ("JSON_LOGGING", "true"),
];

fn handler(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"));
    command.args(arguments).env_clear().envs(POD).envs(variables.iter().copied());
    command
}

/// Runs it to its end. Its exit status, and what it said, an object a line.
fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let output = handler(arguments, variables).output().unwrap();
    let said = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    (output.status.code(), said.lines().map(object).collect())
}

fn object(line: &str) -> Value {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    for field in ["time", "level", "fact", "message"] {
        assert!(object[field].is_string(), "no {field}: {line}");
    }
    object
}

#[test]
fn what_keeps_it_from_starting_is_said_in_objects() {
    for (arguments, variables, mentioned) in [
        (&[][..], &[("TAINT_NODE", "yes")][..], "TAINT_NODE"),
        (&["--nonsense"], &[], "argument 1"),
        (&["-nonsense-too=1"], &[], "argument 1"),
        (&["dran"], &[], "drain"),
        (&["run", "--safety-margin"], &[], "--safety-margin"),
        (&[], &[("NODE_NAME", "")], "NODE_NAME"),
        (&[], &[("JSON_LOGGING", "true\n"), ("SAFETY_MARGIN", "2\n\"")], "SAFETY_MARGIN"),
        (&["--json-logging", "--dry-run=maybe"], &[("JSON_LOGGING", "false")], "--dry-run"),
    ] {
        let (status, said) = ended(arguments, variables);
        assert_eq!(status, Some(64), "{arguments:?} {variables:?}");
        let [problems @ .., last] = &said[..] else { panic!("{said:?}") };
        let is_mentioned = |object: &Value| object["message"].as_str().unwrap().contains(mentioned);
        assert!(problems.iter().any(is_mentioned), "{said:?}");
        assert!(problems.iter().all(|object| object["fact"] == "bad_setting"), "{said:?}");
        assert_eq!(last["fact"], "not_started");
        assert!(said.iter().all(|object| object["level"] == "error"), "{said:?}");
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_said_in_objects() {
    let (status, said) = ended(&["--kubeconfig=/nowhere/config"], &[]);
    assert_eq!(status, Some(78));
    let last = said.last().unwrap();
    assert_eq!(last["fact"], "not_started");
    assert!(last["message"].as_str().unwrap().contains("/nowhere/config"), "{said:?}");
}

/// Whatever becomes of it then: it ends, or it goes on and says so.
#[test]
fn a_port_that_is_taken_is_said_in_objects() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("ENABLE_PROMETHEUS_SERVER", "true"),
        ("PROMETHEUS_SERVER_PORT", &port),
        ("LISTEN_ADDRESS", "127.0.0.1"),
    ];
    let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
    let mut child = handler(&[], &variables).stdout(stdout).stderr(stderr).spawn().unwrap();
    let mut is_said = false;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let said = object(&line.unwrap());
        is_said |= said["message"].as_str().unwrap().contains(&port);
        // It polls, so it has started.
        if is_said && said["fact"] == "metadata_failing" {
            break;
        }
        if is_said && said["fact"] == "not_started" {
            break;
        }
    }
    // It may have ended, and is not there to be killed then.
    let _ = child.kill();
    let _ = child.wait();
    assert!(is_said);
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn a_bad_value_of_its_own_makes_it_text() {
    let bad = [("JSON_LOGGING", "yes"), ("TAINT_NODE", "yes")];
    let output = handler(&[], &bad).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("k8s-spot-handler: bad settings"), "{said}");
}

#[test]
fn what_a_person_asks_for_by_hand_stays_as_it_is() {
    for arguments in
        [&["check", "--nonsense"][..], &["plan", "--nonsense"], &["drain", "--nonsense"]]
    {
        let output = handler(arguments, &[]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("is no flag of this program"), "{said}");
        assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "{said}");
    }
    let help = handler(&["--help"], &[]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().starts_with("k8s-spot-handler "));
}
