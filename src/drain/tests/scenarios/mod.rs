//! Named scenarios. Each says what there is, and what is asked and what becomes of it.
//!
//! Unless a scenario says otherwise, the instance goes at 120 s with a margin of 2 s, every answer
//! takes 0.1 s, and a pod has a grace of 30 s, of which it needs one. So its own time is up at 88 s.

mod at_once;
mod budgets;
mod called_off;
mod crowded;
mod end;
mod faults;
mod grace;
mod hold;
mod returning;
mod takeover;
mod timeout;
mod unevictable;
mod watch;
mod who;

use crate::drain::tests::cluster::{Cluster, pod};

/// Compares line by line.
#[track_caller]
pub(super) fn are(lines: &[String], expected: &[&str]) {
    assert_eq!(lines, expected, "\nwas:\n  {}", lines.join("\n  "));
}

/// One of each kind that kubectl's rules know.
fn special_pods() -> Cluster {
    let own = pod("handler").of_daemon_set().but(|it| {
        let mut reference = (*it.reference).clone();
        reference.namespace = "kube-system".to_owned();
        it.reference = reference.into();
    });
    Cluster::with([
        own,
        pod("static").but(|it| (it.mirror, it.controller) = (true, None)),
        pod("logs").of_daemon_set(),
        pod("done-logs").of_daemon_set().but(|it| it.finished = true),
        pod("bare").but(|it| it.controller = None),
        pod("cache").but(|it| it.empty_dir = true),
    ])
}
