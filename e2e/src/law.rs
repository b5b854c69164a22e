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
    /// In the message of each refusal that is part of the scenario.
    pub denials: &'a [String],
    /// The last announced end.
    pub deadline: Option<Timestamp>,
    /// The earliest announced end.
    pub earliest_deadline: Option<Timestamp>,
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

/// The longest until a server sees that a connection was closed, and ends what it did for it.
const NOTICING: Duration = Duration::from_millis(500);

/// What the server gives a request (`--request-timeout`).
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// What the handler keeps of the time left (`SAFETY_MARGIN`).
const MARGIN: Duration = Duration::from_secs(2);

/// Graces are whole seconds, and requests take their time.
const ROUNDING: Duration = Duration::from_secs(1);

/// Of an end that is so far from when it was heard of, the tests hear a little later.
const HEARD: Duration = Duration::from_millis(500);

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
            .or_else(|| asked_before(evidence, exchange))
            .or_else(|| not_early(evidence, exchange));
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
    let denied = evidence.denials.iter().any(|words| exchange.message.contains(words));
    let forbidden = exchange.code == 403 && !exchange.refused_by_budget() && !denied && !starting;
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

/// A pod is deleted only if its eviction was asked for before, or if it was ending already.
fn asked_before(evidence: &Evidence<'_>, deletion: &Exchange) -> Option<String> {
    if !deletion.is_deletion() || was_ending(evidence, deletion) {
        return None;
    }
    let about_it =
        |other: &&Exchange| is_about(other, deletion) && other.received < deletion.received;
    let mut before = evidence.exchanges.iter().filter(about_it);
    let evicted = before.clone().any(|other| other.is_eviction() && !other.dry_run());
    if !evicted {
        return Some("deleted without an eviction before".to_owned());
    }
    let marked = before.any(|other| other.resource == "pods/status");
    (!marked).then(|| "deleted without a DisruptionTarget before".to_owned())
}

/// Whether it is about the pod that is deleted. The server may refuse a request before it has read a
/// body, and with it the UID.
fn is_about(other: &Exchange, deletion: &Exchange) -> bool {
    let unread = other.body.is_null() && !other.accepted();
    let same_name = (&other.namespace, &other.name) == (&deletion.namespace, &deletion.name);
    pod_uid(other) == pod_uid(deletion) || (unread && same_name)
}

/// A pod that was not ending is deleted when its own time is up, and not before.
fn not_early(evidence: &Evidence<'_>, deletion: &Exchange) -> Option<String> {
    if !deletion.is_deletion() || was_ending(evidence, deletion) {
        return None;
    }
    let Some(end) = evidence.earliest_deadline else {
        return Some("deleted, and nothing ends".to_owned());
    };
    let pod = evidence.sightings.iter().find(|pod| Some(&*pod.uid()) == pod_uid(deletion))?;
    let own = pod.pod.spec.as_ref()?.termination_grace_period_seconds?;
    let earliest =
        end.checked_sub(MARGIN + Duration::from_secs(own.unsigned_abs()) + HEARD).ok()?;
    (deletion.received < earliest).then(|| format!("deleted before its own time, {earliest}"))
}

fn was_ending(evidence: &Evidence<'_>, deletion: &Exchange) -> bool {
    evidence.sightings.iter().any(|pod| {
        Some(&*pod.uid()) == pod_uid(deletion)
            && pod.ending.is_some_and(|since| since < deletion.received)
    })
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
            let noting = if was_given_up(first) { NOTICING } else { NOTING };
            let freed = first.answered.checked_sub(noting).unwrap_or(first.answered);
            if second.received < freed {
                breaches.push(format!("two at once: {first} and {second}"));
            }
        }
    }
    breaches
}

/// Whether nobody waited for its answer any more: the server notes a time-out of its own, though it
/// would have had more time.
fn was_given_up(exchange: &Exchange) -> bool {
    let took = Duration::try_from(exchange.answered.duration_since(exchange.received));
    exchange.is_eviction()
        && exchange.code == 504
        && exchange.reason == "Timeout"
        && took.is_ok_and(|took| took < REQUEST_TIMEOUT)
}

