//! What has become of a cell, and what must hold in each.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::cell::Played;
use super::table::{GUARDED, Step};
use crate::cluster::audit::Exchange;
use crate::law::{self, Evidence};
use crate::relay::journal::Entry;
use crate::truth;
use crate::witness::Sighting;

/// Where nothing is other than without a fault.
pub const SAME: &str = "same";

/// What has become of it, in a few words.
#[must_use]
pub fn outcome(played: &Played, audit: &[Exchange]) -> String {
    let mut parts = Vec::new();
    let lost = played.pods().filter(|pod| is_lost(played, pod)).count();
    if lost > 0 {
        parts.push(format!("{lost} lost"));
    }
    let deleted = |pod: &&Sighting| {
        !is_lost(played, pod) && pod.name() != GUARDED && !was_evicted(audit, pod)
    };
    if played.pods().any(|pod| deleted(&pod)) {
        parts.push("deleted".to_owned());
    }
    if !played.cordoned {
        parts.push("not cordoned".to_owned());
    }
    let guarded = played.pods().find(|pod| pod.name() == GUARDED);
    if guarded.is_some_and(|pod| !is_lost(played, pod) && pod.disruption().is_none()) {
        parts.push("no condition".to_owned());
    }
    if !played.asked.iter().any(is_written_event) {
        parts.push("no Events".to_owned());
    }
    if !played.given_back {
        parts.push("marks stay".to_owned());
    }
    if parts.is_empty() { SAME.to_owned() } else { parts.join(", ") }
}

/// The same for any program that drains: what has become of the pods that nothing stood in the way of.
#[must_use]
pub fn plain_outcome(played: &Played) -> String {
    let free = || played.pods().filter(|pod| pod.name() != GUARDED);
    let lost = free().filter(|pod| is_lost(played, pod)).count();
    let mut parts = vec![if lost == 0 { "drained".to_owned() } else { format!("{lost} lost") }];
    if !played.cordoned {
        parts.push("not cordoned".to_owned());
    }
    if played.lived.is_err() {
        parts.push("the process has ended".to_owned());
    }
    parts.join(", ")
}

/// What must hold in every cell.
///
/// # Errors
/// Names all that does not.
pub fn check(played: &Played, audit: &[Exchange]) -> Result<()> {
    let mut breaches = Vec::new();
    if played.met == 0 {
        breaches.push("no request has met the fault".to_owned());
    }
    if let Err(error) = &played.lived {
        breaches.push(format!("the process: {error:#}"));
    }
    if played.log.contains("panicked") {
        breaches.push("the handler panicked".to_owned());
    }
    breaches.extend(kept(played, audit));
    let name = played.name.clone();
    // About pods as the handler sees it, about all else as the server does.
    let of_pods = played.asked.iter().filter(|entry| !entry.thawed);
    let of_pods = of_pods.filter_map(|it| exchange(it, &name)).filter(Exchange::is_about_pods);
    let others = audit.iter().filter(|one| !one.is_about_pods()).cloned();
    let asked: Vec<Exchange> = of_pods.chain(others).collect();
    let evidence = Evidence {
        node: &name,
        own_uid: &played.own_uid,
        exchanges: &asked,
        startups: &[],
        sightings: &played.sightings,
        denials: &[],
        deadline: Some(played.deadline),
        earliest_deadline: Some(played.deadline),
        announced: Some(played.announced),
        // Where it cannot be, pods go all the same.
        cordoned: may_be_uncordoned(played),
        checked: false,
    };
    breaches.extend(law::check(&evidence).err().map(|error| error.to_string()));
    // What the server did, and what it was not asked though the handler did.
    let all: Vec<Exchange> = audit
        .iter()
        .cloned()
        .chain(played.asked.iter().filter(|it| !it.passed_on).filter_map(|it| exchange(it, &name)))
        .collect();
    let told = truth::check(&played.log, &all, &seen(played));
    breaches.extend(told.err().map(|error| error.to_string()));
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{}", breaches.join("\n"))
}

/// The pods, as far as their end can be known to the handler: where nothing is left of the API server after a request
/// about one, it cannot.
fn seen(played: &Played) -> Vec<Sighting> {
    let mut seen = played.sightings.clone();
    let lost = |entry: &Entry| played.cell.ends_all() && entry.met_fault && entry.passed_on;
    for entry in played.asked.iter().filter(|entry| lost(entry)) {
        let about = |pod: &&mut Sighting| entry.request.body.contains(&pod.uid());
        seen.iter_mut().filter(about).for_each(|pod| pod.gone = None);
    }
    seen
}

