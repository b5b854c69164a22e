//! `drain` and `restore`: what an operator asks for, with an end and an exit status.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use simulator::{Budget, Class, Happening, Node, Pod};

use crate::stage::{FAR, Folder, NODE, Stage, check_laws, content, names, quick, quick_pods};

const BY_HAND: &str = "k8s-spot-handler/by-hand";

/// The program as an operator starts it, with nothing in its environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it said and did at the API server of this stage.
fn told(stage: &Stage, arguments: &[&str]) -> Output {
    let address = format!("https://{}", stage.cluster.address());
    let output = command(arguments)
        .args(["--server", &address, "--token-file"])
        .arg(stage.cluster.token_file())
        .arg("--ca-file")
        .arg(stage.cluster.authority_file())
        .output()
        .unwrap();
    check_laws(&stage.cluster);
    output
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn note(stage: &Stage) -> Value {
    let text = stage.cluster.node()["metadata"]["annotations"][BY_HAND].clone();
    text.as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// A pod that its budget does not let go, and another.
fn held_and_free() -> Stage {
    let held = Pod::named("held").replica_set("db").stops_in(Duration::from_millis(50)).grace(1);
    let stage = Stage::with([held, quick("free")]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    stage
}

#[test]
fn a_drain_ends_with_a_table_when_nothing_is_left() {
    let stage = Stage::with(quick_pods(5));
    let output = told(&stage, &["drain", NODE]);
    let (table, log) = (words(&output.stdout), words(&output.stderr));
    assert_eq!(code(&output), 0, "{table}{log}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("POD ") && lines.len() == 7, "{table}");
    assert!(lines[6].starts_with("5 evicted in "), "{table}");
    assert!(log.contains("the node is cordoned") && !log.contains("OUTCOME"), "{log}");
    assert!(!log.contains("leaves no trace"), "nothing lifts this cordon by itself: {log}");
    // No terminal: nothing is written over.
    assert!(!log.contains('\r'), "{log}");
    assert!(stage.cluster.is_cordoned());
    assert_eq!(
        (&note(&stage)["notice"], &note(&stage)["cordoned"]),
        (&json!("by-hand"), &json!(true))
    );
    assert_eq!(stage.note(), None, "the handler's own note is the handler's");
    // Whoever gives the command is asked for as himself.
    let all = stage.cluster.journal().entries();
    assert!(!all.iter().any(|entry| entry.path.contains("impersonate")), "{all:?}");
}

#[test]
fn budgets_are_respected_to_the_end_unless_it_is_said_that_they_are_not() {
    let stage = held_and_free();
    let output = told(&stage, &["drain", NODE, "--deadline", "3s"]);
    let table = words(&output.stdout);
    assert_eq!(code(&output), 1, "{table}");
    assert!(table.contains("refused by disruption budget default/db"), "{table}");
    assert!(table.contains("1 evicted, 1 still there in 3."), "{table}");
    assert_eq!(stage.cluster.pods(), ["default/held"]);

    let stage = held_and_free();
    // A handler's environment is not an operator's word.
    let unsaid = ["drain", NODE, "--deadline=5s"];
    let output = command(&unsaid)
        .env("BUDGET_OVERRIDE", "at-deadline")
        .envs(stage.cluster.environment())
        .output()
        .unwrap();
    assert_eq!(code(&output), 1, "{}", words(&output.stderr));
    let output = told(&stage, &["drain", NODE, "--deadline=8s", "--budget-override=at-deadline"]);
    let table = words(&output.stdout);
    assert_eq!(code(&output), 0, "{table}{}", words(&output.stderr));
    assert!(table.contains("against disruption budget default/db"), "{table}");
}

#[test]
fn what_a_drain_did_is_taken_back_and_nothing_else() {
    let stage = Stage::with(quick_pods(1));
    let before = stage.cluster.node();
    assert_eq!(code(&told(&stage, &["drain", NODE])), 0);
    let output = told(&stage, &["restore", NODE]);
    assert_eq!((code(&output), words(&output.stdout).as_str()), (0, ""));
    assert!(words(&output.stderr).contains("the node is uncordoned"));
    stage.gives_back(&before);
    let output = told(&stage, &["restore", NODE]);
    let expected = format!("nothing of this program is left on {NODE}\n");
    assert_eq!((code(&output), words(&output.stdout)), (0, expected));

    let stage = Stage::on(Node::named(NODE).cordoned(), quick_pods(1));
    let output = told(&stage, &["drain", NODE]);
    assert!(words(&output.stderr).contains("cordoned already, by somebody else"), "{output:?}");
    assert_eq!(code(&told(&stage, &["restore", NODE])), 0);
    assert!(stage.cluster.is_cordoned() && note(&stage).is_null());
}

#[test]
fn what_a_handler_left_is_taken_back_too() {
    let stage = Stage::with(quick_pods(1));
    let before = stage.cluster.node();
    let handler = stage.drain(FAR);
    handler.table().all_evicted(&names(1));
    handler.kill();
    assert!(stage.note().is_some());
    let output = told(&stage, &["restore", NODE]);
    assert_eq!(code(&output), 0, "{output:?}");
    stage.gives_back(&before);
}

#[test]
fn a_handler_leaves_alone_what_an_operator_did() {
    let stage = Stage::with(quick_pods(1));
    assert_eq!(code(&told(&stage, &["drain", NODE])), 0);
    let handler = stage.start();
    stage.cloud.announce_in(FAR);
    handler.says("cordoned already, by somebody else");
    handler.nth_table(1);
    drop(handler);
    assert_eq!(stage.note().unwrap()["cordoned"], false);
    assert_eq!(note(&stage)["cordoned"], true);
}

#[test]
fn a_drain_that_is_broken_off_says_who_is_left() {
    let stage = held_and_free();
    let child = command(&["drain", NODE]).envs(stage.cluster.environment()).spawn().unwrap();
    stage.happens(|what| matches!(what, Happening::Refused { .. }));
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 1, "{output:?}");
    // Its refusal may have been on the way still.
    let table = words(&output.stdout);
    let held = table.lines().find(|line| line.starts_with("default/held")).unwrap();
    assert!(held.contains("called off") || held.contains("no answer had come"), "{table}");
    assert!(stage.cluster.is_cordoned());
}

#[test]
fn a_node_or_a_server_that_is_not_there_is_said_at_once() {
    let stage = Stage::with([]);
    let output = told(&stage, &["drain", "another"]);
    let said = words(&output.stderr);
    assert_eq!(code(&output), 69, "{said}");
    assert!(said.contains("there is no node named another"), "{said}");
    let goes = told(&stage, &["drain", "another", "--budget-override=at-deadline"]);
    assert_eq!((code(&goes), words(&goes.stdout).as_str()), (69, ""), "{}", words(&goes.stderr));
    let output = command(&["drain", NODE, "--server", "https://127.0.0.1:9", "--token-file"])
        .arg(stage.cluster.token_file())
        .arg("--ca-file")
        .arg(stage.cluster.authority_file())
        .output()
        .unwrap();
    assert_eq!(code(&output), 69, "{output:?}");
    assert!(words(&output.stderr).contains("cannot be reached"), "{output:?}");
    let output = told(&stage, &["drain"]);
    assert_eq!(code(&output), 64, "{output:?}");
    assert!(words(&output.stderr).contains("name it after the command"), "{output:?}");
}

#[test]
fn a_kubeconfig_in_json_is_enough() {
    let stage = Stage::with(quick_pods(2));
    let folder = Folder::new();
    let authority = STANDARD.encode(content(&stage.cluster.authority_file()));
    let token = words(&content(&stage.cluster.token_file()));
    let config = json!({
        "kind": "Config", "apiVersion": "v1", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {
            "server": format!("https://{}", stage.cluster.address()),
            "certificate-authority-data": authority,
        }}],
        "users": [{"name": "u", "user": {"token": token.trim()}}],
    });
    let file = folder.put("config.json", config.to_string());
    let file = file.to_str().unwrap();
    let output = command(&["drain", NODE, "--kubeconfig", file]).output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(stage.asked(Class::Evict).len(), 2);

    let yaml = folder.put("config", "apiVersion: v1\nkind: Config\n");
    let output = command(&["drain", NODE]).env("KUBECONFIG", yaml).output().unwrap();
    assert_eq!(code(&output), 78, "{output:?}");
    let said = words(&output.stderr);
    assert!(said.contains("kubectl config view --minify --flatten --raw -o json"), "{said}");
}

#[test]
fn pods_that_come_late_go_too() {
    let slow = Pod::named("slow").replica_set("web").stops_in(Duration::from_secs(2));
    let stage = Stage::with([slow]);
    let child = command(&["drain", NODE]).envs(stage.cluster.environment()).spawn().unwrap();
    stage.happens(|what| matches!(what, Happening::Evicted { .. }));
    stage.cluster.add_pods([quick("late")]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(words(&output.stdout).contains("2 evicted"), "{output:?}");
}

#[test]
fn on_a_terminal_a_line_says_how_far_it_is() {
    let slow = Pod::named("slow").replica_set("web").stops_in(Duration::from_secs(3));
    let stage = Stage::with([slow, quick("fast")]);
    let command = format!("{} drain {NODE}", env!("CARGO_BIN_EXE_k8s-spot-handler"));
    // `script` gives it a terminal, and passes on what that shows.
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .envs(stage.cluster.environment())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = words(&output.stdout);
    assert_eq!(code(&output), 0, "{shown}");
    assert!(shown.contains("\r\u{1b}[K1 of 2 gone; 1 ending; 11"), "{shown:?}");
    // Lines of the log take its place, and it comes back below them.
    assert!(shown.contains("\r\u{1b}[K20"), "{shown:?}");
    // Nothing of it is left at the end.
    let (_, last) = shown.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(last.starts_with("POD "), "{last:?}");
}

#[test]
fn nobody_is_evicted_where_the_node_may_not_be_cordoned() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.forbid(Class::NodePatch);
    let output = told(&stage, &["drain", NODE]);
    assert_eq!(code(&output), 69, "{output:?}");
    assert!(words(&output.stderr).contains("`patch` on `nodes` must be granted"), "{output:?}");
    assert_eq!(stage.asked(Class::Evict).len(), 0);
}

#[test]
fn marks_only_are_marks_only() {
    let stage = Stage::with(quick_pods(2));
    let output = told(&stage, &["drain", NODE, "--cordon-only"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(stage.cluster.is_cordoned() && stage.asked(Class::Evict).is_empty());
}

#[test]
fn what_a_daemon_set_says_of_graces_is_not_said_by_hand() {
    let grace = |stage: &Stage| {
        stage.asked(Class::Evict)[0].json()["deleteOptions"]["gracePeriodSeconds"].clone()
    };
    let stage = Stage::with([quick("web").grace(600)]);
    let output = command(&["drain", NODE])
        .envs(stage.cluster.environment())
        .env("POD_TERMINATION_GRACE_PERIOD", "30")
        .output()
        .unwrap();
    assert_eq!((code(&output), grace(&stage)), (0, json!(600)), "{output:?}");
    let stage = Stage::with([quick("web").grace(600)]);
    told(&stage, &["drain", NODE, "--pod-termination-grace-period=30"]);
    assert_eq!(grace(&stage), json!(30));
}

#[test]
fn a_handler_that_is_started_with_its_command_reads_the_node_as_ever() {
    let stage = Stage::with([]);
    let mut child = command(&["run"])
        .envs(stage.cluster.environment())
        .env("INSTANCE_METADATA_URL", stage.cloud.url())
        .spawn()
        .unwrap();
    stage.answers(Class::NodeGet, 1);
    stage.polled_on(0, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(stage.asked(Class::NodeGet).len(), 1);
}
