//! What is wrong, doubtful or without effect only of several settings together.

use std::time::Duration;

use crate::node::TaintEffect;
use crate::notice::Code;
use crate::plan::kinds::Rebalance;
use crate::settings::settle::{Marking, Notices};
use crate::settings::sources::Sources;
use crate::settings::table::{self, Row};
use crate::settings::value::written;
use crate::settings::{Metadata, Reporting};

/// Compares what could be read; what could not is `None`, and a problem already.
pub(super) fn compare(
    sources: &mut Sources<'_>,
    metadata: Option<&Metadata>,
    notices: Option<&Notices>,
    marking: Option<&Marking>,
    margin: Option<Duration>,
    reporting: Option<&Reporting>,
) {
    if let Some(notices) = notices {
        nothing_to_do(sources, notices);
        rebalance_without_marks(sources, notices);
        unknown_hook(sources, notices);
    }
    if let (Some(notices), Some(margin)) = (notices, margin) {
        no_time_left(sources, notices, margin);
        if let Some(marking) = marking {
            held_too_long(sources, notices, marking, margin);
        }
    }
    if let Some(metadata) = metadata {
        long_interval(sources, metadata.poll_interval);
    }
    if let (Some(notices), Some(reporting)) = (notices, reporting) {
        unwritten_events(sources, notices, reporting);
    }
    if let (Some(notices), Some(marking)) = (notices, marking) {
        ended_by_taint(sources, marking);
        without_effect(sources, notices, marking);
    }
}

fn unwritten_events(sources: &mut Sources<'_>, notices: &Notices, reporting: &Reporting) {
    if notices.dry_run && reporting.events.is_some() {
        sources.remark("EMIT_KUBERNETES_EVENTS has no effect: a dry run writes nothing.");
    }
}

fn nothing_to_do(sources: &mut Sources<'_>, notices: &Notices) {
    if !notices.watched.any() && !sources.is_given(&table::NOTICE_URL.row) {
        sources.contradiction(
            "ENABLE_SPOT_INTERRUPTION_DRAINING, ENABLE_SCHEDULED_EVENT_DRAINING, \
             ENABLE_REBALANCE_MONITORING, ENABLE_REBALANCE_DRAINING and \
             ENABLE_ASG_LIFECYCLE_DRAINING are all false and NOTICE_URL is not set, so nothing \
             would ever be done; switch one of them on, or do not run this program",
        );
    }
}

/// Pods would come back to a node that is still being drained.
fn rebalance_without_marks(sources: &mut Sources<'_>, notices: &Notices) {
    let marks = notices.policy.rebalance_marks;
    match notices.policy.rebalance {
        Rebalance::Drain { patience } if !notices.policy.marks_only && marks < patience => {
            sources.contradiction(format!(
                "REBALANCE_MARK_DURATION ({}) must not be shorter than REBALANCE_PATIENCE \
                     ({}), or the marks end while the drain goes on",
                written(marks),
                written(patience)
            ));
        }
        Rebalance::Drain { .. } | Rebalance::Mark => {}
    }
}

/// With too long a window no pod is deleted in time, with too short a one some are too early: what was
/// not said is not taken in silence.
fn unknown_hook(sources: &mut Sources<'_>, notices: &Notices) {
    let Notices { watched, policy, lifecycle_window, .. } = notices;
    let drains = watched.lifecycle && !policy.marks_only;
    if drains && !sources.is_given(&table::ASG_LIFECYCLE_WINDOW.row) {
        sources.remark(format!(
            "ASG_LIFECYCLE_WINDOW is not set: when the Auto Scaling group ends the instance, {} are \
             taken to be left, for the metadata service does not tell. Set it to the time-out of your \
             life-cycle hook, less a margin: EKS sets 1800 s for its managed node groups, the usual \
             recipe is 300 s, and 3600 s are the default of the Auto Scaling API.",
            written(*lifecycle_window)
        ));
    }
}

fn no_time_left(sources: &mut Sources<'_>, notices: &Notices, margin: Duration) {
    let window = notices.window;
    let lifecycle = notices.watched.lifecycle.then_some(notices.lifecycle_window);
    let spans = [
        ("node termination grace period".to_owned(), Some(window)),
        ("Auto Scaling life-cycle window".to_owned(), lifecycle),
    ];
    // A lead time that is the node termination grace period's is no second mistake.
    let lead_times = Code::ALL
        .into_iter()
        .map(|code| (code, notices.policy.lead_times.of(code)))
        .filter(|(_, time)| *time != window)
        .map(|(code, time)| (format!("lead time of {code}"), Some(time)));
    for (name, span) in spans.into_iter().chain(lead_times) {
        if let Some(span) = span.filter(|span| *span <= margin) {
            sources.contradiction(format!(
                "the safety margin ({}) must be shorter than the {name} ({}), or no time is \
                     left for the pods",
                written(margin),
                written(span)
            ));
        }
    }
}

