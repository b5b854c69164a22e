//! Checks across settings: contradictions, remarks, settings without effect. A check is skipped if a value it
//! needs is not valid: that is a problem already.

use std::time::Duration;

use crate::node::TaintEffect;
use crate::notice::Code;
use crate::plan::kinds::LeadTimes;
use crate::settings::lookup::Lookup;
use crate::settings::table::Values;
use crate::settings::value::written;

/// Runs every check.
pub(super) fn compare(lookup: &mut Lookup<'_>, values: &Values, lead_times: Option<&LeadTimes>) {
    let mut contradictions = vec![nothing_to_do(lookup, values), rebalance_without_marks(values)];
    contradictions.extend(no_time_left(values, lead_times));
    contradictions.push(held_too_long(values));
    for contradiction in contradictions.into_iter().flatten() {
        lookup.contradiction(contradiction);
    }
    let hook = unknown_hook(lookup, values);
    let others = [
        hook,
        node_shutdown(values),
        long_interval(values),
        unwritten_events(values),
        ended_by_taint(values),
    ];
    for remark in others.into_iter().flatten() {
        lookup.remark(remark);
    }
    without_effect(lookup, values);
}

fn nothing_to_do(lookup: &Lookup<'_>, values: &Values) -> Option<String> {
    let watches = values.enable_spot_interruption_draining?
        || values.enable_scheduled_event_draining?
        || values.enable_rebalance_monitoring?
        || values.enable_rebalance_draining?
        || values.enable_asg_lifecycle_draining?;
    let is_idle = !watches && !lookup.is_given("NOTICE_URL");
    is_idle.then(|| {
        "ENABLE_SPOT_INTERRUPTION_DRAINING, ENABLE_SCHEDULED_EVENT_DRAINING, \
         ENABLE_REBALANCE_MONITORING, ENABLE_REBALANCE_DRAINING and \
         ENABLE_ASG_LIFECYCLE_DRAINING are all false and NOTICE_URL is not set, so nothing \
         would ever be done; switch one of them on, or do not run this program"
            .to_owned()
    })
}

/// Pods would come back to a node that is still being drained.
fn rebalance_without_marks(values: &Values) -> Option<String> {
    let (timeout, marks) = (values.rebalance_patience?, values.rebalance_mark_duration?);
    let drains = values.enable_rebalance_draining? && !values.cordon_only?;
    (drains && marks < timeout).then(|| {
        format!(
            "REBALANCE_MARK_DURATION ({}) must not be shorter than REBALANCE_PATIENCE \
             ({}), or the marks end while the drain goes on",
            written(marks),
            written(timeout)
        )
    })
}

/// For each time that a drain may have: whether the safety margin leaves any of it.
fn no_time_left<'a>(
    values: &Values,
    lead_times: Option<&'a LeadTimes>,
) -> impl Iterator<Item = Option<String>> + use<'a> {
    let (margin, window) = (values.safety_margin, values.node_termination_grace_period);
    let lifecycle = values.enable_asg_lifecycle_draining == Some(true);
    let lifecycle = values.asg_lifecycle_window.filter(|_| lifecycle);
    // A lead time derived from the node termination grace period is no second problem.
    let lead_times = lead_times.into_iter().flat_map(|times| {
        Code::ALL.map(|code| (format!("lead time of {code}"), Some(times.of(code))))
    });
    let spans = [
        ("node termination grace period".to_owned(), window),
        ("Auto Scaling life-cycle window".to_owned(), lifecycle),
    ];
    let spans = spans.into_iter().chain(lead_times.filter(move |(_, time)| *time != window));
    spans.map(move |(name, span)| margin_over(margin?, &name, span?))
}

/// The problem of a margin that is not shorter than this time.
pub(super) fn margin_over(margin: Duration, name: &str, span: Duration) -> Option<String> {
    (span <= margin).then(|| {
        format!(
            "the safety margin ({}) must be shorter than the {name} ({}), or no time is left for the pods",
            written(margin),
            written(span)
        )
    })
}

/// Hold and margin must leave some of the shortest time that a drain may have.
fn held_too_long(values: &Values) -> Option<String> {
    let (hold, margin) = (values.load_balancer_hold?, values.safety_margin?);
    let shortest = values.node_termination_grace_period?.min(INTERRUPTION);
    let some_was_left = margin < shortest;
    let is_held = values.exclude_from_load_balancers? && some_was_left;
    (is_held && hold + margin >= shortest).then(|| {
        format!(
            "LOAD_BALANCER_HOLD ({}) and the safety margin ({}) leave no time for the pods in \
             the {} that a drain may have",
            written(hold),
            written(margin),
            written(shortest)
        )
    })
}

/// The notice of a spot interruption.
const INTERRUPTION: Duration = Duration::from_mins(2);