/// The UID that a request about one pod was conditional on.
fn pod_uid(exchange: &Exchange) -> Option<&str> {
    match exchange.resource.as_str() {
        "pods/status" => exchange.body["metadata"]["uid"].as_str(),
        _ => exchange.uid_precondition(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workload::typed;

    const UID: &str = "a";

    /// When the instance ends; the pod's own time is 53 s.
    const END: &str = "2026-11-23T09:01:00Z";

    fn at(second: u32) -> Timestamp {
        format!("2026-11-23T09:00:{second:02}Z").parse().unwrap()
    }

    fn asked(second: u32, verb: &str, resource: &str, code: u16, body: Value) -> Exchange {
        Exchange {
            verb: verb.into(),
            resource: resource.into(),
            namespace: "ns".into(),
            name: "web".into(),
            uri: String::new(),
            credential: String::new(),
            node: "node".into(),
            acting_as: None,
            code,
            reason: String::new(),
            message: String::new(),
            received: at(second),
            answered: at(second),
            body,
        }
    }

    fn eviction(second: u32, code: u16) -> Exchange {
        let options = json!({"gracePeriodSeconds": 5, "preconditions": {"uid": UID}});
        asked(second, "create", "pods/eviction", code, json!({"deleteOptions": options}))
    }

    fn mark(second: u32) -> Exchange {
        asked(second, "patch", "pods/status", 200, json!({"metadata": {"uid": UID}}))
    }

    fn deletion(second: u32) -> Exchange {
        let options = json!({"gracePeriodSeconds": 5, "preconditions": {"uid": UID}});
        asked(second, "delete", "pods", 200, options)
    }

    fn pod(ending: Option<Timestamp>) -> Sighting {
        let pod = typed(json!({
            "metadata": {"namespace": "ns", "name": "web", "uid": UID},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": []},
        }));
        let (graces, gone) = (Vec::new(), None);
        Sighting { pod: pod.unwrap(), seen: at(0), graces, ending, gone }
    }

    fn judged(exchanges: &[Exchange], ending: Option<Timestamp>, end: Option<&str>) -> String {
        let end = end.map(|end| end.parse().unwrap());
        let evidence = Evidence {
            node: "node",
            own_uid: "own",
            exchanges,
            startups: &[],
            sightings: &[pod(ending)],
            denials: &[],
            deadline: end,
            earliest_deadline: end,
            announced: end.map(|_| at(0)),
            cordoned: true,
            checked: false,
        };
        check(&evidence).map_or_else(|error| error.to_string(), |()| "kept".to_owned())
    }

    #[test]
    fn whatever_kept_a_pod_it_is_deleted_when_its_own_time_is_up() {
        for code in [403, 422, 429, 500, 504] {
            let mut refused = eviction(1, code);
            refused.message = "disruption budget".into();
            let asked = [refused, mark(52), deletion(53)];
            assert_eq!(judged(&asked, None, Some(END)), "kept", "{code}");
        }
    }

    #[test]
    fn a_deletion_before_its_time_is_a_breach() {
        let asked = [eviction(1, 500), mark(51), deletion(52)];
        let said = judged(&asked, None, Some(END));
        assert!(said.contains("deleted before its own time"), "{said}");
    }

    #[test]
    fn a_deletion_without_an_eviction_before_is_a_breach() {
        let mut dry = eviction(1, 500);
        dry.uri = "?dryRun=All".into();
        for asked in [vec![mark(52), deletion(53)], vec![dry, mark(52), deletion(53)]] {
            let said = judged(&asked, None, Some(END));
            assert!(said.contains("deleted without an eviction before"), "{said}");
        }
    }

    #[test]
    fn an_eviction_that_is_refused_before_its_body_is_read_counts() {
        let mut refused = eviction(1, 403);
        refused.body = Value::Null;
        refused.message = "disruption budget".into();
        assert_eq!(judged(&[refused, mark(52), deletion(53)], None, Some(END)), "kept");
    }

    #[test]
    fn what_follows_an_eviction_that_was_given_up_may_meet_its_end() {
        let mut given_up = eviction(45, 504);
        given_up.reason = "Timeout".into();
        given_up.answered = at(53) + Duration::from_millis(20);
        let asked = [given_up.clone(), mark(53), deletion(54)];
        assert_eq!(judged(&asked, None, Some(END)), "kept");
        given_up.answered = at(54);
        let asked = [given_up.clone(), mark(53), deletion(54)];
        assert!(judged(&asked, None, Some(END)).contains("two at once"));
        given_up.answered = at(53) + Duration::from_millis(20);
        given_up.code = 500;
        let asked = [given_up, mark(53), deletion(54)];
        assert!(judged(&asked, None, Some(END)).contains("two at once"));
    }

    #[test]
    fn a_deletion_that_is_no_disruption_is_a_breach() {
        let said = judged(&[eviction(1, 500), deletion(53)], None, Some(END));
        assert!(said.contains("deleted without a DisruptionTarget"), "{said}");
    }

    #[test]
    fn where_nothing_ends_nothing_is_deleted() {
        let said = judged(&[eviction(1, 500), mark(52), deletion(53)], None, None);
        assert!(said.contains("nothing ends"), "{said}");
    }

    #[test]
    fn a_pod_that_ends_too_late_is_shortened_at_any_time() {
        assert_eq!(judged(&[deletion(2)], Some(at(1)), Some(END)), "kept");
    }
}
