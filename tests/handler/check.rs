//! `check`: what it says of a world in which something is wrong, and with which exit status.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Class, Endpoint, Fault, Happening, Node, Version};

use crate::stage::{Folder, NODE, Stage, at_once, content, own_port};

const DOCUMENT: &str = "dynamic/instance-identity/document";
const LIFE_CYCLE: &str = "instance-life-cycle";

/// A world in which all is well.
fn well() -> Stage {
    on(Node::named(NODE))
}

fn on(node: Node) -> Stage {
    let stage = Stage::on(node, []);
    let document =
        json!({"instanceId": "i-0123456789abcdef0", "availabilityZone": "eu-central-1a"});
    stage.cloud.set(DOCUMENT, document.to_string());
    stage.cloud.set(LIFE_CYCLE, "spot");
    stage
}

/// What `check` says, and its exit status.
struct Told {
    status: Option<i32>,
    text: String,
}

impl Told {
    /// The one line of this check, which must begin with this outcome.
    fn says(&self, outcome: &str, check: &str, words: &[&str]) {
        let head = format!("{outcome:<7}  {check}: ");
        let is_it =
            |line: &&str| line.starts_with(&head) && words.iter().all(|words| line.contains(words));
        assert!(self.text.lines().any(|line| is_it(&line)), "{head}{words:?}: {}", self.text);
        assert!(outcome == "ok" || outcome == "skipped" || self.text.contains("; remedy: "));
    }

    fn ended(&self, status: i32) {
        assert_eq!(self.status, Some(status), "{}", self.text);
    }
}

fn check(stage: &Stage, more: &[(&str, &str)], arguments: &[&str]) -> Told {
    let url = stage.cloud.url();
    let output = Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"))
        .arg("check")
        .args(arguments)
        .env_clear()
        .envs(stage.cluster.environment())
        .env("INSTANCE_METADATA_URL", url)
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    for secret in ["eyJ", "AQAEA", "bm8gc2lnbmF0dXJl"] {
        assert!(!text.contains(secret), "a token is told: {text}");
    }
    let happened: Vec<Happening> =
        stage.cluster.happened().into_iter().map(|one| one.what).collect();
    assert!(happened.is_empty(), "it has changed something: {happened:?}");
    let journal = stage.cluster.journal();
    for class in [Class::NodePatch, Class::Evict, Class::Delete, Class::Status] {
        assert_eq!(journal.count(class), 0, "{journal}");
    }
    Told { status: output.status.code(), text }
}

#[test]
fn where_all_is_well_every_line_says_so() {
    let stage = well();
    let more = [("POD_NAME", "it"), ("NAMESPACE", "here"), ("EMIT_KUBERNETES_EVENTS", "true")];
    let told = check(&stage, &more, &[]);
    told.ended(0);
    for (check, words) in [
        ("settings", "good"),
        ("metadata service", "gave a token (IMDSv2)"),
        ("notices", "none at spot/instance-action (status 404)"),
        ("notices", "none at spot/termination-time"),
        ("notices", "none at events/maintenance/scheduled"),
        ("instance", "i-0123456789abcdef0, eu-central-1a, spot"),
        ("instance and node", "the Node is aws:///eu-central-1a/i-0123456789abcdef0"),
        ("API server", "v1.37.2, trusted by"),
        ("identity", "in the name of this node"),
        ("token", "of system:serviceaccount:kube-system:k8s-spot-handler for"),
        ("token and node", "on node ip-10-0-1-17"),
        ("clock", "that of the API server"),
        ("permission", "get nodes: allowed"),
        ("permission", "patch nodes: allowed"),
        ("permission", "list pods: allowed"),
        ("permission", "watch pods: allowed"),
        ("permission", "create pods/eviction: allowed"),
        ("permission", "delete pods: allowed"),
        ("permission", "patch pods/status: allowed"),
        ("permission", "create events: allowed"),
        ("permission", "patch events: allowed"),
        ("node", "ip-10-0-1-17: not cordoned; no mark of this handler"),
    ] {
        told.says("ok", check, &[words]);
    }
    assert_eq!(told.text.lines().last(), Some("22 checks: 0 failed, 0 warned"));
}

