//! What the facts mean. Pure: no fact is looked for here.

use std::time::Duration;

use crate::command::check::finding::{Finding, Side};
use crate::instance::Instance;
use crate::kube::token::{Claims, Terms};
use crate::kube::trouble::Trouble;
use crate::moment::WallTime;
use crate::node::state::Remembered;
use crate::node::{Node, Setter};
use crate::notice::{NoticePath, Polled};
use crate::settings::{Settings, WhichNode};
use crate::source::look::Token;

pub(super) fn settings(settings: &Settings) -> Finding {
    let node = match &settings.node {
        WhichNode::Named(name) => name,
        WhichNode::OfOwnPod => "that of its own pod",
    };
    let mut found = format!("good; the node is {node}");
    if settings.dry_run {
        found += "; DRY_RUN is on: nothing is written in a drain";
    }
    for remark in &settings.remarks {
        found += "; ";
        found += &remark.to_string();
    }
    Finding::ok("settings", found)
}

/// Slower than that it is near the second after which a poll is given up.
const SLOW_TOKEN: Duration = Duration::from_millis(500);

pub(super) fn metadata(url: &str, token: &Token) -> Finding {
    const CHECK: &str = "metadata service";
    match token {
        Token::Given(took) if *took < SLOW_TOKEN => Finding::ok(
            CHECK,
            format!("{url} gave a token (IMDSv2) in {took:.1?}, so the hop limit is high enough"),
        ),
        Token::Given(took) => Finding::warning(
            CHECK,
            format!("{url} gave a token (IMDSv2) only after {took:.1?}; after 1s a poll is given up"),
            "ask for less: every pod of the instance shares the limits of its metadata service",
        ),
        Token::NotOffered(status) => Finding::warning(
            CHECK,
            format!("{url} offers no IMDSv2 (status {status} for a token), and is asked without"),
            "EC2 always offers it: see what answers in its place (a proxy such as kiam, a mock)",
        ),
        Token::Failed { found, remedy } => {
            Finding::failure(CHECK, Side::Outside, found.clone(), remedy)
        }
    }
}

pub(super) fn notices(path: NoticePath, polled: Option<&Polled>) -> Finding {
    let check = format!("notices at {path}");
    let Some(polled) = polled else { return Finding::skipped(&check, NO_TOKEN) };
    match &polled.outcome {
        Err(why) => Finding::failure(
            &check,
            Side::Outside,
            why.clone(),
            "try again; if it stays so, what answers there is not the metadata service of EC2: see \
             INSTANCE_METADATA_URL and NOTICE_URL",
        ),
        Ok(answer) if answer.standing.is_empty() => {
            Finding::ok(&check, format!("none (status {})", polled.status.unwrap_or_default()))
        }
        Ok(answer) => {
            let mut found = String::from("stands: ");
            for notice in &answer.standing {
                if !found.ends_with(": ") {
                    found += "; ";
                }
                found += &format!("{} ({})", notice.id, notice.wording);
            }
            Finding::warning(&check, found, "nothing: the log of the handler tells what it does about it")
        }
    }
}

const NO_TOKEN: &str = "the metadata service gave no token";

/// What the instance is; `is_closed`: nobody could be asked.
pub(super) fn instance(instance: &Instance, is_closed: bool) -> Finding {
    const CHECK: &str = "instance";
    let known = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "unknown".to_owned());
    let Some(id) = &instance.instance_id else {
        if is_closed {
            return Finding::skipped(CHECK, NO_TOKEN);
        }
        return Finding::failure(
            CHECK,
            Side::Outside,
            "the metadata service does not tell the instance's id".to_owned(),
            "see that INSTANCE_METADATA_URL is the metadata service of EC2",
        );
    };
    let zone = known(&instance.availability_zone);
    let life_cycle = known(&instance.life_cycle);
    let found = format!("{id} in {zone}, {}, {life_cycle}", known(&instance.instance_type));
    if life_cycle == "spot" {
        return Finding::ok(CHECK, found);
    }
    Finding::warning(
        CHECK,
        found + ": only to spot instances come interruptions and rebalance recommendations",
        "nothing, where it is here for planned maintenance or Auto Scaling; else keep the handler \
         off it with a nodeSelector",
    )
}

/// Whether the Node is this instance.
pub(super) fn belongs(node: &str, provider_id: Option<&str>, instance: &Instance) -> Finding {
    const CHECK: &str = "instance and node";
    let Some(id) = &instance.instance_id else {
        return Finding::skipped(CHECK, "the instance is not known");
    };
    let Some(provider_id) = provider_id else {
        return Finding::warning(
            CHECK,
            format!("the Node {node} has no spec.providerID: nobody can tell whether it is {id}"),
            "nothing, where the cluster has no cloud provider of AWS; else see why it has not set it",
        );
    };
    // aws:///ZONE/ID; where the zone is not known the id decides.
    let is_same = match instance.provider_id() {
        Some(own) => own == provider_id,
        None => provider_id.starts_with("aws:///") && provider_id.rsplit('/').next() == Some(id),
    };
    if is_same {
        return Finding::ok(CHECK, format!("the Node {node} is this instance, {provider_id}"));
    }
    let own = instance.provider_id().unwrap_or_else(|| id.clone());
    Finding::failure(
        CHECK,
        Side::Setup,
        format!("the Node {node} is {provider_id}, but the metadata service is that of {own}"),
        "set NODE_NAME by fieldRef spec.nodeName, and INSTANCE_METADATA_URL to the node's own metadata \
         service: else a notice drains another node than that which goes",
    )
}

