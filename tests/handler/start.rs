//! What it says when it starts, and what it does about things that are missing.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use simulator::{ApiServer, Class, Endpoint, Fault, HANDLER_POD, Node};

use crate::child::PATIENCE;
use crate::stage::{
    FAR, Folder, NODE, Stage, at_once, content, has_only_read_the_node, names, quick_pods,
};

#[test]
fn it_says_what_it_is_what_it_will_do_and_what_it_polls() {
    let stage = Stage::with([]);
    let handler = stage.handler().start();
    handler.says(concat!("k8s-spot-handler ", env!("CARGO_PKG_VERSION")));
    handler
        .says(&format!("{NODE} will be cordoned and drained once an interruption notice is made"));
    let url = stage.cloud.url();
    let polling = "/latest/meta-data/spot/instance-action every 1 second(s)";
    handler.says(&format!("Polling {url}{polling}"));
}

#[test]
fn it_reads_the_node_once_and_then_has_nothing_to_do_with_the_api_server() {
    let stage = Stage::with(quick_pods(2));
    let handler = stage.start();
    assert!(stage.cluster.wait_until(PATIENCE, |cluster| cluster.open_connections() == 0));
    stage.polled_on(stage.polls(), 3);
    has_only_read_the_node(&stage.cluster);
    let read = &stage.asked(Class::NodeGet)[0];
    assert_eq!((read.path.as_str(), read.code), (&*format!("/api/v1/nodes/{NODE}"), Some(200)));
    assert_eq!((stage.cluster.connections(), stage.cluster.open_connections()), (1, 0));
    assert_eq!(handler.said("earlier"), 0, "there was nothing to find");
}

#[test]
fn without_a_name_of_node_or_pod_it_ends_with_64_before_it_asks_anybody() {
    let stage = Stage::with([]);
    let mut handler = stage.handler().without("NODE_NAME").start();
    assert_eq!(handler.ended().code(), Some(64));
    assert_eq!(handler.said("neither NODE_NAME nor POD_NAME is set"), 1);
    assert!(stage.cloud.journal().is_empty() && stage.cluster.connections() == 0);
}

#[test]
fn without_a_name_of_the_node_the_token_tells_it() {
    let stage = Stage::with(quick_pods(2));
    let (namespace, name) = HANDLER_POD.split_once('/').unwrap();
    let launch = stage.handler().without("NODE_NAME");
    let handler = launch.with("POD_NAME", name).with("NAMESPACE", namespace).start();
    handler.says(&format!("this node is {NODE}"));
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    assert_eq!(stage.cluster.journal().count(Class::PodGet), 0);
}

#[test]
fn without_a_name_of_the_node_it_is_read_from_the_pod() {
    let stage = Stage::with(quick_pods(2));
    stage.cluster.add_pod(simulator::Pod::handler());
    // As of servers before 1.32: no claim about the node.
    let folder = Folder::new();
    stage.cluster.accept_token("an-opaque-token");
    let token = folder.put("token", "an-opaque-token\n");
    let (namespace, name) = HANDLER_POD.split_once('/').unwrap();
    let launch = stage.handler().without("NODE_NAME").with("TOKEN_FILE", token);
    let handler = launch.with("POD_NAME", name).with("NAMESPACE", namespace).start();
    handler.says(&format!("this node is {NODE}"));
    assert_eq!(stage.asked(Class::PodGet).len(), 1);
    stage.cloud.announce_in(FAR);
    let table = handler.table();
    table.says("default/web-0", "evicted", "");
    table.says(HANDLER_POD, "left alone", "own pod");
    assert_eq!(handler.said("opaque"), 0);
}

#[test]
fn where_the_pod_may_not_be_read_it_says_what_to_grant_or_set() {
    let stage = Stage::with([]);
    let folder = Folder::new();
    stage.cluster.accept_token("an-opaque-token");
    let token = folder.put("token", "an-opaque-token\n");
    stage.cluster.forbid(Class::PodGet);
    let launch = stage.handler().without("NODE_NAME").with("TOKEN_FILE", token);
    let handler = launch.with("POD_NAME", "it").with("NAMESPACE", "here").start();
    let line = handler.says("the name of this node is not known");
    for words in ["403", "set NODE_NAME", "grant `get` on `pods`"] {
        assert!(line.contains(words), "{line}");
    }
    stage.asks(Class::PodGet, 3);
    assert_eq!(handler.said("the name of this node is not known"), 1);
    assert!(stage.polls() > 0, "polling goes on");
}

