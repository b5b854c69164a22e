//! Asks the API server, and looks at what opens it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::api_server;
use crate::command::check::finding::{Finding, Side};
use crate::command::check::{Report, judge};
use crate::drain::BudgetOverride;
use crate::instance::Instance;
use crate::kube::access::Access;
use crate::kube::client::Client;
use crate::kube::identity::{Choice, Identity};
use crate::kube::profile::profile;
use crate::kube::reply::{self, Reply};
use crate::kube::request::{self, Permission, Request};
use crate::kube::server::Server;
use crate::kube::trouble::Trouble;
use crate::node::{Node, NodeAnswer, RebalanceMark};
use crate::settings::{ApiServer, Settings, WhichNode};

/// How long one answer may take. There are a dozen, of which only one may have to be waited for so long:
/// then the others are skipped.
const PATIENCE: Duration = Duration::from_secs(3);

const UNANSWERED: &str = "the API server does not answer";
const NO_NODE: &str = "the Node could not be read";

/// All that is known by the API server, and of it.
pub(super) fn look(settings: &Settings, instance: &Instance, clock: Clock, report: &Report) {
    let server = match api_server(settings) {
        Ok(server) => Arc::new(server),
        Err(failure) => {
            let remedy = "correct KUBECONFIG";
            report.add(Finding::failure("API server", Side::Setup, failure.to_string(), remedy));
            return;
        }
    };
    let client = Client::new(Arc::new(Access::new(Arc::clone(&server), clock)));
    Looker { settings, server, clock, report, client }.look(instance);
}

struct Looker<'a> {
    settings: &'a Settings,
    server: Arc<Server>,
    clock: Clock,
    report: &'a Report,
    client: Client,
}