#[test]
fn a_right_is_asked_for_in_the_name_in_which_it_is_used() {
    let stage = well();
    let reviews = || {
        let asked = stage.asked(Class::Review);
        asked.iter().map(|entry| entry.json()["spec"]["resourceAttributes"].clone()).collect()
    };
    let told = check(&stage, &[("IDENTITY", "service-account"), ("DRY_RUN", "true")], &[]);
    told.ended(0);
    told.says("ok", "identity", &["IDENTITY=service-account"]);
    let plain: Vec<Value> = reviews();
    let selector = json!({"requirements": [
        {"key": "spec.nodeName", "operator": "In", "values": [NODE]}]});
    let expected = [
        json!({"verb": "get", "resource": "nodes", "subresource": "", "name": NODE}),
        json!({"verb": "list", "resource": "pods", "subresource": "", "name": "",
            "fieldSelector": selector}),
        json!({"verb": "watch", "resource": "pods", "subresource": "", "name": "",
            "fieldSelector": selector}),
        json!({"verb": "create", "resource": "pods", "subresource": "eviction", "name": ""}),
    ];
    assert_eq!(plain, expected, "nothing is written with DRY_RUN");

    // A node may not change its own taints.
    let told = check(&stage, &[("TAINT_NODE", "true")], &[]);
    told.says("ok", "permission", &[": impersonate-on:associated-node:patch nodes: allowed"]);
    told.says("ok", "permission", &[": patch nodes: allowed"]);
    let all: Vec<Value> = reviews();
    assert_eq!(all.len(), plain.len() + 8, "{all:#?}");
}

#[test]
fn a_right_that_is_missing_is_named_with_what_to_grant() {
    let stage = well();
    stage.cluster.forbid(Class::Evict);
    let told = check(&stage, &[("IDENTITY", "service-account")], &[]);
    told.ended(78);
    let words =
        [": create pods/eviction: not allowed", "grant it to the ServiceAccount, as deploy"];
    told.says("failure", "permission", &words);
    told.says("ok", "permission", &["delete pods: allowed"]);
    // In the node's name it is asked for, and then in the ServiceAccount's.
    let told = check(&stage, &[], &[]);
    told.says(
        "failure",
        "permission",
        &["impersonate-on:associated-node:create pods/eviction: not allowed; create pods/eviction: not"],
    );
}

#[test]
fn an_api_server_that_refuses_everything_is_not_taken_for_one_that_is_away() {
    let stage = well();
    for class in [Class::NodeGet, Class::Review] {
        stage.cluster.forbid(class);
    }
    let told = check(&stage, &[], &[]);
    told.ended(78);
    told.says("ok", "API server", &["v1.37.2"]);
    told.says("failure", "node", &["403", "see token and permission"]);
    told.says("skipped", "instance and node", &[]);
    told.says("warning", "permission", &["403", "ClusterRole system:basic-user"]);
    stage.cluster.revoke_tokens();
    let told = check(&stage, &[], &[]);
    told.ended(78);
    told.says("failure", "API server", &["status 401", "it is not accepted"]);
}

#[test]
fn what_is_away_or_silent_is_said_and_the_rest_is_looked_at() {
    let cases = [
        "no metadata service",
        "a token that does not come",
        "no API server",
        "an API server that is silent",
    ];
    at_once(&cases.map(|name| (name, name)), |name| {
        let stage = well();
        match *name {
            "no metadata service" => stage.cloud.stop(),
            "a token that does not come" => stage.cloud.become_silent(),
            "no API server" => stage.cluster.stop(),
            _ => stage.cluster.become_silent(),
        }
        let began = Instant::now();
        let told = check(&stage, &[], &[]);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        told.ended(69);
        if name.contains("API server") {
            told.says("ok", "instance", &[]);
            told.says("failure", "API server", &["KUBERNETES_SERVICE_HOST"]);
            told.says("ok", "token", &[]);
            for check in ["instance and node", "identity", "clock", "permission", "node"] {
                told.says("skipped", check, &[]);
            }
        } else {
            told.says("failure", "metadata service", &["/latest/api/token"]);
            for check in ["notices", "instance", "instance and node"] {
                told.says("skipped", check, &[]);
            }
            told.says("ok", "permission", &["delete pods"]);
            told.says("ok", "node", &[NODE]);
            let told_hop = told.text.contains("--http-put-response-hop-limit 2");
            assert_eq!(told_hop, name.contains("token"), "{}", told.text);
        }
    });
}