#[test]
fn a_token_file_that_is_missing_is_named_once_and_found_when_it_is_there() {
    let stage = Stage::with(quick_pods(2));
    let folder = Folder::new();
    let file = folder.file("token");
    let handler = stage.handler().with("TOKEN_FILE", &file).start();
    let line = handler.says("Without it no pod can be evicted");
    assert!(line.contains(&file.display().to_string()) && line.contains(" ERROR "), "{line}");
    // Long enough for it to look again.
    stage.polled_on(0, 5);
    assert_eq!(handler.said("Without it no pod can be evicted"), 1);
    folder.put("token", stage.cluster.token());
    handler.says("what was missing for the API server is there");
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
}

#[test]
fn a_token_file_that_comes_in_the_middle_of_a_drain_is_in_time() {
    let stage = Stage::with(quick_pods(2));
    let folder = Folder::new();
    stage.cloud.announce_in(FAR);
    let file = folder.file("token");
    let handler = stage.handler().with("TOKEN_FILE", &file).start();
    handler.says("the node is not marked");
    handler.says("the watch of this node's pods was lost");
    folder.put("token", stage.cluster.token());
    handler.table().all_evicted(&names(2));
    handler.says("the node is cordoned");
}

#[test]
fn a_ca_file_that_is_not_pem_is_named() {
    let stage = Stage::with(quick_pods(2));
    let folder = Folder::new();
    let file = folder.put("ca.crt", "no certificate");
    let handler = stage.handler().with("CA_FILE", &file).start();
    let line = handler.says("is not PEM");
    assert!(line.contains(&file.display().to_string()) && line.contains("14 bytes"), "{line}");
    folder.put("ca.crt", content(&stage.cluster.authority_file()));
    handler.says("what was missing for the API server is there");
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
}

#[test]
fn the_ca_of_another_cluster_is_named_and_its_correction_is_noticed() {
    let stage = Stage::with(quick_pods(2));
    let other = ApiServer::start(Node::named("other")).unwrap();
    let folder = Folder::new();
    let file = folder.put("ca.crt", content(&other.authority_file()));
    stage.cloud.announce_in(FAR);
    let handler = stage.handler().with("CA_FILE", &file).start();
    let line = handler.says("is not signed by a CA in");
    assert!(line.contains(&file.display().to_string()), "{line}");
    assert!(line.contains(&stage.cluster.address().to_string()), "{line}");
    folder.put("ca.crt", content(&stage.cluster.authority_file()));
    handler.table().all_evicted(&names(2));
}

#[test]
fn with_the_ca_of_another_cluster_the_table_does_not_say_that_all_are_gone() {
    let stage = Stage::with(quick_pods(2));
    let other = ApiServer::start(Node::named("other")).unwrap();
    stage.cloud.announce_in(Duration::from_secs(4));
    let ca = other.authority_file();
    let handler = stage.handler().with("CA_FILE", ca).start();
    let table = handler.table();
    assert!(table.rows.is_empty() && table.occasion.contains("the deadline is reached"));
    assert!(table.sum.contains("was not read to its end, there may be more"), "{table:?}");
    assert_eq!(handler.said("nothing is left"), 0);
    assert!(stage.cluster.journal().is_empty());
}

#[test]
fn an_unreachable_metadata_service_is_said_once_and_asked_until_it_answers() {
    let stage = Stage::with(quick_pods(2));
    stage.cloud.stop();
    let handler = stage.handler().start();
    let line = handler.says("spot/instance-action cannot be polled");
    assert!(line.contains("/latest/api/token: the server did not answer: "), "{line}");
    assert!(line.contains(&stage.cloud.url()), "{line}");
    std::thread::sleep(Duration::from_secs(1));
    stage.cloud.start_again().unwrap();
    handler.says("spot/instance-action answers again, after ");
    assert_eq!(handler.said("spot/instance-action cannot be polled"), 1);
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
}

#[test]
fn a_token_request_that_hangs_names_the_hop_limit_and_what_to_change() {
    let stage = Stage::with([]);
    stage.cloud.fail(Endpoint::Token).always().with(Fault::Hang);
    let handler = stage.handler().start();
    let line = handler.says("spot/instance-action cannot be polled");
    for words in [
        "PUT ",
        "/latest/api/token",
        "hop limit",
        "hostNetwork: true",
        "--http-put-response-hop-limit 2",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert_eq!(stage.polls(), 0, "it does not fall back to IMDSv1");
    stage.cloud.heal();
    handler.says("spot/instance-action answers again");
    assert_eq!(handler.said("spot/instance-action cannot be polled"), 1);
}

#[test]
fn metadata_service_and_api_server_may_have_ipv6_addresses() {
    at_once(&[("bare", "::1"), ("in brackets", "[::1]")], |host| {
        let stage = Stage::at(IpAddr::V6(Ipv6Addr::LOCALHOST), quick_pods(2));
        assert!(stage.cloud.url().starts_with("http://[::1]:"));
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().with("KUBERNETES_SERVICE_HOST", host).start();
        handler.table().all_evicted(&names(2));
    });
}
