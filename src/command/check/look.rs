//! Asks the metadata service and the API server, looks at ports and webhooks, and adds findings.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::command;
use crate::command::check::Findings;
use crate::command::check::judge::{self, CheckOutcome, Finding};
use crate::command::run::wanted_pages;
use crate::drain::BudgetOverride;
use crate::http::error::Error;
use crate::instance::Instance;
use crate::kube::client::Client;
use crate::kube::identity::{Choice, Identity};
use crate::kube::reply::{self, Reply};
use crate::kube::request;
use crate::kube::server::Server;
use crate::kube::token::Claims;
use crate::node::{NodeAnswer, RebalanceMark};
use crate::report::server::PageServer;
use crate::report::webhook::post::{self, PostTarget};
use crate::settings::{ApiServer, Settings, WhichNode};
use crate::source::TokenCheck;
use crate::webhook::destination::Destination;
use crate::webhook::headers::Headers;

/// The metadata service: token, notices, instance.
pub(super) fn metadata_service(settings: &Settings, clock: Clock, findings: &Findings) -> Instance {
    let found = settings.source.check(clock);
    let is_closed = matches!(found.token, TokenCheck::Failed { .. });
    findings.add("metadata service", &judge::metadata(&settings.source.metadata_url, found.token));
    for (path, polled) in found.paths {
        findings.add("notices", &judge::notices(path, polled));
    }
    let instance = if is_closed { Instance::default() } else { settings.instance.read(clock) };
    findings.add("instance", &judge::instance(&instance));
    instance
}

/// How long one answer may take, and one webhook. There are a dozen answers; after one that did not come no
/// other is waited for.
const TIME_OUT: Duration = Duration::from_secs(3);

const UNANSWERED: &str = "the API server does not answer";
const NODE_UNREAD: &str = "the Node could not be read";

/// The API server, the token, the Node, the clock and the permissions.
pub(super) fn api_server(
    settings: &Settings,
    instance: &Instance,
    clock: Clock,
    findings: &Findings,
) {
    let server = match command::api_server(settings) {
        Ok(server) => Arc::new(server),
        Err(failure) => {
            let finding = CheckOutcome::Setup.is(failure.to_string(), "correct KUBECONFIG");
            return findings.add("API server", &finding);
        }
    };
    let client = Client::new(Arc::clone(&server), clock);
    let claims = server.claims();
    let named = match (&settings.node, &claims) {
        (WhichNode::Named(name), _) => Some(name.clone()),
        (WhichNode::OfOwnPod, Ok(claims)) => claims.node.clone(),
        (WhichNode::OfOwnPod, Err(_)) => None,
    };

    let before = clock.read();
    let version = client.ask(&request::read_version(), TIME_OUT);
    let after = clock.read();
    let version = match version {
        Ok(reply) => reply,
        Err(error) => {
            skip(findings, "instance and node");
            findings.add("API server", &judge::unanswered(&error));
            skip(findings, "identity");
            token(&server, &claims, named.as_deref(), clock, findings);
            for check in ["clock", "permission", "node"] {
                skip(findings, check);
            }
            return;
        }
    };
    let found = named.map_or_else(|| of_own_pod(settings, &claims, &client), Ok);
    let node = found.as_deref().ok();
    let mut provider_id = None;
    let of_node = match &found {
        Err(why) => CheckOutcome::Setup.is(why.clone(), judge::SET_NODE_NAME),
        Ok(name) => {
            let request = request::read_node(name);
            match client.ask(&request, TIME_OUT) {
                Err(error) => judge::unanswered(&error),
                Ok(reply) => match reply::node(name, &request, &reply) {
                    NodeAnswer::Is(node) => {
                        provider_id = reply::profile(&reply).map(|profile| profile.provider_id);
                        judge::marks(name, &node)
                    }
                    NodeAnswer::Missing(why) => CheckOutcome::Setup.is(why, NODE_REMEDY),
                    NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why) if reply.status < 500 => {
                        CheckOutcome::Setup.is(why, NODE_REMEDY)
                    }
                    NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why) => {
                        CheckOutcome::Outside.is(why, NODE_REMEDY)
                    }
                    NodeAnswer::Conflict => Finding::skipped(UNANSWERED),
                },
            }
        }
    };
    let belongs = match provider_id {
        Some(provider_id) => judge::belongs(provider_id.as_deref(), instance),
        None => Finding::skipped(NODE_UNREAD),
    };
    findings.add("instance and node", &belongs);
    let took = after.now.since(before.now);
    findings.add("API server", &reached(&server, &version, took));
    findings.add("identity", &identity(settings, &server));
    token(&server, &claims, node, clock, findings);
    findings.add("clock", &judge::clock(before.wall, after.wall, version.date));
    match node {
        Some(node) => permissions(settings, &server, &client, node, findings),
        None => findings.add("permission", &Finding::skipped(NO_NODE)),
    }
    findings.add("node", &of_node);
}

