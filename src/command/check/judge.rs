//! What the facts mean, how that is printed, and what it means for the exit status. Pure: no fact is looked
//! for here.

use std::fmt::Write;
use std::time::Duration;

use crate::http::error::{Cause, Error};
use crate::instance::Instance;
use crate::json::text;
use crate::kube::token::Claims;
use crate::moment::WallTime;
use crate::node::state::Remembered;
use crate::node::{FieldManager, Node, Setter};
use crate::notice::{NoticePath, Polled};
use crate::settings::Settings;
use crate::source::TokenCheck;
use crate::source::url::MetadataUrl;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: CheckOutcome,
    /// What was found.
    pub(super) found: String,
    /// What to do about it; empty if nothing is.
    pub(super) remedy: &'static str,
}

/// How severe it is, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CheckOutcome {
    /// It could not be checked, for a reason that another finding has.
    Skipped,
    Ok,
    /// A drain works, but not as well as it could, or not as may be expected.
    Warning,
    /// A drain would fail, because of metadata service, API server or clock.
    Outside,
    /// A drain would fail, because of settings, permissions, token or node.
    Setup,
}

impl CheckOutcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Outside | Self::Setup => "failure",
        }
    }

    /// As sysexits.h numbers it.
    pub(super) fn exit_status(self) -> u8 {
        match self {
            Self::Setup => 78,   // EX_CONFIG
            Self::Outside => 69, // EX_UNAVAILABLE
            Self::Ok | Self::Warning | Self::Skipped => 0,
        }
    }

    pub(super) fn is(self, found: String, remedy: &'static str) -> Finding {
        Finding { outcome: self, found, remedy }
    }
}

impl Finding {
    pub(super) fn ok(found: String) -> Self {
        CheckOutcome::Ok.is(found, "")
    }

    pub(super) fn skipped(why: &str) -> Self {
        CheckOutcome::Skipped.is(why.to_owned(), "")
    }

    /// For people: one line. `check`: what was looked at.
    pub(super) fn line(&self, check: &str) -> String {
        let Self { outcome, found, remedy } = self;
        let before = if remedy.is_empty() { "" } else { "; remedy: " };
        format!("{:<7}  {check}: {found}{before}{remedy}\n", outcome.word())
    }

    /// For programs: one object.
    pub(super) fn json(&self, check: &str) -> String {
        format!(
            r#"{{"check":"{check}","outcome":"{}","found":{},"remedy":{}}}"#,
            self.outcome.word(),
            text(&self.found),
            text(self.remedy)
        )
    }
}

pub(super) fn settings(settings: &Settings) -> Finding {
    // Settings that are not valid have findings of their own.
    let good = if settings.unusable.is_empty() { "good" } else { "all others are good" };
    let mut found = good.to_owned();
    if settings.dry_run {
        found += "; with DRY_RUN nothing is written in a drain";
    }
    for remark in &settings.remarks {
        let _ = write!(found, "; {remark}");
    }
    Finding::ok(found)
}

/// Polls are given up after a second.
const SLOW_TOKEN: Duration = Duration::from_millis(500);

pub(super) fn metadata(url: &MetadataUrl, token: TokenCheck) -> Finding {
    match token {
        TokenCheck::Failed { found, remedy } => CheckOutcome::Outside.is(found, remedy),
        TokenCheck::NotOffered(status) => CheckOutcome::Warning.is(
            format!("{url} offers no IMDSv2 (status {status} for a token) and is asked without"),
            "EC2 always offers it: see what answers in its place (a proxy such as kiam, a mock)",
        ),
        TokenCheck::Given(took) => {
            let found =
                format!("{url} gave a token (IMDSv2) in {took:.1?}: the hop limit is high enough");
            if took < SLOW_TOKEN {
                return Finding::ok(found);
            }
            CheckOutcome::Warning.is(
                found,
                "ask it less: all pods of the node share its limits; after 1 s a poll is given up",
            )
        }
    }
}

