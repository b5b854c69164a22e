//! What must hold in every scenario, read from the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::cluster::Startup;
use crate::cluster::audit::Exchange;
use crate::witness::Sighting;

/// What happened, from both sides.
pub struct Evidence<'a> {
    /// The handler's node.
    pub node: &'a str,
    /// The UID of its own pod.
    pub own_uid: &'a str,
    /// What it asked.
    pub exchanges: &'a [Exchange],
    /// When the server was not ready yet.
    pub startups: &'a [Startup],
    /// Every pod that was ever on the node.
    pub sightings: &'a [Sighting],
    /// The last announced end.
    pub deadline: Option<Timestamp>,
    /// When an end was first announced: until then there was all the time.
    pub announced: Option<Timestamp>,
    /// Whether the node is cordoned at the end.
    pub cordoned: bool,
    /// Whether `check` was run: it asks what the handler never does.
    pub checked: bool,
}

/// A request that was under way at the deadline may arrive a little later.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The longest time between the last byte of an answer and the server's note
/// that it is done.
const NOTING: Duration = Duration::from_millis(5);

/// What the handler keeps of the time left (`SAFETY_MARGIN`).
const MARGIN: Duration = Duration::from_secs(2);

/// Graces are whole seconds, and requests take their time.
const ROUNDING: Duration = Duration::from_secs(1);

/// Checks all of it.
///
/// # Errors
/// Names every breach, the first ten of them.
pub fn check(evidence: &Evidence<'_>) -> Result<()> {
    let mut breaches = Vec::new();
    for exchange in evidence.exchanges {
        let broken = allowed(evidence, exchange)
            .or_else(|| own_node(evidence, exchange))
            .or_else(|| careful(exchange))
            .or_else(|| in_time(evidence, exchange))
            .or_else(|| grace_fits(evidence, exchange))
            .or_else(|| refused_before(evidence, exchange));
        breaches.extend(broken.map(|why| format!("{why}: {exchange}")));
    }
    breaches.extend(one_at_a_time(evidence.exchanges));
    breaches.extend(cordoned_first(evidence));
    breaches.extend(only_its_own(evidence.exchanges));
    if breaches.is_empty() {
        return Ok(());
    }
    let count = breaches.len();
    breaches.truncate(10);
    bail!("{count} breaches of what holds always:\n  {}", breaches.join("\n  "))
}

fn allowed(evidence: &Evidence<'_>, exchange: &Exchange) -> Option<String> {
    let starting = evidence.startups.iter().any(|startup| startup.contains(exchange.received));
    let forbidden = exchange.code == 403 && !exchange.refused_by_budget() && !starting;
    forbidden.then(|| "forbidden by the shipped role".to_owned())
}

/// A node from which pods were evicted is cordoned, or was, by the handler,
/// until it was given back.
fn cordoned_first(evidence: &Evidence<'_>) -> Option<String> {
    let ended_a_pod = |one: &Exchange| one.is_eviction() && one.accepted() && !one.dry_run();
    let drained = evidence.exchanges.iter().any(ended_a_pod);
    let cordoned = evidence.exchanges.iter().any(|one| one.cordons() && one.accepted());
    (drained && !cordoned && !evidence.cordoned).then(|| "the node was never cordoned".to_owned())
}

/// Only what the handler has set is taken back, each once.
fn only_its_own(exchanges: &[Exchange]) -> Vec<String> {
    let mut patches: Vec<_> =
        exchanges.iter().filter(|one| one.is_node_patch() && one.accepted()).collect();
    patches.sort_by_key(|exchange| exchange.received);
    let mut cordoned = false;
    let mut breaches = Vec::new();
    for patch in patches {
        if patch.uncordons() && !cordoned {
            breaches.push(format!("a cordon of others is lifted: {patch}"));
        }
        cordoned = (cordoned || patch.cordons()) && !patch.uncordons();
    }
    breaches
}

/// Nothing is asked about another node or its pods.
fn own_node(evidence: &Evidence<'_>, exchange: &Exchange) -> Option<String> {
    let node = evidence.node;
    let selector = format!("fieldSelector=spec.nodeName%3D{node}");
    match (exchange.resource.as_str(), exchange.verb.as_str()) {
        ("nodes", _) => (exchange.name != node).then(|| "another node".to_owned()),
        ("pods", "list" | "watch") => {
            let plain = selector.replace("%3D", "=");
            let narrow = exchange.uri.contains(&selector) || exchange.uri.contains(&plain);
            (!narrow).then(|| "the pods of all nodes".to_owned())
        }
        ("pods" | "pods/eviction" | "pods/status", _) => {
            let of_node = |uid: &str| evidence.sightings.iter().any(|pod| pod.uid() == uid);
            match pod_uid(exchange) {
                Some(uid) if uid == evidence.own_uid => Some("its own pod".to_owned()),
                Some(uid) if of_node(uid) => None,
                Some(uid) => Some(format!("UID {uid} was never on this node")),
                // The server did not get as far as the body.
                None if exchange.body.is_null() && !exchange.accepted() => None,
                None => Some("no UID in the request".to_owned()),
            }
        }
        ("events", "create" | "patch") => None,
        ("selfsubjectaccessreviews", "create") if evidence.checked => None,
        ("", "get") if evidence.checked && exchange.uri == "/version" => None,
        (resource, _) => Some(format!("{resource} is not the handler's business")),
    }
}

