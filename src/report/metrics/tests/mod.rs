mod checker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::drain::ask::{Budget, Grace, PodRef};
use crate::drain::pod::Exempt;
use crate::drain::verdict::{Certainty, End, Obstacle, Outcome, Reason, Row};
use crate::notice::{Action, Code, Event};
use crate::report::metrics::tests::checker::Page;

const POLLED: [NoticePath; 2] = [NoticePath::InstanceAction, NoticePath::Maintenance];

fn metrics() -> Metrics {
    Metrics::new("1.2.3", &POLLED)
}

/// What is written, which is the same in both formats.
fn page(metrics: &Metrics) -> Page {
    let page = checker::openmetrics(&metrics.encode(Format::OpenMetrics));
    let classic = checker::classic(&metrics.encode(Format::Classic));
    // As text: NaN is not even itself.
    assert_eq!(format!("{:?}", page.series), format!("{:?}", classic.series));
    page
}

fn value(metrics: &Metrics, series: &str) -> f64 {
    page(metrics).value(&format!("k8s_spot_handler_{series}"))
}

#[track_caller]
fn assert_values(metrics: &Metrics, expected: &[(&str, f64)]) {
    for &(series, expected) in expected {
        let found = value(metrics, series);
        assert!((found - expected).abs() < 1e-3, "{series} is {found}, not {expected}");
    }
}

fn at(text: &str) -> WallTime {
    WallTime::parse(text).unwrap()
}

fn grace() -> Grace {
    Grace::new(30).unwrap()
}

fn budget() -> Arc<Budget> {
    Arc::new(Budget { namespace: "shop".to_owned(), name: "web".to_owned() })
}

fn evicted() -> Outcome {
    Outcome::Evicted(Certainty::Confirmed)
}

fn still_there() -> Outcome {
    Outcome::StillThere(Reason::NotAsked)
}

/// One of each, with its word in the table.
fn outcomes() -> Vec<Outcome> {
    vec![
        evicted(),
        Outcome::Deleted(Obstacle::Budget(budget()), Certainty::AnswerLost),
        Outcome::Shortened,
        Outcome::EndingAlready,
        Outcome::EndedByOthers,
        still_there(),
        Outcome::HandedOver(Reason::Unanswered),
        Outcome::CalledOff,
        Outcome::ToldToEnd(Reason::Unanswered),
        Outcome::LeftAlone(Exempt::Mirror),
        Outcome::WouldEvict,
        Outcome::WouldBlock(budget()),
    ]
}

fn verdict(outcomes: impl IntoIterator<Item = Outcome>, end: Option<End>) -> Verdict {
    let row = |(number, outcome)| Row {
        pod: Arc::new(PodRef {
            namespace: "shop".to_owned(),
            name: format!("web-{number}"),
            uid: format!("uid-{number}"),
        }),
        outcome,
        gone_after: None,
    };
    let rows = outcomes.into_iter().enumerate().map(row).collect();
    Verdict {
        rows,
        listed: true,
        unread: 0,
        took: Duration::from_secs(42),
        end,
        node_shutdown: Duration::ZERO,
    }
}

/// As much as can happen has happened.
fn busy() -> Metrics {
    let metrics = metrics();
    for path in POLLED {
        for status in [None, Some(200), Some(404)] {
            metrics.polled(path, status, true, at("2026-11-25T12:00:00.25Z"));
        }
    }
    for verb in Verb::ALL {
        metrics.api_answered(verb, Some(201));
    }
    metrics.notice(&NoticeId::Rebalance);
    metrics.drain_began(Some(at("2026-11-25T12:02:00Z")));
    metrics.drain_pods_left(Some(7));
    metrics.verdict(Occasion::Empty, &verdict(outcomes(), None), false);
    metrics.webhook(MessageOutcome::Retried, 1);
    metrics.kubernetes_event(EventOutcome::Failed, 1);
    metrics.log_message_lost();
    metrics
}

#[test]
fn both_formats_are_as_their_specifications_want_them_before_and_after_anything_has_happened() {
    for metrics in [metrics(), busy()] {
        let page = page(&metrics);
        for (name, family) in &page.families {
            assert!(name.starts_with("k8s_spot_handler_"), "{name}");
            assert_eq!(family.unit.is_some(), name.ends_with("_seconds"), "{name}");
        }
        assert!(page.series.keys().all(|series| !series.contains("shop")), "{page:#?}");
    }
}