/// The node of the own pod, if it is not named: found as by the handler.
fn of_own_pod(
    settings: &Settings,
    claims: &Result<Claims, Error>,
    client: &Client,
) -> Result<String, String> {
    let mut own = settings.rules.own.clone();
    if let Ok(claims) = claims {
        own.complete(claims.clone().own_pod());
    }
    let (Some(namespace), Some(name)) = (own.namespace, own.name) else {
        return Err(NO_NODE.to_owned());
    };
    let request = request::find_pod(&namespace, &name);
    let reply = client.ask(&request, TIME_OUT).map_err(|error| error.to_string())?;
    reply::node_of_pod(&request, &reply)
}

fn skip(findings: &Findings, check: &str) {
    findings.add(check, &Finding::skipped(UNANSWERED));
}

fn reached(server: &Server, reply: &Reply, took: Duration) -> Finding {
    let found = format!(
        "{} {}, trusted by {}, status {} after {took:.0?}",
        server.address(),
        reply::version(reply).as_deref().unwrap_or("of unknown version"),
        server.where_roots_are(),
        reply.status,
    );
    match reply.status {
        401 if server.where_token_is().is_none() => CheckOutcome::Setup.is(
            found,
            "get a new kubeconfig: the client certificate in it is not accepted (any more)",
        ),
        401 => CheckOutcome::Setup.is(found, "see the token: it is not accepted (any more)"),
        500.. => CheckOutcome::Outside.is(found, "see its own log"),
        _ => Finding::ok(found),
    }
}

fn token(
    server: &Server,
    claims: &Result<Claims, Error>,
    node: Option<&str>,
    clock: Clock,
    findings: &Findings,
) {
    let claims = match claims {
        Ok(claims) => claims,
        Err(error) => return findings.add("token", &judge::unanswered(error)),
    };
    let now = clock.read().wall.unix_milliseconds() / 1000;
    findings.add(
        "token",
        &match server.where_token_is() {
            None => Finding::ok("none, but a client certificate".to_owned()),
            Some(place) => judge::token(&place, claims, now),
        },
    );
    if let Some(node) = node {
        findings.add("token and node", &judge::bound(claims, node));
    }
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
        (Choice::Auto, None) => return Finding::skipped(NODE_UNREAD),
        (choice, None) => format!("IDENTITY={}", choice.word()),
    })
}

