//! What the operator switches on and off: which paths are asked at all, and marks without a drain.

use std::time::{Duration, SystemTime};

use serde_json::json;
use simulator::{Class, Endpoint, Metadata};

use crate::restart::known;
use crate::stage::{FAR, Stage, at_once, has_only_read_the_node, quick_pods, time_in};

const PATHS: [Endpoint; 6] = [
    Endpoint::InstanceAction,
    Endpoint::TerminationTime,
    Endpoint::Scheduled,
    Endpoint::History,
    Endpoint::Rebalance,
    Endpoint::LifecycleState,
];

/// Everything that can be said is said.
fn announce_everything(stage: &Stage) {
    stage.cloud.announce_in(FAR);
    let soon = SystemTime::now() + Duration::from_mins(5);
    stage.cloud.schedule(&[Metadata::event("instance-stop", "instance-event-1", soon)]);
    stage.cloud.recommend_rebalance(&time_in(Duration::ZERO));
    stage.cloud.target_lifecycle_state("Terminated");
}

#[test]
fn what_is_switched_off_is_not_asked_for() {
    use Endpoint::{
        History, InstanceAction, LifecycleState, Rebalance, Scheduled, TerminationTime,
    };
    at_once(
        &[
            ("as it comes", (&[][..], &[InstanceAction, TerminationTime, Scheduled, History][..])),
            (
                "no interruptions",
                (&[("ENABLE_SPOT_INTERRUPTION_DRAINING", "false")], &[Scheduled, History]),
            ),
            (
                "no maintenance",
                (
                    &[("ENABLE_SCHEDULED_EVENT_DRAINING", "false")],
                    &[InstanceAction, TerminationTime],
                ),
            ),
            (
                "everything",
                (
                    &[
                        ("ENABLE_REBALANCE_MONITORING", "true"),
                        ("ENABLE_ASG_LIFECYCLE_DRAINING", "true"),
                    ],
                    &PATHS,
                ),
            ),
            (
                "rebalance, to drain",
                (
                    &[
                        ("ENABLE_SPOT_INTERRUPTION_DRAINING", "false"),
                        ("ENABLE_SCHEDULED_EVENT_DRAINING", "false"),
                        ("ENABLE_REBALANCE_DRAINING", "true"),
                    ],
                    &[Rebalance],
                ),
            ),
            (
                "lifecycle",
                (
                    &[
                        ("ENABLE_SPOT_INTERRUPTION_DRAINING", "false"),
                        ("ENABLE_SCHEDULED_EVENT_DRAINING", "false"),
                        ("ENABLE_ASG_LIFECYCLE_DRAINING", "true"),
                    ],
                    &[LifecycleState],
                ),
            ),
        ],
        |(switches, expected)| {
            let stage = Stage::with([]);
            announce_everything(&stage);
            let launch = switches
                .iter()
                .fold(stage.handler(), |launch, (name, value)| launch.with(name, value));
            let handler = launch.start();
            // Each path once, and once more: whatever is to be asked was asked by then.
            for path in *expected {
                stage.polled(*path, 2);
            }
            for path in PATHS {
                let count = stage.cloud.journal().count(path);
                assert_eq!(count > 0, expected.contains(&path), "{path:?}: {count}");
            }
            let polling = |path: &str| handler.said(&format!("/latest/meta-data/{path} every "));
            let said = [
                ("spot/instance-action", InstanceAction),
                ("spot/termination-time", TerminationTime),
                ("events/maintenance/scheduled", Scheduled),
                ("events/recommendations/rebalance", Rebalance),
                ("autoscaling/target-lifecycle-state", LifecycleState),
            ];
            for (name, path) in said {
                assert_eq!(polling(name), usize::from(expected.contains(&path)), "{name}");
            }
        },
    );
}

#[test]
fn with_everything_off_it_does_not_start() {
    let stage = Stage::with([]);
    let launch = stage.handler().with("ENABLE_SPOT_INTERRUPTION_DRAINING", "false");
    let mut handler = launch.with("ENABLE_SCHEDULED_EVENT_DRAINING", "false").start();
    assert_eq!(handler.ended().code(), Some(64));
    assert!(stage.cloud.journal().is_empty() && stage.cluster.journal().is_empty());
}

#[test]
fn marks_only_is_marks_only_whatever_the_notice() {
    type Announce = fn(&Stage);
    // With the notice, whether its marks end by themselves.
    let kinds: [(&str, (Announce, &str, bool)); 4] = [
        (
            "interruption",
            (
                |stage| stage.cloud.announce("terminate", &time_in(FAR)),
                "spot-interruption/terminate",
                false,
            ),
        ),
        (
            "maintenance",
            (
                |stage| {
                    let soon = SystemTime::now() + Duration::from_mins(5);
                    stage.cloud.schedule(&[Metadata::event("instance-stop", "e-1", soon)]);
                },
                "scheduled-maintenance/instance-stop/e-1",
                false,
            ),
        ),
        (
            "rebalance",
            (
                |stage| stage.cloud.recommend_rebalance(&time_in(Duration::ZERO)),
                "rebalance-recommendation",
                true,
            ),
        ),
        (
            "lifecycle",
            (
                |stage| stage.cloud.target_lifecycle_state("Terminated"),
                "asg-lifecycle/terminate",
                false,
            ),
        ),
    ];
    at_once(&kinds, |(announce, notice, ends)| {
        let stage = Stage::with(quick_pods(2));
        announce(&stage);
        let launch = [
            ("CORDON_ONLY", "true"),
            ("TAINT_NODE", "true"),
            ("ENABLE_REBALANCE_DRAINING", "true"),
            ("ENABLE_ASG_LIFECYCLE_DRAINING", "true"),
        ]
        .iter()
        .fold(stage.handler(), |launch, (name, value)| launch.with(name, value));
        let handler = launch.start();
        let line = handler.says("it asks for marks on the node only");
        assert!(line.contains("The notice: "), "{line}");
        handler.says("will be cordoned once a notice is made, and its pods left alone");
        assert_eq!(handler.said("drained once"), 0);
        handler.says("the node is cordoned");
        handler.says("the node is tainted: aws-node-termination-handler/");
        let note = stage.note().unwrap();
        assert_eq!(note["notice"], *notice, "{note}");
        stage.polled_more(Endpoint::InstanceAction, 3);
        let kinds: Vec<_> = stage.cluster.journal().entries().iter().map(|it| it.kind).collect();
        let reads = kinds.iter().filter(|kind| **kind == Class::NodeGet).count();
        let patches = kinds.iter().filter(|kind| **kind == Class::NodePatch).count();
        assert_eq!((patches, reads + patches), (1, kinds.len()), "{kinds:?}");
        let mut open = known(notice, "open");
        for time in ["marksUntil", "noticeTime"] {
            open[time] = note["notices"][0][time].clone();
            assert_eq!(open[time].is_string(), *ends, "{note}");
        }
        let notices = if *ends { json!([open]) } else { json!([]) };
        assert_eq!((stage.cluster.pods().len(), &note["notices"]), (2, &notices), "{note}");
    });
}

#[test]
fn a_notice_of_a_kind_that_is_off_changes_nothing() {
    let stage = Stage::with(quick_pods(2));
    announce_everything(&stage);
    let launch = stage.handler().with("ENABLE_SPOT_INTERRUPTION_DRAINING", "false");
    // What is planned is not due yet.
    let handler = launch.with("MAINTENANCE_LEAD_TIMES", "instance-stop=10s").start();
    handler.says("this node is dealt with in 2");
    stage.polled(Endpoint::Scheduled, 2);
    has_only_read_the_node(&stage.cluster);
}