/// The shortest time that a drain may have is what must be left after hold and margin.
fn held_too_long(
    sources: &mut Sources<'_>,
    notices: &Notices,
    marking: &Marking,
    margin: Duration,
) {
    let hold = marking.load_balancer_hold;
    let shortest = notices.window.min(INTERRUPTION);
    let some_was_left = margin < shortest;
    if marking.marks.exclude_from_load_balancers && some_was_left && hold + margin >= shortest {
        sources.contradiction(format!(
            "LOAD_BALANCER_HOLD ({}) and the safety margin ({}) leave no time for the pods in \
                 the {} that a drain may have",
            written(hold),
            written(margin),
            written(shortest)
        ));
    }
}

/// What EC2 gives before a spot interruption.
const INTERRUPTION: Duration = Duration::from_mins(2);

fn long_interval(sources: &mut Sources<'_>, interval: Duration) {
    if interval > LONG_INTERVAL {
        sources.remark(format!(
            "With {} between polls, up to so much of the two minutes after a notice is lost; EC2 \
             advises 5 seconds.",
            written(interval)
        ));
    }
}

/// Twice what the EC2 user guide advises.
const LONG_INTERVAL: Duration = Duration::from_secs(10);

fn ended_by_taint(sources: &mut Sources<'_>, marking: &Marking) {
    if marking.marks.taint == Some(TaintEffect::NoExecute) {
        sources.remark(
            "TAINT_EFFECT is NoExecute: Kubernetes itself ends every pod that does not tolerate the \
             taint, at once and past its budget.",
        );
    }
}

/// Settings that were given in vain. One that asks for what is so anyway does no harm: manifests of
/// other handlers have many of them.
fn without_effect(sources: &mut Sources<'_>, notices: &Notices, marking: &Marking) {
    let Notices { watched, policy, .. } = notices;
    let drains = matches!(policy.rebalance, Rebalance::Drain { .. });
    let excludes = marking.marks.exclude_from_load_balancers;
    let in_vain: [(&Row, &[(bool, &str)]); 8] = [
        (&table::TAINT_EFFECT.row, &[(marking.marks.taint.is_none(), "TAINT_NODE is false")]),
        (
            &table::LOAD_BALANCER_HOLD.row,
            &[
                (!excludes, "EXCLUDE_FROM_LOAD_BALANCERS is false"),
                (policy.marks_only, EVICTS_NOBODY),
            ],
        ),
        (
            &table::REBALANCE_MARK.row,
            &[
                (!watched.rebalance, NO_REBALANCE),
                (drains && !policy.marks_only, "ENABLE_REBALANCE_DRAINING is true, and cordons"),
            ],
        ),
        (&table::REBALANCE_MARK_DURATION.row, &[(!watched.rebalance, NO_REBALANCE)]),
        (
            &table::REBALANCE_PATIENCE.row,
            &[(!drains, "ENABLE_REBALANCE_DRAINING is false"), (policy.marks_only, EVICTS_NOBODY)],
        ),
        (
            &table::ENABLE_REBALANCE_DRAINING.row,
            &[(
                drains && policy.marks_only,
                "CORDON_ONLY is true, so a rebalance recommendation only marks the node",
            )],
        ),
        (
            &table::MAINTENANCE_LEAD_TIMES.row,
            &[(!watched.maintenance, "ENABLE_SCHEDULED_EVENT_DRAINING is false")],
        ),
        (
            &table::ASG_LIFECYCLE_WINDOW.row,
            &[(!watched.lifecycle, "ENABLE_ASG_LIFECYCLE_DRAINING is false")],
        ),
    ];
    for (row, reasons) in in_vain {
        let reason = reasons.iter().find(|(so, _)| *so);
        if let Some((_, reason)) = reason.filter(|_| sources.is_changed(row)) {
            sources.remark(format!("{} has no effect: {reason}.", row.variable));
        }
    }
}

const NO_REBALANCE: &str = "ENABLE_REBALANCE_MONITORING and ENABLE_REBALANCE_DRAINING are false";
const EVICTS_NOBODY: &str = "CORDON_ONLY is true, so nobody is evicted";