/// The lines of this metric, in the order of the page.
fn lines(metrics: &Metrics, format: Format, name: &str) -> Vec<String> {
    let page = metrics.encode(format);
    let lines = page.lines().filter(|line| line.contains(name));
    lines.map(|line| line.replace("k8s_spot_handler_", "")).collect()
}

#[test]
fn the_classic_format_names_counters_as_their_samples_and_leaves_out_what_it_does_not_know() {
    let metrics = busy();
    let help = "Messages that the log had no room for, because nobody read it fast enough.";
    let written = |name: &str| {
        let (help, kind) = (format!("# HELP {name} {help}"), format!("# TYPE {name} counter"));
        vec![help, kind, "log_messages_lost_total 1".to_owned()]
    };
    let name = "log_messages_lost";
    assert_eq!(lines(&metrics, Format::OpenMetrics, name), written(name));
    assert_eq!(lines(&metrics, Format::Classic, name), written("log_messages_lost_total"));

    let name = "drain_duration_seconds";
    let openmetrics = [
        "# HELP drain_duration_seconds How long complete and incomplete drains took, from their \
         beginning to their table.",
        "# TYPE drain_duration_seconds histogram",
        "# UNIT drain_duration_seconds seconds",
        "drain_duration_seconds_sum 42.0",
        "drain_duration_seconds_count 1",
        "drain_duration_seconds_bucket{le=\"1.0\"} 0",
        "drain_duration_seconds_bucket{le=\"2.5\"} 0",
    ];
    let mut written = lines(&metrics, Format::OpenMetrics, name);
    assert_eq!(written[..7], openmetrics);
    assert_eq!(
        written[17..],
        [
            "drain_duration_seconds_bucket{le=\"3600.0\"} 1",
            "drain_duration_seconds_bucket{le=\"+Inf\"} 1",
        ]
    );
    written.remove(2);
    assert_eq!(lines(&metrics, Format::Classic, name), written);
    assert!(metrics.encode(Format::OpenMetrics).ends_with("\n# EOF\n"));
    assert!(!metrics.encode(Format::Classic).contains("# EOF"));
}

#[test]
fn every_name_is_there_from_the_start() {
    let names: Vec<String> = Metrics::names().into_iter().collect();
    let expected = [
        "api_requests_total",
        "build_info",
        "drain_deadline_timestamp_seconds",
        "drain_duration_seconds_bucket",
        "drain_duration_seconds_count",
        "drain_duration_seconds_sum",
        "drain_in_progress",
        "drain_pods_left",
        "drains_total",
        "kubernetes_events_total",
        "last_good_poll_timestamp_seconds",
        "log_messages_lost_total",
        "metadata_requests_total",
        "notices_total",
        "pods_total",
        "report_faults",
        "retries_total",
        "webhook_deliveries_total",
    ];
    assert_eq!(names, expected.map(|name| format!("k8s_spot_handler_{name}")));
}

#[test]
fn what_an_alert_may_look_at_is_there_with_0_from_the_start() {
    let page = page(&metrics());
    let series: Vec<(&str, &str, &[&str])> = vec![
        (
            "notices_total",
            "kind",
            &[
                "spot_interruption",
                "rebalance_recommendation",
                "scheduled_maintenance",
                "asg_lifecycle",
            ],
        ),
        (
            "drains_total",
            "outcome",
            &["complete", "incomplete", "called_off", "handed_over", "dry_run"],
        ),
        (
            "retries_total",
            "reason",
            &["budget", "busy", "unauthorized", "forbidden", "namespace_terminating", "broken"],
        ),
        ("pods_total", "outcome", &["evicted", "deleted", "still_there", "would_be_refused"]),
        ("webhook_deliveries_total", "outcome", &["delivered", "refused", "retried", "lost"]),
        ("kubernetes_events_total", "outcome", &["written", "failed", "lost"]),
    ];
    for (name, label, words) in series {
        for word in words {
            let series = format!("k8s_spot_handler_{name}{{{label}=\"{word}\"}}");
            assert_eq!(page.series.get(&series), Some(&0.0), "{series}");
        }
    }
    for series in [
        "log_messages_lost_total",
        "drain_in_progress",
        "drain_deadline_timestamp_seconds",
        "drain_pods_left",
        "last_good_poll_timestamp_seconds",
        "drain_duration_seconds_count",
        "api_requests_total{verb=\"evict\",code=\"none\"}",
        "metadata_requests_total{path=\"spot/instance-action\",code=\"none\"}",
    ] {
        assert_eq!(page.series.get(&format!("k8s_spot_handler_{series}")), Some(&0.0), "{series}");
    }
    let build_info = "k8s_spot_handler_build_info{version=\"1.2.3\"}";
    assert_eq!(page.series.get(build_info), Some(&1.0));
    assert_eq!(page.series.keys().filter(|series| series.contains("rebalance/")).count(), 0);
}