/// With too long a window no pod is deleted in time, with too short a one some are deleted too early: a
/// default is remarked.
fn unknown_hook(lookup: &Lookup<'_>, values: &Values) -> Option<String> {
    let window = values.asg_lifecycle_window?;
    let drains = values.enable_asg_lifecycle_draining? && !values.cordon_only?;
    (drains && !lookup.is_given("ASG_LIFECYCLE_WINDOW")).then(|| {
        format!(
            "ASG_LIFECYCLE_WINDOW is not set: when the Auto Scaling group ends the instance, {} are \
             taken to be left, for the metadata service does not tell. Set it to the time-out of your \
             life-cycle hook, less a margin: EKS sets 1800 s for its managed node groups, the usual \
             recipe is 300 s, and 3600 s are the default of the Auto Scaling API.",
            written(window)
        )
    })
}

fn node_shutdown(values: &Values) -> Option<String> {
    let time = values.node_shutdown_grace_period?;
    (!time.is_zero()).then(|| {
        format!(
            "NODE_SHUTDOWN_GRACE_PERIOD: pods may end up to {} after the deadline. That holds only where the \
             kubelet shuts the node down gracefully for as long, and EC2 promises no time after its notice.",
            written(time)
        )
    })
}

fn long_interval(values: &Values) -> Option<String> {
    let interval = values.poll_interval?;
    (interval > LONG_INTERVAL).then(|| {
        format!(
            "With {} between polls, up to so much of the two minutes after a notice is lost; EC2 \
             advises 5 seconds.",
            written(interval)
        )
    })
}

/// Twice what the EC2 user guide advises.
const LONG_INTERVAL: Duration = Duration::from_secs(10);

fn unwritten_events(values: &Values) -> Option<String> {
    let words = "EMIT_KUBERNETES_EVENTS has no effect: a dry run writes nothing.";
    (values.dry_run? && values.emit_kubernetes_events?).then(|| words.to_owned())
}

fn ended_by_taint(values: &Values) -> Option<String> {
    let words = "TAINT_EFFECT is NoExecute: Kubernetes itself ends every pod that does not tolerate the \
                 taint, at once and past its budget.";
    let ends = values.taint_node? && values.taint_effect? == TaintEffect::NoExecute;
    ends.then(|| words.to_owned())
}

/// Remarks on settings without effect, unless they are set to their default: manifests of other handlers
/// have many of these.
fn without_effect(lookup: &mut Lookup<'_>, values: &Values) {
    let on = |value: Option<bool>| value == Some(true);
    let off = |value: Option<bool>| value == Some(false);
    let (drains, marks_only) = (values.enable_rebalance_draining, values.cordon_only);
    let watches_none = off(values.enable_rebalance_monitoring) && off(drains);
    // The first reason is enough.
    let mut last = "";
    for (name, has_none, why) in [
        ("TAINT_EFFECT", off(values.taint_node), "TAINT_NODE is false"),
        (
            "LOAD_BALANCER_HOLD",
            off(values.exclude_from_load_balancers),
            "EXCLUDE_FROM_LOAD_BALANCERS is false",
        ),
        ("LOAD_BALANCER_HOLD", on(marks_only), NO_EVICTIONS),
        ("REBALANCE_MARK", watches_none, NO_REBALANCE),
        (
            "REBALANCE_MARK",
            on(drains) && off(marks_only),
            "ENABLE_REBALANCE_DRAINING is true, and cordons",
        ),
        ("REBALANCE_MARK_DURATION", watches_none, NO_REBALANCE),
        ("REBALANCE_PATIENCE", off(drains), "ENABLE_REBALANCE_DRAINING is false"),
        ("REBALANCE_PATIENCE", on(marks_only), NO_EVICTIONS),
        (
            "ENABLE_REBALANCE_DRAINING",
            on(drains) && on(marks_only),
            "CORDON_ONLY is true, so a rebalance recommendation only marks the node",
        ),
        (
            "MAINTENANCE_LEAD_TIMES",
            off(values.enable_scheduled_event_draining),
            "ENABLE_SCHEDULED_EVENT_DRAINING is false",
        ),
        (
            "ASG_LIFECYCLE_WINDOW",
            off(values.enable_asg_lifecycle_draining),
            "ENABLE_ASG_LIFECYCLE_DRAINING is false",
        ),
        (
            "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS",
            off(values.emit_kubernetes_events),
            "EMIT_KUBERNETES_EVENTS is false",
        ),
    ] {
        if has_none && name != last && lookup.is_changed(name) && !lookup.is_bad(name) {
            lookup.remark(format!("{name} has no effect: {why}."));
            last = name;
        }
    }
}

const NO_REBALANCE: &str = "ENABLE_REBALANCE_MONITORING and ENABLE_REBALANCE_DRAINING are false";
const NO_EVICTIONS: &str = "CORDON_ONLY is true, so nobody is evicted";