pub(super) fn notices(path: NoticePath, polled: Option<Polled>) -> Finding {
    let Some(Polled { status, outcome, .. }) = polled else {
        return Finding::skipped(&format!("{path} is not asked without a token"));
    };
    let answer = match outcome {
        Err(why) => {
            return CheckOutcome::Outside.is(why, "try again; see what answers at this address");
        }
        Ok(answer) => answer,
    };
    if answer.standing.is_empty() {
        return Finding::ok(format!("none at {path} (status {})", status.unwrap_or_default()));
    }
    let mut found = format!("at {path}");
    for notice in &answer.standing {
        let _ = write!(found, "; {}: {}", notice.id, notice.wording);
    }
    CheckOutcome::Warning.is(found, "none; the handler's log tells what is done about it")
}

pub(super) fn instance(instance: &Instance) -> Finding {
    let Some(id) = &instance.instance_id else {
        return Finding::skipped("the metadata service does not tell");
    };
    let zone = instance.availability_zone.as_deref().unwrap_or(UNKNOWN);
    let life_cycle = instance.life_cycle.as_deref().unwrap_or(UNKNOWN);
    let found = format!("{id}, {zone}, {life_cycle}");
    if life_cycle == "spot" {
        return Finding::ok(found);
    }
    CheckOutcome::Warning.is(
        found,
        "none, where it is for scheduled events or Auto Scaling; the metadata service announces interruptions of \
         spot instances, and whether it announces those of interruptible capacity reservations is not documented",
    )
}

const UNKNOWN: &str = "unknown";

/// Whether the Node is this instance.
pub(super) fn belongs(provider_id: Option<&str>, instance: &Instance) -> Finding {
    let Some(id) = instance.instance_id.as_deref() else {
        return Finding::skipped("the instance is not known");
    };
    let Some(provider_id) = provider_id else {
        return CheckOutcome::Warning.is(
            format!("the Node has no spec.providerID to compare with {id}"),
            "none, where no cloud provider of AWS sets it",
        );
    };
    // aws:///ZONE/ID, and an id is never given twice.
    if provider_id.starts_with("aws:///") && provider_id.rsplit('/').next() == Some(id) {
        return Finding::ok(format!("the Node is {provider_id}"));
    }
    CheckOutcome::Setup.is(
        format!("the Node is {provider_id}, the metadata service that of {id}"),
        "set NODE_NAME from spec.nodeName and INSTANCE_METADATA_URL to the node's own: else a notice drains \
         another node",
    )
}

/// The API server does not answer.
pub(super) fn unanswered(error: &Error) -> Finding {
    let (outcome, remedy) = match error.cause {
        Cause::Credentials(_) => (
            CheckOutcome::Setup,
            "mount the ServiceAccount's token, or correct TOKEN_FILE and CA_FILE",
        ),
        Cause::Untrusted(_) => (
            CheckOutcome::Setup,
            "correct CA_FILE, or the address: it is another cluster's, or a proxy's",
        ),
        Cause::Certificate(_) => {
            (CheckOutcome::Outside, "renew it, set the node's clock, or use a name that it is for")
        }
        _ => (
            CheckOutcome::Outside,
            "see that it runs, that KUBERNETES_SERVICE_HOST and _PORT (or --server) lead to it, and that no \
             firewall stands between",
        ),
    };
    outcome.is(error.to_string(), remedy)
}