#[test]
fn a_status_that_http_does_not_know_is_none() {
    let metrics = metrics();
    for status in [None, Some(0), Some(99), Some(600), Some(u16::MAX)] {
        metrics.polled(NoticePath::InstanceAction, status, false, at("2026-11-25T12:00:00Z"));
        metrics.api_answered(Verb::Watch, status);
    }
    for status in [100, 599] {
        metrics.api_answered(Verb::Watch, Some(status));
    }
    assert_values(
        &metrics,
        &[
            ("metadata_requests_total{path=\"spot/instance-action\",code=\"none\"}", 5.0),
            ("api_requests_total{verb=\"watch\",code=\"none\"}", 5.0),
            ("api_requests_total{verb=\"watch\",code=\"100\"}", 1.0),
            ("api_requests_total{verb=\"watch\",code=\"599\"}", 1.0),
        ],
    );
}

#[test]
fn the_last_good_poll_is_that_of_the_path_that_has_waited_longest_for_one() {
    let metrics = metrics();
    let series = "last_good_poll_timestamp_seconds";
    let noon = at("2026-11-25T12:00:00.5Z");
    metrics.polled(NoticePath::InstanceAction, Some(404), true, noon);
    assert_values(&metrics, &[(series, 0.0)]);
    metrics.polled(NoticePath::Maintenance, Some(200), true, noon + Duration::from_secs(1));
    assert_values(&metrics, &[(series, 1_795_608_000.5)]);
    metrics.polled(NoticePath::InstanceAction, Some(404), true, noon + Duration::from_secs(9));
    assert_values(&metrics, &[(series, 1_795_608_001.5)]);
    metrics.polled(NoticePath::Maintenance, Some(500), false, noon + Duration::from_secs(20));
    // A path that is not among those that are polled.
    metrics.polled(NoticePath::Lifecycle, Some(404), true, noon);
    assert_values(&metrics, &[(series, 1_795_608_001.5)]);
}

#[test]
fn a_notice_is_counted_by_its_kind() {
    let metrics = metrics();
    let event = Event { code: Code::SystemReboot, id: Arc::from("instance-event-1"), nth: 0 };
    for id in [
        NoticeId::Interruption(Action::Stop),
        NoticeId::Interruption(Action::Terminate),
        NoticeId::Rebalance,
        NoticeId::Maintenance(event),
        NoticeId::Lifecycle(Action::Terminate),
    ] {
        metrics.notice(&id);
    }
    assert_values(
        &metrics,
        &[
            ("notices_total{kind=\"spot_interruption\"}", 2.0),
            ("notices_total{kind=\"rebalance_recommendation\"}", 1.0),
            ("notices_total{kind=\"scheduled_maintenance\"}", 1.0),
            ("notices_total{kind=\"asg_lifecycle\"}", 1.0),
        ],
    );
}

#[test]
fn a_request_that_is_sent_again_is_counted_by_what_stood_in_the_way() {
    let metrics = metrics();
    let evict = Ask::Evict { grace: grace(), dry: false };
    let rehearsal = Ask::Evict { grace: grace(), dry: true };
    let delete = Ask::Delete { grace: grace() };
    let blocked = Answer::Blocked((*budget()).clone());
    let busy = Answer::Busy { retry_after: None, why: String::new() };
    for (ask, answer) in [
        (evict, blocked.clone()),
        (evict, busy.clone()),
        (delete, busy.clone()),
        (rehearsal, busy),
        (delete, Answer::Unauthorized("the token")),
        (delete, Answer::Forbidden(String::new())),
        (evict, Answer::NamespaceTerminating),
        (delete, Answer::Broken(String::new())),
        // These are not.
        (rehearsal, blocked),
        (evict, Answer::Accepted),
        (evict, Answer::Gone),
        (evict, Answer::Replaced),
        (Ask::MarkDisrupted, Answer::Forbidden(String::new())),
        (Ask::MarkDisrupted, Answer::Broken(String::new())),
    ] {
        metrics.pod_answered(ask, &answer);
    }
    assert_values(
        &metrics,
        &[
            ("retries_total{reason=\"budget\"}", 1.0),
            ("retries_total{reason=\"busy\"}", 3.0),
            ("retries_total{reason=\"unauthorized\"}", 1.0),
            ("retries_total{reason=\"forbidden\"}", 1.0),
            ("retries_total{reason=\"namespace_terminating\"}", 1.0),
            ("retries_total{reason=\"broken\"}", 1.0),
        ],
    );
}