/// Whatever goes wrong for a while costs nothing; what goes wrong for ever costs what hangs on it.
fn kept(played: &Played, audit: &[Exchange]) -> Vec<String> {
    let cell = played.cell;
    let mut breaches = Vec::new();
    let unseen = cell.ends(Step::Watch) || cell.ends(Step::Notice) || cell.ends(Step::ImdsToken);
    for pod in played.pods().filter(|pod| is_lost(played, pod)) {
        let guarded = pod.name() == GUARDED;
        // After its own time nothing is left but a deletion.
        let out_of_reach = unseen || cell.ends_all() || guarded && cell.ends(Step::Deletion);
        if !out_of_reach {
            breaches.push(format!("{} was lost: {pod}", pod.name()));
        }
    }
    if played.log.contains(truth::NOT_ALL) && !unseen && !cell.ends_all() {
        breaches.push(format!("{}, though it can be", truth::NOT_ALL));
    }
    let evicted = |pod: &&Sighting| pod.name() == GUARDED && was_evicted(audit, pod);
    if played.pods().any(|pod| evicted(&pod)) {
        breaches.push("a pod was evicted against its budget".to_owned());
    }
    if !played.cordoned && !may_be_uncordoned(played) {
        breaches.push("the node was not cordoned".to_owned());
    }
    let reads = cell.ends(Step::ReadNode) || cell.ends(Step::Uncordon);
    if !played.given_back && !reads {
        breaches.push("the marks were not taken back".to_owned());
    }
    breaches
}

fn may_be_uncordoned(played: &Played) -> bool {
    let steps = [Step::ImdsToken, Step::Notice, Step::ReadNode, Step::Cordon];
    steps.into_iter().any(|step| played.cell.ends(step))
}

/// It ran when the instance ended, or was killed by that.
fn is_lost(played: &Played, pod: &Sighting) -> bool {
    pod.gone.is_none_or(|at| at > played.deadline)
}

fn was_evicted(audit: &[Exchange], pod: &Sighting) -> bool {
    let uid = pod.uid();
    let evicted = |one: &&Exchange| one.is_eviction() && one.accepted() && !one.dry_run();
    audit.iter().filter(evicted).any(|one| one.uid_precondition() == Some(&uid))
}

fn is_written_event(entry: &Entry) -> bool {
    let written = entry.status.is_some_and(|code| (200..300).contains(&code));
    entry.passed_on && written && Step::Event.is(&entry.request)
}

/// The same request as the API server's log has it, but as the handler has seen it.
fn exchange(entry: &Entry, node: &str) -> Option<Exchange> {
    let (method, uri) = entry.request.line.split_once(' ')?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let parts: Vec<&str> = path.strip_prefix("/api/v1/")?.split('/').collect();
    let (namespace, rest) = match parts.as_slice() {
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        rest => ("", rest),
    };
    let (resource, name) = match rest {
        [resource] => ((*resource).to_owned(), ""),
        [resource, name] => ((*resource).to_owned(), *name),
        [resource, name, sub] => (format!("{resource}/{sub}"), *name),
        _ => return None,
    };
    let verb = match method {
        "GET" if query.contains("watch=") => "watch",
        "GET" if name.is_empty() => "list",
        "GET" => "get",
        "POST" => "create",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => return None,
    };
    let status: Value = serde_json::from_str(&entry.answer).unwrap_or_default();
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    let given_up = entry.status.is_none();
    let exchange = Exchange {
        verb: verb.to_owned(),
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uri: uri.to_owned(),
        node: node.to_owned(),
        acting_as: None,
        code: entry.status.unwrap_or(504),
        reason: if given_up { "Timeout".to_owned() } else { text("reason") },
        message: text("message"),
        received: entry.received,
        answered: answered(entry),
        body: serde_json::from_str(&entry.request.body).unwrap_or_default(),
    };
    (!exchange.refuses_the_node()).then_some(exchange)
}

/// The relay sees a little later that a request was given up.
const NOTICING: Duration = Duration::from_millis(500);

fn answered(entry: &Entry) -> Timestamp {
    let at = entry.answered.unwrap_or(Timestamp::MAX);
    let earlier = at.checked_sub(NOTICING).unwrap_or(at).max(entry.received);
    if entry.status.is_none() { earlier } else { at }
}