#[test]
fn a_service_of_version_1_and_an_on_demand_instance_are_warned_of() {
    let stage = well();
    stage.cloud.speak(Version::V1Only(404));
    stage.cloud.set(LIFE_CYCLE, "on-demand");
    let told = check(&stage, &[], &[]);
    told.ended(0);
    told.says("warning", "metadata service", &["no IMDSv2 (status 404 for a token)"]);
    told.says(
        "warning",
        "instance",
        &["on-demand", "announces interruptions of spot instances", "is not documented"],
    );
    let told = check(&stage, &[("IMDS_V1_FALLBACK", "false")], &[]);
    told.ended(69);
    told.says("failure", "metadata service", &["IMDS_V1_FALLBACK=false"]);
}

#[test]
fn the_metadata_service_may_have_an_ipv6_address() {
    let stage = Stage::at(IpAddr::V6(Ipv6Addr::LOCALHOST), []);
    stage.cloud.set(LIFE_CYCLE, "spot");
    let told = check(&stage, &[], &[]);
    assert!(stage.cloud.url().starts_with("http://[::1]:"));
    told.says("ok", "metadata service", &[&stage.cloud.url(), "gave a token (IMDSv2)"]);
    told.says("ok", "notices", &["none at spot/instance-action (status 404)"]);
}

#[test]
fn notices_that_stand_are_told_and_what_cannot_be_read_is_a_failure() {
    let stage = well();
    stage.cloud.announce_in(Duration::from_mins(2));
    stage.cloud.fail(Endpoint::Scheduled).always().with(Fault::Html(200));
    let told = check(&stage, &[], &[]);
    told.ended(69);
    let words = ["at spot/instance-action; spot-interruption/terminate: {"];
    told.says("warning", "notices", &words);
    told.says("failure", "notices", &["events/maintenance/scheduled", "HTML"]);
}

#[test]
fn a_clock_that_is_off_is_measured() {
    for (ahead, status, outcome, words) in [
        (-3_700, 69, "failure", "s ahead of the API server's"),
        (3_700, 69, "failure", "s behind the API server's"),
        (6, 0, "warning", "s behind the API server's"),
        (-6, 0, "warning", "s ahead of the API server's"),
    ] {
        let stage = well();
        stage.cluster.set_clock_ahead(time::Duration::seconds(ahead));
        let told = check(&stage, &[], &[]);
        told.ended(status);
        told.says(outcome, "clock", &[words, "chrony"]);
    }
}

#[test]
fn another_node_than_the_own_is_a_failure() {
    let other = Stage::on(Node::named("ip-10-0-1-18"), []);
    let stage = well();
    let token = stage.cluster.token_file();
    other.cluster.accept_token(&stage.cluster.token());
    other.cloud.set(DOCUMENT, json!({"instanceId": "i-0fedcba9876543210"}).to_string());
    other.cloud.set(LIFE_CYCLE, "spot");
    let told = check(&other, &[("TOKEN_FILE", token.to_str().unwrap())], &[]);
    told.ended(78);
    told.says("failure", "token and node", &["on node ip-10-0-1-17", "set NODE_NAME"]);
    let words = ["is aws:///eu-central-1a/i-0123456789abcdef0", "that of i-0fedcba9876543210"];
    told.says("failure", "instance and node", &words);
    let told = check(&stage, &[], &["ip-10-0-1-99"]);
    told.ended(78);
    told.says("failure", "node", &["there is no node named ip-10-0-1-99"]);
}

#[test]
fn files_that_are_missing_or_of_another_cluster_are_named() {
    let (stage, other, folder) = (well(), well(), Folder::new());
    let nowhere = folder.file("token");
    let told = check(&stage, &[("TOKEN_FILE", nowhere.to_str().unwrap())], &[]);
    told.ended(78);
    for check in ["API server", "token"] {
        told.says(
            "failure",
            check,
            &[nowhere.to_str().unwrap(), "mount the ServiceAccount's token"],
        );
    }
    let ca = folder.put("ca.crt", content(&other.cluster.authority_file()));
    let told = check(&stage, &[("CA_FILE", ca.to_str().unwrap())], &[]);
    told.ended(78);
    told.says("failure", "API server", &["is not signed by a CA in", "correct CA_FILE"]);
}