#[test]
fn pods_are_counted_in_the_words_of_the_table() {
    let metrics = metrics();
    let outcomes = outcomes();
    assert_eq!(outcomes.len(), POD_OUTCOMES.len());
    metrics.verdict(Occasion::Deadline, &verdict(outcomes.clone(), None), false);
    for outcome in outcomes {
        let word = outcome.name().replace(' ', "_");
        assert_values(&metrics, &[(&format!("pods_total{{outcome=\"{word}\"}}"), 1.0)]);
    }
}

#[test]
fn a_drain_is_counted_by_how_it_ended() {
    let clean = [evicted(), Outcome::LeftAlone(Exempt::Own)];
    let unclean = [evicted(), still_there()];
    for (occasion, outcomes, end, dry, expected) in [
        (Occasion::Empty, &clean, None, false, "complete"),
        (Occasion::Deadline, &clean, Some(End::Deadline), false, "complete"),
        (Occasion::Stopped, &clean, None, false, "complete"),
        (Occasion::Deadline, &unclean, Some(End::Deadline), false, "incomplete"),
        (Occasion::TimedOut, &unclean, Some(End::TimedOut), false, "incomplete"),
        (Occasion::Stopped, &unclean, Some(End::Stopped), false, "handed_over"),
        (Occasion::CalledOff, &unclean, Some(End::CalledOff), false, "called_off"),
        (Occasion::CalledOff, &clean, Some(End::CalledOff), false, "called_off"),
        (Occasion::NoNode, &clean, None, false, "incomplete"),
        (Occasion::NodeUnknown, &clean, Some(End::Deadline), false, "incomplete"),
        (Occasion::Rehearsed, &clean, None, true, "dry_run"),
        (Occasion::Deadline, &unclean, Some(End::Deadline), true, "dry_run"),
    ] {
        let metrics = metrics();
        metrics.drain_began(None);
        metrics.verdict(occasion, &verdict(outcomes.clone(), end), dry);
        for &outcome in DrainOutcome::WORDS {
            let series = format!("drains_total{{outcome=\"{outcome}\"}}");
            let count = f64::from(u8::from(outcome == expected));
            assert!((value(&metrics, &series) - count).abs() < 0.1, "{occasion:?}: {series}");
        }
        let lasted = f64::from(u8::from(["complete", "incomplete"].contains(&expected)));
        assert_values(
            &metrics,
            &[
                ("drain_duration_seconds_count", lasted),
                ("drain_duration_seconds_sum", lasted * 42.0),
                ("drain_duration_seconds_bucket{le=\"30.0\"}", 0.0),
                ("drain_duration_seconds_bucket{le=\"45.0\"}", lasted),
            ],
        );
    }
}

#[test]
fn a_drain_that_gets_a_second_table_and_its_pods_are_counted_once() {
    let metrics = metrics();
    metrics.drain_began(None);
    metrics.verdict(Occasion::Empty, &verdict([evicted(), evicted()], None), false);
    assert_values(&metrics, &[("drain_in_progress", 1.0)]);
    let late = [evicted(), evicted(), evicted(), Outcome::EndedByOthers];
    metrics.verdict(Occasion::Deadline, &verdict(late, Some(End::Deadline)), false);
    let once = [
        ("pods_total{outcome=\"evicted\"}", 3.0),
        ("pods_total{outcome=\"ended_by_others\"}", 1.0),
        ("drains_total{outcome=\"complete\"}", 1.0),
        ("drains_total{outcome=\"incomplete\"}", 0.0),
        ("drain_duration_seconds_count", 1.0),
        ("drain_in_progress", 0.0),
    ];
    assert_values(&metrics, &once);
    // Another drain counts anew.
    metrics.drain_began(None);
    metrics.verdict(Occasion::Empty, &verdict([evicted()], None), false);
    assert_values(
        &metrics,
        &[
            ("pods_total{outcome=\"evicted\"}", 4.0),
            ("drains_total{outcome=\"complete\"}", 2.0),
            ("drain_duration_seconds_count", 2.0),
        ],
    );
}

