//! Asks the API server, and looks at what opens it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::api_server;
use crate::command::check::finding::{Finding, Outcome};
use crate::command::check::{Report, judge};
use crate::drain::BudgetOverride;
use crate::instance::Instance;
use crate::kube::access::Access;
use crate::kube::client::Client;
use crate::kube::identity::{Choice, Identity};
use crate::kube::profile::profile;
use crate::kube::server::Server;
use crate::kube::{reply, request};
use crate::node::{NodeAnswer, RebalanceMark};
use crate::settings::{ApiServer, Settings, WhichNode};

/// How long one answer may take. There are a dozen; after one that did not come no other is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

const UNANSWERED: &str = "the API server does not answer";

/// All that is known by the API server, and of it.
pub(super) fn look(settings: &Settings, instance: &Instance, clock: Clock, report: &Report) {
    let server = match api_server(settings) {
        Ok(server) => Arc::new(server),
        Err(failure) => {
            let finding = Outcome::Setup.is(failure.to_string(), "correct KUBECONFIG");
            return report.add("API server", finding);
        }
    };
    let mut client = Client::new(Arc::new(Access::new(Arc::clone(&server), clock)));
    let claims = server.claims().unwrap_or_default();
    let node = match &settings.node {
        WhichNode::Named(name) => Some(name),
        WhichNode::OfOwnPod => claims.node.as_ref(),
    };

    let before = clock.read();
    let version = client.send(&request::read_version(), PATIENCE);
    let after = clock.read();
    let name = node.map_or("", String::as_str);
    let read = request::read_node(name);
    let node_reply = match (&version, node) {
        (Ok(_), Some(_)) => client.send(&read, PATIENCE).map_err(|trouble| judge::unanswered(&trouble)),
        (Ok(_), None) => Err(Outcome::Skipped.is(NO_NODE.to_owned(), judge::SET_NODE_NAME)),
        (Err(_), _) => Err(Finding::skipped(UNANSWERED)),
    };
    let node_read = match &node_reply {
        Ok(reply) => match reply::node(name, &read, reply) {
            NodeAnswer::Is(node) => Ok(node),
            NodeAnswer::Failed(why) if reply.status < 500 => Err(Outcome::Setup.is(why, NODE_REMEDY)),
            NodeAnswer::Failed(why) => Err(Outcome::Outside.is(why, NODE_REMEDY)),
            NodeAnswer::Conflict => Err(Finding::skipped(UNANSWERED)),
        },
        Err(finding) => Err(finding.clone()),
    };

    report.add(
        "instance and node",
        match (&node_read, &node_reply) {
            (Ok(_), Ok(reply)) => {
                let provider_id = profile(reply).and_then(|profile| profile.provider_id);
                judge::belongs(provider_id.as_deref(), instance)
            }
            _ => Finding::skipped("the Node could not be read"),
        },
    );
    report.add(
        "API server",
        match &version {
            Err(trouble) => judge::unanswered(trouble),
            Ok(reply) => {
                let version = reply::version(reply);
                let found = format!(
                    "{} {}, trusted by {}, status {} after {:.0?}",
                    server.address(),
                    version.as_deref().unwrap_or("of unknown version"),
                    server.where_roots_are(),
                    reply.status,
                    after.now.since(before.now)
                );
                match reply.status {
                    401 => Outcome::Setup.is(found, "see the token: it is not accepted (any more)"),
                    500.. => Outcome::Outside.is(found, "see its own log"),
                    _ => Finding::ok(found),
                }
            }
        },
    );
    report.add("identity", identity(settings, &server));
    report.add(
        "token",
        match (server.where_token_is(), server.check()) {
            (_, Err(trouble)) => judge::unanswered(&trouble),
            (None, _) => Finding::ok("none, but a client certificate".to_owned()),
            (Some(place), _) => {
                let now = clock.read().wall.unix_milliseconds() / 1000;
                judge::token(&place, &claims, now)
            }
        },
    );
    if let Some(node) = node {
        report.add("token and node", judge::bound(&claims, node));
    }
    report.add(
        "clock",
        match &version {
            Ok(reply) => judge::clock(before.wall, after.wall, reply.date),
            Err(_) => Finding::skipped(UNANSWERED),
        },
    );
    match node.filter(|_| version.is_ok()) {
        Some(node) => permissions(settings, &server, &mut client, node, report),
        None => report.add("permission", Finding::skipped(UNANSWERED)),
    }
    report.add("node", node_read.map_or_else(|finding| finding, |node| judge::marks(name, &node)));
}