impl Looker<'_> {
    fn look(&mut self, instance: &Instance) {
        let before = self.clock.read();
        let version = self.ask(&request::read_version());
        let after = self.clock.read();
        let name = match &version {
            Ok(_) => self.node(),
            Err(_) => self.named().ok_or_else(|| UNANSWERED.to_owned()),
        };
        let node = match (&version, &name) {
            (Ok(_), Ok(name)) => Some(self.read_node(name)),
            _ => None,
        };

        match (&node, &name) {
            (Some(Ok((_, provider_id))), Ok(name)) => {
                self.report.add(judge::belongs(name, provider_id.as_deref(), instance));
            }
            _ => self.report.add(Finding::skipped("instance and node", NO_NODE)),
        }
        self.reached(&version, after.now.since(before.now));
        self.identity();
        self.token(name.as_deref().ok());
        self.report.add(match &version {
            Ok(reply) => judge::clock(before.wall, after.wall, reply.date),
            Err(_) => Finding::skipped("clock", UNANSWERED),
        });
        match (&version, &name) {
            (Ok(_), Ok(name)) => self.permissions(name),
            _ => self.report.add(Finding::skipped("permissions", UNANSWERED)),
        }
        self.report.add(match (node, name) {
            (Some(Ok((node, _))), Ok(name)) => judge::marks(&name, &node),
            (Some(Err(failure)), _) => failure,
            (None, Err(why)) if version.is_ok() => Finding::failure(
                "node",
                Side::Setup,
                format!("its name is not known: {why}"),
                "set NODE_NAME by fieldRef spec.nodeName",
            ),
            _ => Finding::skipped("node", UNANSWERED),
        });
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, Trouble> {
        self.client.send(request, PATIENCE)
    }

    fn named(&self) -> Option<String> {
        match &self.settings.node {
            WhichNode::Named(name) => Some(name.clone()),
            WhichNode::OfOwnPod => self.server.claims().ok()?.node,
        }
    }

    /// Which node it is, as the handler finds out.
    fn node(&mut self) -> Result<String, String> {
        if let Some(name) = self.named() {
            return Ok(name);
        }
        let own = &self.settings.rules.own;
        let (namespace, pod) = own.namespace.as_deref().zip(own.name.as_deref()).ok_or(
            "NODE_NAME is not set, nor POD_NAME with NAMESPACE",
        )?;
        let request = request::find_pod(namespace, pod);
        let reply = self.ask(&request).map_err(|trouble| trouble.to_string())?;
        reply::node_of_pod(&request, &reply)
    }

    /// The Node and its provider id, else what is to be said.
    fn read_node(&mut self, name: &str) -> Result<(Box<Node>, Option<String>), Finding> {
        let request = request::read_node(name);
        let failure = |side, why, remedy| Finding::failure("node", side, why, remedy);
        let reply = self.ask(&request).map_err(|trouble| {
            let (side, remedy) = judge::unanswered(&trouble);
            failure(side, trouble.to_string(), remedy)
        })?;
        let side =
            if matches!(reply.status, 401 | 403 | 404) { Side::Setup } else { Side::Outside };
        match reply::node(name, &request, &reply) {
            NodeAnswer::Is(node) => {
                Ok((node, profile(&reply).and_then(|profile| profile.provider_id)))
            }
            NodeAnswer::Failed(why) => Err(failure(side, why, NODE_REMEDY)),
            NodeAnswer::Conflict => Err(failure(side, NO_NODE.to_owned(), NODE_REMEDY)),
        }
    }

    fn reached(&self, version: &Result<Reply, Trouble>, took: Duration) {
        const CHECK: &str = "API server";
        let reply = match version {
            Ok(reply) => reply,
            Err(trouble) => {
                let (side, remedy) = judge::unanswered(trouble);
                self.report.add(Finding::failure(CHECK, side, trouble.to_string(), remedy));
                return;
            }
        };
        let version = reply::version(reply).unwrap_or_else(|| "of unknown version".to_owned());
        let found = format!(
            "{} {version}, trusted by {}, answered in {took:.0?}, handshake included",
            self.server.address(),
            self.server.where_roots_are()
        );
        self.report.add(match reply.status {
            401 => Finding::failure(
                CHECK,
                Side::Setup,
                found + ": it does not accept the token (401)",
                "see the token below; it is worth nothing once its pod or ServiceAccount is gone",
            ),
            500.. => Finding::failure(
                CHECK,
                Side::Outside,
                format!("{found} with status {}", reply.status),
                "see the API server's own log",
            ),
            _ => Finding::ok(CHECK, found),
        });
    }

    fn choice(&self) -> Choice {
        match &self.settings.api_server {
            ApiServer::Named { identity, .. } => *identity,
            ApiServer::Kubeconfig(_) => Choice::ServiceAccount,
        }
    }

    fn acts_as_node(&self) -> bool {
        match self.choice() {
            Choice::ServiceAccount => false,
            Choice::Node => true,
            Choice::Auto => self.server.identity() == Some(Identity::Node),
        }
    }

    fn identity(&self) {
        const CHECK: &str = "identity";
        let found = match (self.choice(), self.server.identity()) {
            (Choice::Auto, Some(identity)) => identity.to_string(),
            (Choice::Auto, None) => {
                self.report.add(Finding::skipped(CHECK, NO_NODE));
                return;
            }
            (Choice::Node, _) => "requests are made in the name of the node (IDENTITY)".to_owned(),
            (Choice::ServiceAccount, _) => {
                "requests are made in the name of whoever the token or certificate is of".to_owned()
            }
        };
        self.report.add(Finding::ok(CHECK, found));
    }

    fn token(&self, node: Option<&str>) {
        const CHECK: &str = "token";
        let Some(place) = self.server.where_token_is() else {
            self.report.add(Finding::ok(CHECK, "none: a client certificate is used".to_owned()));
            return;
        };
        match (self.server.terms(), self.server.claims()) {
            (Ok(terms), Ok(claims)) => {
                let now = self.clock.read().wall.unix_milliseconds() / 1000;
                self.report.add(judge::token(&place, &terms.unwrap_or_default(), now));
                self.report.add(match node {
                    Some(node) => judge::bound(&claims, node),
                    None => Finding::skipped("token and node", "the node's name is not known"),
                });
            }
            (Err(trouble), _) | (_, Err(trouble)) => {
                let (side, remedy) = judge::unanswered(&trouble);
                self.report.add(Finding::failure(CHECK, side, trouble.to_string(), remedy));
            }
        }
    }

    fn permissions(&mut self, node: &str) {
        let settings = self.settings;
        let (evicts, writes) = (!settings.policy.marks_only, !settings.dry_run);
        let marks_disrupted = settings.budget_override == BudgetOverride::AtDeadline;
        let has_soft_taint =
            settings.watched.rebalance && settings.marks.rebalance_mark == RebalanceMark::SoftTaint;
        let taints = settings.marks.taint.is_some() || has_soft_taint;
        let events = settings.reporting.events.is_some();
        let as_node = self.acts_as_node();
        // Verb, resource and its part; whether it is used; whether in the node's name, if anything is.
        for (verb, resource, subresource, is_used, by_node) in [
            ("get", "nodes", "", true, true),
            ("patch", "nodes", "", writes, true),
            ("patch", "nodes", "", writes && taints && as_node, false),
            ("list", "pods", "", evicts, true),
            ("watch", "pods", "", evicts, true),
            ("create", "pods", "eviction", evicts, true),
            ("delete", "pods", "", evicts && writes, true),
            ("patch", "pods", "status", evicts && writes && marks_disrupted, true),
            ("create", "events", "", events && writes, true),
            ("patch", "events", "", events && writes, true),
        ] {
            if !is_used {
                continue;
            }
            let permission = Permission {
                verb,
                resource,
                subresource,
                name: if resource == "nodes" { node } else { "" },
                of_node: if matches!(verb, "list" | "watch") { node } else { "" },
            };
            if self.permission(permission, as_node && by_node).is_none() {
                return;
            }
        }
    }

    /// `None`: there was no answer, which is said.
    fn permission(&mut self, permission: Permission<'_>, as_node: bool) -> Option<()> {
        let Permission { verb, resource, subresource, name, .. } = permission;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let space = if name.is_empty() { "" } else { " " };
        let what = format!("{resource}{slash}{subresource}");
        let check = format!("permission to {verb} {what}{space}{name}");
        let verb_as_node = format!("{VERB_AS_NODE}{verb}");
        let mut answer = Ok(false);
        let mut found = "allowed in the node's name";
        if as_node {
            answer = self.may(&Permission { verb: &verb_as_node, ..permission })?;
        }
        // What the API server refuses in the node's name is asked for anew in the ServiceAccount's.
        if answer == Ok(false) && (!as_node || self.choice() == Choice::Auto) {
            answer = self.may(&permission)?;
            found = if as_node { "allowed, but not in the node's name" } else { "allowed" };
        }
        self.report.add(match answer {
            Ok(true) => Finding::ok(&check, found.to_owned()),
            Ok(false) => {
                let verb = if as_node { &verb_as_node } else { verb };
                let remedy = format!(
                    "grant the verb {verb} on {what} to the ServiceAccount, as the shipped ClusterRole does"
                );
                Finding::failure(&check, Side::Setup, "not allowed".to_owned(), &remedy)
            }
            Err(why) => Finding::warning(
                &check,
                why,
                "let the ServiceAccount create selfsubjectaccessreviews (ClusterRole system:basic-user)",
            ),
        });
        Some(())
    }

    /// Whether the ServiceAccount may; else why that is not told.
    fn may(&mut self, permission: &Permission<'_>) -> Option<Result<bool, String>> {
        let request = request::review(permission);
        match self.ask(&request) {
            Ok(reply) => Some(reply::is_allowed(&request, &reply)),
            Err(trouble) => {
                let (side, remedy) = judge::unanswered(&trouble);
                let why = format!("{trouble}; the others are not asked for");
                self.report.add(Finding::failure("permissions", side, why, remedy));
                None
            }
        }
    }
}

/// What the API server asks of whoever acts as the node that its own pod runs on: the right to this verb
/// on what is asked for (KEP-5284).
const VERB_AS_NODE: &str = "impersonate-on:associated-node:";

const NODE_REMEDY: &str = "404: NODE_NAME must be the name in kubectl get nodes; 401 and 403: see token and \
    permissions";