/// The token's subject, audience and times. `now`: seconds since 1970.
pub(super) fn token(place: &str, claims: &Claims, now: u64) -> Finding {
    let subject = claims.subject.as_deref().unwrap_or("somebody");
    let audience = claims.audience.as_deref().unwrap_or("any audience");
    let issued = claims.issued.unwrap_or(now);
    let age = now.saturating_sub(issued) / 60;
    let mut found = format!("{place}: of {subject} for {audience}, {age} min old");
    let Some(expires) = claims.expires else { return Finding::ok(found) };
    // The kubelet replaces a token when a fifth of its time is left.
    let end = claims.stale.unwrap_or(expires);
    let left = end.saturating_sub(now);
    let _ = write!(found, ", to be replaced within {} min", left / 60);
    let outcome = match () {
        () if expires <= now => CheckOutcome::Setup,
        () if left < end.saturating_sub(issued) / 10 => CheckOutcome::Warning,
        () => return Finding::ok(found),
    };
    found += if outcome == CheckOutcome::Setup { "; it has expired" } else { "; it is late" };
    outcome.is(found, "see in the kubelet's log why it is not replaced; set the clock")
}

/// The pod and node that the token is bound to.
pub(super) fn bound(claims: &Claims, node: &str) -> Finding {
    let pod = claims.pod.as_deref().unwrap_or("none");
    let of = claims.node.as_deref();
    let found = format!("bound to pod {pod}, on node {}", of.unwrap_or("(not named)"));
    match of {
        Some(other) if other != node => CheckOutcome::Setup.is(found, SET_NODE_NAME),
        _ => Finding::ok(found),
    }
}

pub(super) const SET_NODE_NAME: &str = "set NODE_NAME by fieldRef from spec.nodeName";

/// The API server's `Date`, which has whole seconds, against this machine's clock before and after the
/// answer.
pub(super) fn clock(before: WallTime, after: WallTime, date: Option<WallTime>) -> Finding {
    let Some(date) = date else { return Finding::skipped("the API server's answer has no Date") };
    let (distance, which) = match (date + SECOND).until(before) {
        Some(ahead) => (ahead, "ahead of"),
        None => (after.until(date).unwrap_or_default(), "behind"),
    };
    let found = format!("{:.0} s {which} the API server's", distance.as_secs_f64());
    let outcome = match () {
        () if distance > FAILURE => CheckOutcome::Outside,
        () if distance > WARNING => CheckOutcome::Warning,
        () => return Finding::ok("that of the API server, to 2 s".to_owned()),
    };
    outcome.is(found, "synchronise it (chrony with 169.254.169.123): EC2's deadlines are times")
}

const SECOND: Duration = Duration::from_secs(1);
const WARNING: Duration = Duration::from_secs(2);
const FAILURE: Duration = Duration::from_secs(10);

/// What is on the Node now.
pub(super) fn marks(name: &str, node: &Node) -> Finding {
    let cordon = match (node.unschedulable, node.cordoned_by) {
        (false, _) => "not cordoned",
        (true, Setter::Manager(FieldManager::Handler)) => "cordoned by this handler",
        (true, Setter::Manager(FieldManager::Operator)) => "cordoned by the command drain",
        (true, Setter::Others) => "cordoned by somebody else",
        (true, Setter::Unknown) => "cordoned, it is not known by whom",
    };
    let (left, remedy) = match (&node.state, &node.by_hand) {
        (Remembered::Unreadable, _) | (_, Remembered::Unreadable) => (
            "an annotation that cannot be read",
            "take off the Node's annotations k8s-spot-handler/…, unless a newer version wrote them",
        ),
        (Remembered::State(state), _) => (
            state.notice.as_deref().unwrap_or("a note of notices that are dealt with"),
            "none while the notice stands: the handler takes it back after that",
        ),
        (_, Remembered::State(_)) => {
            ("marked by hand", "k8s-spot-handler restore NODE, when it is time")
        }
        (Remembered::Nothing, Remembered::Nothing) if node.unschedulable => (
            "no mark of this handler",
            "kubectl uncordon NODE, if it is not meant: the handler leaves it so",
        ),
        (Remembered::Nothing, Remembered::Nothing) => {
            return Finding::ok(format!("{name}: {cordon}; no mark of this handler"));
        }
    };
    CheckOutcome::Warning.is(format!("{name}: {cordon}; {left}"), remedy)
}

#[cfg(test)]
mod tests;