const NO_NODE: &str = "NODE_NAME is not set, and the token names no node";

const NODE_REMEDY: &str =
    "404: NODE_NAME must be a name of kubectl get nodes; 401, 403: see token and permission";

fn choice(settings: &Settings) -> Choice {
    match &settings.api_server {
        ApiServer::Named { identity, .. } => *identity,
        ApiServer::Kubeconfig(_) => Choice::ServiceAccount,
    }
}

fn identity(settings: &Settings, server: &Server) -> Finding {
    Finding::ok(match (choice(settings), server.identity()) {
        (_, Some(identity)) => identity.to_string(),
        (Choice::Auto, None) => return Finding::skipped("the Node could not be read"),
        (choice, None) => format!("IDENTITY={}", choice.word()),
    })
}

/// Every right that the handler uses.
fn permissions(
    settings: &Settings,
    server: &Server,
    client: &mut Client,
    node: &str,
    report: &Report,
) {
    let choice = choice(settings);
    let as_node = choice == Choice::Node || server.identity() == Some(Identity::Node);
    let (writes, evicts) = (!settings.dry_run, !settings.policy.marks_only);
    let deletes = writes && evicts;
    let disrupts = deletes && settings.budget_override == BudgetOverride::AtDeadline;
    let soft = settings.watched.rebalance && settings.marks.rebalance_mark == RebalanceMark::SoftTaint;
    let taints = writes && as_node && (soft || settings.marks.taint.is_some());
    let events = writes && settings.reporting.events.is_some();
    for (is_used, by_node, verb, resource) in [
        (true, as_node, "get", "nodes"),
        (writes, as_node, "patch", "nodes"),
        // A node may not change its own taints.
        (taints, false, "patch", "nodes"),
        (evicts, as_node, "list", "pods"),
        (evicts, as_node, "watch", "pods"),
        (evicts, as_node, "create", "pods/eviction"),
        (deletes, as_node, "delete", "pods"),
        (disrupts, as_node, "patch", "pods/status"),
        (events, as_node, "create", "events"),
        (events, as_node, "patch", "events"),
    ] {
        if !is_used {
            continue;
        }
        // What is refused in the node's name is asked for anew in the ServiceAccount's.
        let falls_back = !by_node || choice == Choice::Auto;
        let mut found = String::new();
        let mut outcome = Outcome::Setup;
        for prefix in [by_node.then_some(AS_NODE), falls_back.then_some("")].into_iter().flatten() {
            let request = request::review(prefix, verb, resource, node);
            let reply = match client.send(&request, PATIENCE) {
                Ok(reply) => reply,
                Err(trouble) => return report.add("permission", judge::unanswered(&trouble)),
            };
            if !found.is_empty() {
                found += "; ";
            }
            found += prefix;
            found += verb;
            found += " ";
            found += resource;
            match reply::is_allowed(&request, &reply) {
                Ok(true) => {
                    found += ": allowed";
                    outcome = Outcome::Ok;
                    break;
                }
                Ok(false) => found += ": not allowed",
                Err(why) => {
                    found += ": ";
                    found += &why;
                    outcome = Outcome::Warning;
                }
            }
        }
        let remedy = match outcome {
            Outcome::Ok => "",
            Outcome::Warning => "let it create selfsubjectaccessreviews (ClusterRole system:basic-user)",
            _ => "grant it to the ServiceAccount, as the shipped ClusterRole does",
        };
        report.add("permission", outcome.is(found, remedy));
    }
}

/// What the API server asks of whoever acts as the node that its own pod runs on: the right to a verb that
/// begins so (KEP-5284).
const AS_NODE: &str = "impersonate-on:associated-node:";