/// What to do where the API server does not answer, and on which side that is.
pub(super) fn unanswered(trouble: &Trouble) -> (Side, &'static str) {
    match trouble {
        Trouble::File { .. }
        | Trouble::Token { .. }
        | Trouble::NotPem { .. }
        | Trouble::NoCertificate { .. } => (
            Side::Setup,
            "give the pod its ServiceAccount's token and CA (automountServiceAccountToken), or correct \
             TOKEN_FILE and CA_FILE",
        ),
        Trouble::Untrusted { .. } => (
            Side::Setup,
            "correct CA_FILE, or the address: this is another cluster's API server, or a proxy that ends TLS",
        ),
        Trouble::Certificate { .. } => (
            Side::Outside,
            "renew the API server's certificate, set the node's clock, or use a name that it is for",
        ),
        _ => (
            Side::Outside,
            "see that the API server runs, that KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT (or \
             --server) lead to it, and that no firewall or network policy stands between",
        ),
    }
}

/// The token: since when, until when, for whom. `now`: seconds since 1970.
pub(super) fn token(place: &str, terms: &Terms, now: u64) -> Finding {
    const CHECK: &str = "token";
    let Some(expires) = terms.expires else {
        return Finding::ok(CHECK, format!("{place}: it states no end"));
    };
    let issued = terms.issued.unwrap_or(now);
    let mut found = format!(
        "{place}: of {}, for {}, {} old",
        terms.subject.as_deref().unwrap_or("nobody it names"),
        terms.audiences.join(", "),
        span(now.saturating_sub(issued))
    );
    if expires <= now {
        found += &format!(", expired {} ago", span(now - expires));
        return Finding::failure(CHECK, Side::Setup, found, RENEW);
    }
    found += &format!(", good for {}", span(expires - now));
    // The kubelet replaces a token when a fifth of its time is left.
    let end = terms.stale.unwrap_or(expires);
    let life = end.saturating_sub(issued);
    if end.saturating_sub(now) * 10 < life {
        found += ", and should have been replaced by now";
        return Finding::warning(CHECK, found, RENEW);
    }
    Finding::ok(CHECK, found)
}

const RENEW: &str = "see why the kubelet does not renew it (its log on the node), and whether the clock is right; \
    a token by hand: kubectl create token";

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Whose token it is.
pub(super) fn bound(claims: &Claims, node: &str) -> Finding {
    const CHECK: &str = "token and node";
    let pod = match (&claims.namespace, &claims.pod) {
        (Some(namespace), Some(pod)) => format!("bound to pod {namespace}/{pod}"),
        _ => "bound to no pod".to_owned(),
    };
    match &claims.node {
        None => Finding::ok(CHECK, format!("{pod}, and names no node")),
        Some(own) if own == node => Finding::ok(CHECK, format!("{pod} on this node")),
        Some(own) => Finding::failure(
            CHECK,
            Side::Setup,
            format!("{pod} on node {own}, but the node that would be drained is {node}"),
            "set NODE_NAME by fieldRef spec.nodeName",
        ),
    }
}

/// The API server's `Date`, which has whole seconds, against this machine's clock before and after the
/// answer.
pub(super) fn clock(before: WallTime, after: WallTime, date: Option<WallTime>) -> Finding {
    const CHECK: &str = "clock";
    let Some(date) = date else {
        return Finding::skipped(CHECK, "the API server's answer has no Date");
    };
    let ahead = (date + SECOND).until(before);
    let behind = after.until(date);
    let (distance, which) = match (ahead, behind) {
        (Some(ahead), _) => (ahead, "ahead of"),
        (None, Some(behind)) => (behind, "behind"),
        (None, None) => (Duration::ZERO, ""),
    };
    if distance <= WARNING {
        return Finding::ok(CHECK, "the same time as the API server's, to seconds".to_owned());
    }
    let found = format!("{distance:.0?} {which} that of the API server; EC2 states deadlines as times");
    if distance <= FAILURE {
        return Finding::warning(CHECK, found, SYNC);
    }
    Finding::failure(CHECK, Side::Outside, found, SYNC)
}

const SECOND: Duration = Duration::from_secs(1);
const WARNING: Duration = Duration::from_secs(2);
const FAILURE: Duration = Duration::from_secs(10);

const SYNC: &str = "see that the node's time is synchronised (chrony with 169.254.169.123, the Amazon Time Sync \
    Service), and the API server's";

/// What is on the Node now.
pub(super) fn marks(name: &str, node: &Node) -> Finding {
    const CHECK: &str = "node";
    let cordon = match (node.unschedulable, node.cordoned_by) {
        (false, _) => "not cordoned",
        (true, Setter::Us) => "cordoned by this handler",
        (true, Setter::Others) => "cordoned by somebody else",
        (true, Setter::Unknown) => "cordoned, and it is not known by whom",
    };
    let (note, remedy) = match (&node.state, node.unschedulable) {
        (Remembered::Unreadable, _) => (
            "its annotation k8s-spot-handler/state cannot be read",
            format!("kubectl annotate node {name} k8s-spot-handler/state- (a newer version may have written it)"),
        ),
        (Remembered::State(_), _) => (
            "an annotation of this handler",
            format!("nothing while a notice stands; else k8s-spot-handler restore {name}"),
        ),
        (Remembered::Nothing, true) => (
            "no mark of this handler",
            format!("kubectl uncordon {name}, if it is not meant: the handler never lifts it"),
        ),
        (Remembered::Nothing, false) => {
            return Finding::ok(CHECK, format!("{name}: {cordon}, no mark of this handler"));
        }
    };
    let notice = node.state.state().and_then(|state| state.notice.as_deref());
    let notice = notice.map_or_else(String::new, |notice| format!(", marked for {notice}"));
    Finding::warning(CHECK, format!("{name}: {cordon}, {note}{notice}"), &remedy)
}