#[test]
fn what_is_on_the_node_is_told() {
    const NOTE: &str = "k8s-spot-handler/state";
    for (node, words) in [
        (Node::named(NODE).cordoned(), "cordoned by somebody else; no mark"),
        (Node::named(NODE).cordoned_by("k8s-spot-handler"), "cordoned by this handler; no mark"),
        (
            Node::named(NODE).annotated(NOTE, "{}"),
            "not cordoned; an annotation that cannot be read",
        ),
    ] {
        let told = check(&on(node), &[], &[]);
        told.ended(0);
        told.says("warning", "node", &[words]);
    }
}

#[test]
fn programs_get_one_object_also_of_bad_settings() {
    let stage = well();
    let told = check(&stage, &[], &["--output", "json"]);
    told.ended(0);
    let object: Value = serde_json::from_str(&told.text).unwrap();
    assert_eq!(object["outcome"], "ok");
    let last = object["checks"].as_array().unwrap().last().unwrap();
    let found = format!("{NODE}: not cordoned; no mark of this handler");
    assert_eq!(*last, json!({"check": "node", "outcome": "ok", "found": found, "remedy": ""}));

    let told =
        check(&stage, &[("SAFETY_MARGIN", "0"), ("POLL_INTERVAL", "soon")], &["--output=json"]);
    told.ended(78);
    let object: Value = serde_json::from_str(&told.text).unwrap();
    let checks = object["checks"].as_array().unwrap();
    assert_eq!((checks.len(), &object["outcome"]), (2, &json!("failure")));
    let found: Vec<_> = checks.iter().map(|one| one["found"].as_str().unwrap()).collect();
    assert!(found.iter().any(|found| found.contains("SAFETY_MARGIN")), "{found:?}");
    assert!(checks.iter().all(|one| one["check"] == "settings" && one["remedy"] != ""));

    let told = check(&stage, &[("SAFETY_MARGIN", "0")], &[]);
    told.ended(78);
    told.says("failure", "settings", &["SAFETY_MARGIN", "0"]);
    assert_eq!(told.text.lines().count(), 2, "nothing else is looked at: {}", told.text);
}

/// Opens a way to `to` for one client after the other, who must say this as whom they come.
fn proxy(to: String, who: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut head) = (client.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            if !String::from_utf8(head).unwrap().contains(who) {
                let _ = client.write_all(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let server = TcpStream::connect(&to).unwrap();
            let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut back));
            let (mut from, mut back) = (server, client);
            thread::spawn(move || io::copy(&mut from, &mut back));
        }
    });
    address
}

/// The API server stands in for a webhook: it has a certificate of a CA of its own.
#[test]
fn a_webhook_is_reached_and_told_nothing() {
    let stage = well();
    let address = stage.cluster.address().to_string();
    let (url, ca) = (format!("https://{address}/hush"), stage.cluster.authority_file());
    let ca = ca.to_str().unwrap();
    let direct = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_CA_FILE", ca)];
    let told = check(&stage, &direct, &[]);
    told.ended(0);
    let reached = format!("https://{address}/…: reached, and its certificate is trusted");
    told.says("ok", "webhook", &[&reached, "no message was sent"]);

    let between = proxy(address.clone(), "Basic bWU6aHVzaA==");
    let by = |user: &str| format!("http://{user}@{between}");
    let (right, wrong) = (by("me:hush"), by("me:hash"));
    let told = check(&stage, &[&direct[..], &[("WEBHOOK_PROXY", &right)]].concat(), &[]);
    told.ended(0);
    told.says("ok", "webhook", &["reached through the proxy, and its certificate is trusted"]);
    let told = check(&stage, &[&direct[..], &[("WEBHOOK_PROXY", &wrong)]].concat(), &[]);
    told.ended(0);
    told.says("warning", "webhook", &["407", &between, "WEBHOOK_PROXY"]);
    assert!(!told.text.contains("hush") && !told.text.contains("hash"), "{}", told.text);
    let asked = stage.asked(Class::Other);
    assert!(asked.iter().all(|entry| !entry.path.contains("hush")), "{asked:?}");
}