fn careful(exchange: &Exchange) -> Option<String> {
    let ends_a_pod = exchange.is_eviction() || exchange.is_deletion();
    if ends_a_pod && exchange.grace() == Some(0) {
        return Some("grace 0".to_owned());
    }
    if exchange.is_deletion() && exchange.grace().is_none() {
        return Some("a deletion without a grace".to_owned());
    }
    let node_patch = exchange.is_node_patch();
    if node_patch && exchange.body["metadata"]["resourceVersion"].as_str().is_none() {
        return Some("a patch without resourceVersion".to_owned());
    }
    if node_patch && !exchange.uri.contains("fieldManager=k8s-spot-handler") {
        return Some("a patch in nobody's name".to_owned());
    }
    let marks = exchange.cordons() || exchange.body["spec"]["taints"].is_array();
    let annotations = exchange.body["metadata"]["annotations"].as_object();
    if node_patch && marks && annotations.is_none_or(serde_json::Map::is_empty) {
        return Some("marks without a note".to_owned());
    }
    None
}

fn in_time(evidence: &Evidence<'_>, exchange: &Exchange) -> Option<String> {
    let about_a_pod = exchange.resource.starts_with("pods") && exchange.verb != "watch";
    let last = evidence.deadline?.checked_add(UNDER_WAY).ok()?;
    (about_a_pod && exchange.received > last).then(|| "after the deadline".to_owned())
}

/// No pod gets more time than it wants itself, nor more than there is.
fn grace_fits(evidence: &Evidence<'_>, exchange: &Exchange) -> Option<String> {
    let grace = exchange.grace()?;
    let uid = pod_uid(exchange);
    let pod = evidence.sightings.iter().find(|pod| Some(pod.uid().as_str()) == uid)?;
    let own = pod.pod.spec.as_ref()?.termination_grace_period_seconds?;
    if grace > own {
        return Some(format!("more than the pod's own {own} s"));
    }
    let unknown = evidence.announced.is_none_or(|since| exchange.received < since);
    if unknown {
        return None;
    }
    let last = evidence.deadline?.checked_sub(MARGIN).ok()?.checked_add(ROUNDING).ok()?;
    let ends = exchange.received.checked_add(Duration::from_secs(grace.unsigned_abs())).ok()?;
    // One second is the least that can be given.
    (grace > 1 && ends > last).then(|| "a grace beyond the margin".to_owned())
}

/// A pod is deleted only if a budget has refused its eviction, or if it was
/// ending already.
fn refused_before(evidence: &Evidence<'_>, deletion: &Exchange) -> Option<String> {
    if !deletion.is_deletion() {
        return None;
    }
    let uid = pod_uid(deletion);
    let refused = evidence.exchanges.iter().any(|other| {
        other.refused_by_budget() && pod_uid(other) == uid && other.received < deletion.received
    });
    let ending = evidence.sightings.iter().any(|pod| {
        Some(pod.uid().as_str()) == uid && pod.ending.is_some_and(|since| since < deletion.received)
    });
    (!refused && !ending).then(|| "deleted without a refusal".to_owned())
}

/// Never two requests under way for one pod.
fn one_at_a_time(exchanges: &[Exchange]) -> Vec<String> {
    let mut by_pod: BTreeMap<&str, Vec<&Exchange>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.verb != "watch") {
        if let Some(uid) = pod_uid(exchange) {
            by_pod.entry(uid).or_default().push(exchange);
        }
    }
    let mut breaches = Vec::new();
    for requests in by_pod.values_mut() {
        requests.sort_by_key(|exchange| exchange.received);
        for pair in requests.windows(2) {
            let [first, second] = pair else { continue };
            let freed = first.answered.checked_sub(NOTING).unwrap_or(first.answered);
            if second.received < freed {
                breaches.push(format!("two at once: {first} and {second}"));
            }
        }
    }
    breaches
}

/// The UID that a request about one pod was conditional on.
fn pod_uid(exchange: &Exchange) -> Option<&str> {
    match exchange.resource.as_str() {
        "pods/status" => exchange.body["metadata"]["uid"].as_str(),
        _ => exchange.uid_precondition(),
    }
}