#[test]
fn a_complete_drain_into_which_a_pod_came_that_stayed_is_also_an_incomplete_one() {
    let metrics = metrics();
    metrics.drain_began(None);
    metrics.verdict(Occasion::Empty, &verdict([evicted()], None), false);
    let late = [evicted(), still_there()];
    metrics.verdict(Occasion::Deadline, &verdict(late, Some(End::Deadline)), false);
    assert_values(
        &metrics,
        &[
            ("drains_total{outcome=\"complete\"}", 1.0),
            ("drains_total{outcome=\"incomplete\"}", 1.0),
            ("drain_duration_seconds_count", 1.0),
            ("pods_total{outcome=\"evicted\"}", 1.0),
            ("pods_total{outcome=\"still_there\"}", 1.0),
        ],
    );
}

#[test]
fn the_drain_under_way_shows_until_it_ends_with_or_without_a_table() {
    let metrics = metrics();
    let none = [
        ("drain_in_progress", 0.0),
        ("drain_deadline_timestamp_seconds", 0.0),
        ("drain_pods_left", 0.0),
    ];
    assert_values(&metrics, &none);
    metrics.drain_began(Some(at("2026-11-25T12:02:00Z")));
    metrics.drain_pods_left(Some(12));
    assert_values(
        &metrics,
        &[
            ("drain_in_progress", 1.0),
            ("drain_deadline_timestamp_seconds", 1_795_608_120.0),
            ("drain_pods_left", 12.0),
        ],
    );
    metrics.drain_deadline(Some(at("2026-11-25T12:01:00Z")));
    assert_values(&metrics, &[("drain_deadline_timestamp_seconds", 1_795_608_060.0)]);
    metrics.drain_ended();
    assert_values(&metrics, &none);
    metrics.drain_began(None);
    metrics.drain_pods_left(Some(12));
    assert_values(&metrics, &[("drain_in_progress", 1.0)]);
    metrics.verdict(Occasion::Deadline, &verdict([still_there()], Some(End::Deadline)), false);
    assert_values(&metrics, &none);
}

#[test]
fn what_is_sent_elsewhere_and_what_is_lost_is_counted() {
    let metrics = metrics();
    for outcome in [
        MessageOutcome::Retried,
        MessageOutcome::Retried,
        MessageOutcome::Delivered,
        MessageOutcome::Lost,
    ] {
        metrics.webhook(outcome, 1);
    }
    for outcome in [EventOutcome::Written, EventOutcome::Failed, EventOutcome::Lost] {
        metrics.kubernetes_event(outcome, 1);
    }
    metrics.log_message_lost();
    assert_values(
        &metrics,
        &[
            ("webhook_deliveries_total{outcome=\"retried\"}", 2.0),
            ("webhook_deliveries_total{outcome=\"delivered\"}", 1.0),
            ("webhook_deliveries_total{outcome=\"refused\"}", 0.0),
            ("webhook_deliveries_total{outcome=\"lost\"}", 1.0),
            ("kubernetes_events_total{outcome=\"written\"}", 1.0),
            ("kubernetes_events_total{outcome=\"failed\"}", 1.0),
            ("kubernetes_events_total{outcome=\"lost\"}", 1.0),
            ("log_messages_lost_total", 1.0),
        ],
    );
}

#[test]
fn threads_that_count_at_once_lose_nothing() {
    let metrics = metrics();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    metrics.api_answered(Verb::Evict, Some(429));
                    metrics.encode(Format::Classic);
                }
            });
        }
    });
    assert_values(&metrics, &[("api_requests_total{verb=\"evict\",code=\"429\"}", 1000.0)]);
}

/// Whatever looks like one of our metrics in `text`, without what a histogram adds to its name.
fn named_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = text.split(|c: char| !is_part(c) && c != ':');
    parts.filter(|part| part.starts_with("k8s_spot_handler_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_speak_of_metrics_that_there_are() {
    let known = Metrics::names();
    for (file, text) in [
        ("rules.yaml", include_str!("../../../../deploy/monitoring/rules.yaml")),
        ("dashboard.json", include_str!("../../../../deploy/monitoring/dashboard.json")),
        ("README.md", include_str!("../../../../deploy/monitoring/README.md")),
    ] {
        let unknown: Vec<_> = named_in(text).difference(&known).cloned().collect();
        assert_eq!(unknown, [""; 0], "in {file}");
    }
}

#[test]
fn the_page_of_reports_explains_every_metric() {
    let page = include_str!("../../../../docs/reports.md");
    let section = page.split("## Metrics").nth(1).unwrap();
    let of_histogram =
        |name: &str| ["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
    for name in Metrics::names() {
        let base = name.trim_start_matches("k8s_spot_handler_");
        let base = if of_histogram(base) { base.rsplit_once('_').unwrap().0 } else { base };
        assert!(section.contains(&format!("| `{base}` |")), "{base}");
    }
}