/// Every permission that the handler uses.
fn permissions(
    settings: &Settings,
    server: &Server,
    client: &Client,
    node: &str,
    findings: &Findings,
) {
    let choice = choice(settings);
    let as_node = choice == Choice::Node || server.identity() == Some(Identity::Node);
    let (writes, evicts) = (!settings.dry_run, !settings.policy.marks_only);
    let deletes = writes && evicts;
    let disrupts = deletes && settings.budget_override == BudgetOverride::AtDeadline;
    let soft = settings.source.watched.rebalance
        && settings.marks.rebalance_mark == RebalanceMark::SoftTaint;
    let taints = writes && as_node && (soft || settings.marks.taint.is_some());
    let events = writes && settings.reporting.events.is_some();
    for (is_used, needed, by_node, verb, resource) in [
        (true, true, as_node, "get", "nodes"),
        (writes, true, as_node, "patch", "nodes"),
        // A node may not change its own taints. Without the right it is marked without them.
        (taints, false, false, "patch", "nodes"),
        (evicts, true, as_node, "list", "pods"),
        (evicts, true, as_node, "watch", "pods"),
        (evicts, true, as_node, "create", "pods/eviction"),
        (deletes, true, as_node, "delete", "pods"),
        // Best effort: without it a Job counts the loss.
        (disrupts, false, as_node, "patch", "pods/status"),
        (events, false, as_node, "create", "events"),
        (events, false, as_node, "patch", "events"),
    ] {
        if !is_used {
            continue;
        }
        let mut prefix = if by_node { AS_NODE } else { "" };
        let mut found = String::new();
        let outcome = loop {
            let request = request::review(prefix, verb, resource, node);
            let reply = match client.ask(&request, TIME_OUT) {
                Ok(reply) => reply,
                Err(error) => return findings.add("permission", &judge::unanswered(&error)),
            };
            let answer = reply::is_allowed(&request, &reply);
            let words = match &answer {
                Ok(true) => "allowed",
                Ok(false) => "not allowed",
                Err(why) => why,
            };
            let _ = write!(found, "{prefix}{verb} {resource}: {words}");
            match answer {
                Ok(true) => break CheckOutcome::Ok,
                // If the node has no permission, the ServiceAccount may have it.
                _ if choice == Choice::Auto && !prefix.is_empty() => {
                    prefix = "";
                    found += "; ";
                }
                Ok(false) if needed => break CheckOutcome::Setup,
                Ok(false) | Err(_) => break CheckOutcome::Warning,
            }
        };
        let remedy = match outcome {
            CheckOutcome::Ok => "",
            _ if found.ends_with("not allowed") => {
                "grant it to the ServiceAccount, as deploy/rbac does (classic before Kubernetes 1.36)"
            }
            _ => "let it create selfsubjectaccessreviews (ClusterRole system:basic-user)",
        };
        findings.add("permission", &outcome.is(found, remedy));
    }
}

/// The prefix of the verbs that a pod needs to impersonate the node that it runs on (KEP-5284).
const AS_NODE: &str = "impersonate-on:associated-node:";

const FREE_PORT: &str = "set it to a port that is free, or see what has it: ss -ltnp on the node; the handler runs without";

const FILES: &str =
    "correct the file, or mount the Secret or ConfigMap that holds it; the handler runs without";

const WAY: &str = "see what is between: name resolution, network policy, WEBHOOK_PROXY, WEBHOOK_CA_FILE; a \
                   drain does not wait for it";

/// Ports, and webhooks as far as that is possible without a message. A drain needs none of it, so every
/// problem is a warning.
pub(super) fn reports(settings: &Settings, clock: Clock, findings: &Findings) {
    ports(settings, findings);
    for webhook in &settings.reporting.webhooks {
        for finding in of_webhook(webhook, clock) {
            findings.add("webhook", &finding);
        }
    }
}

fn ports(settings: &Settings, findings: &Findings) {
    let listener = PageServer::bind(&wanted_pages(&settings.reporting));
    for (address, pages) in listener.addresses() {
        findings.add("port", &Finding::ok(format!("{address} is free for {pages}")));
    }
    for missing in listener.missing() {
        findings.add(
            "port",
            &if missing.is_of_this_program() {
                Finding::ok(format!("{} is served by this program", missing.address()))
            } else {
                CheckOutcome::Warning.is(missing.to_string(), FREE_PORT)
            },
        );
    }
}

fn of_webhook(webhook: &Destination, clock: Clock) -> Vec<Finding> {
    let name = &webhook.url;
    let faults = webhook.faults().into_iter();
    let mut findings: Vec<_> =
        faults.map(|why| CheckOutcome::Warning.is(format!("{name}: {why}"), FILES)).collect();
    if webhook.may_be_reached() {
        findings.push(match reach(webhook, clock) {
            Ok(how) => Finding::ok(format!("{name}: {how}; no message was sent")),
            Err(why) => CheckOutcome::Warning.is(format!("{name}: {why}"), WAY),
        });
    }
    findings
}

/// Opens a connection as for a message, but sends none. Returns what was reached.
fn reach(webhook: &Destination, clock: Clock) -> Result<String, String> {
    let url = webhook.url.read()?;
    let target = PostTarget {
        proxy: webhook.proxies.of(&url)?.cloned(),
        url,
        roots: webhook.roots.clone(),
        headers: Headers::default(),
    };
    let reached = post::reach(&target, TIME_OUT, clock);
    reached.map(str::to_owned).map_err(|error| error.to_string())
}