#[test]
fn a_webhook_that_cannot_work_is_named_with_its_remedy_and_no_drain_fails_for_it() {
    let (stage, folder) = (well(), Folder::new());
    let address = stage.cluster.address().to_string();
    let url = format!("https://{address}/hush");
    let (missing, template) = (folder.file("missing"), folder.put("template", "{{ range .Pods }}"));
    let (missing, template) = (missing.to_str().unwrap(), template.to_str().unwrap());
    let nobody = format!("http://{}/hush", own_port().local_addr().unwrap());
    for (variables, words) in [
        (
            &[("WEBHOOK_URL", url.as_str())][..],
            &["not signed by a public CA", "WEBHOOK_CA_FILE"][..],
        ),
        (
            &[("WEBHOOK_URL", &url), ("WEBHOOK_CA_FILE", missing)],
            &["no message can be sent", missing],
        ),
        (
            &[("WEBHOOK_URL_FILE", missing)],
            &["no message can be sent", missing, "mount the Secret"],
        ),
        (&[("SLACK_URL", &nobody)], &["cannot be reached: Connection refused", "network policy"]),
        (
            &[("SLACK_URL", "https://no-such-host.invalid/hush")],
            &["webhook's server no-such-host.invalid:443", "cannot be resolved"],
        ),
        (
            &[("WEBHOOK_URL", &nobody), ("WEBHOOK_TEMPLATE_FILE", template)],
            &["the default message is sent: ", template],
        ),
        (
            &[("WEBHOOK_URL", &nobody), ("WEBHOOK_HEADERS_FILE", missing)],
            &["messages go without their headers: ", missing],
        ),
    ] {
        let told = check(&stage, variables, &[]);
        told.ended(0);
        told.says("warning", "webhook", words);
        assert!(!told.text.contains("hush"), "{}", told.text);
    }
    let told = check(&stage, &[("WEBHOOK_FORM", "telegram"), ("LOG_LEVEL", "loud")], &[]);
    told.ended(0);
    told.says("warning", "settings", &["WEBHOOK_FORM is \"telegram\"", "template, is in force"]);
    told.says("warning", "settings", &["LOG_LEVEL is \"loud\"", "--help names each setting"]);
    told.says("ok", "settings", &["all others are good"]);
}

#[test]
fn a_webhook_that_hangs_is_a_warning_after_all_else() {
    let stage = well();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let began = Instant::now();
    let told = check(&stage, &[("SLACK_URL", &url)], &[]);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    told.ended(0);
    told.says("warning", "webhook", &["no answer within 3.0s"]);
    told.says("ok", "node", &[NODE]);
}

#[test]
fn a_port_that_another_has_is_told_and_that_of_a_handler_is_well() {
    let stage = well();
    let somebody = own_port();
    let port = somebody.local_addr().unwrap().port().to_string();
    let on = [
        ("ENABLE_PROBES_SERVER", "true"),
        ("PROBES_SERVER_PORT", port.as_str()),
        ("LISTEN_ADDRESS", "127.0.0.1"),
    ];
    let told = check(&stage, &on, &[]);
    told.ended(0);
    let cannot = format!("cannot listen on 127.0.0.1:{port} for probes");
    told.says("warning", "port", &[&cannot, "PROBES_SERVER_PORT"]);
    drop(somebody);
    let told = check(&stage, &on, &[]);
    told.says("ok", "port", &["is free for probes"]);
    let mut launch = stage.handler();
    for (name, value) in on {
        launch = launch.with(name, value);
    }
    let handler = launch.start();
    handler.says("serves probes");
    stage.polled_on(0, 1);
    let told = Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"))
        .arg("check")
        .env_clear()
        .envs(stage.cluster.environment())
        .env("INSTANCE_METADATA_URL", stage.cloud.url())
        .envs(on)
        .output()
        .unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("ok       port: ") && text.contains("served by this program"), "{text}");
}
