use std::collections::BTreeMap;

use super::*;

const SERVICE: &str = "http://169.254.169.254";
const ALL: Watched =
    Watched { interruption: true, rebalance: true, maintenance: true, lifecycle: true };
const NONE: Watched =
    Watched { interruption: false, rebalance: false, maintenance: false, lifecycle: false };

use NoticePath::{InstanceAction, Lifecycle, Maintenance, Rebalance, TerminationTime};

fn source(watched: Watched, notice_url: Option<&str>, seconds: u64) -> Source {
    Source {
        metadata_url: MetadataUrl::parse(SERVICE).unwrap(),
        notice_url: notice_url.map(|url| NoticeUrl::parse(url).unwrap()),
        interval: Duration::from_secs(seconds),
        calm_interval: Duration::from_secs(5),
        v1_fallback: true,
        watched,
        window: Duration::from_mins(2),
        lifecycle_window: Duration::from_hours(1),
    }
}

/// `path every so many seconds`, the common beginning left out.
fn addresses(source: &Source) -> Vec<String> {
    let addresses = source.addresses().into_iter();
    let below = format!("{SERVICE}/latest/meta-data/");
    addresses
        .map(|(url, interval)| format!("{} {}", url.replace(&below, ""), interval.as_secs()))
        .collect()
}

#[test]
fn what_is_watched_is_polled_each_at_its_interval() {
    let all = source(ALL, None, 1);
    assert_eq!(all.paths(), [InstanceAction, TerminationTime, Maintenance, Rebalance, Lifecycle]);
    assert_eq!(
        addresses(&all),
        [
            "spot/instance-action 1",
            "spot/termination-time 5",
            "events/maintenance/scheduled 5",
            "events/recommendations/rebalance 5",
            "autoscaling/target-lifecycle-state 5",
        ]
    );
    for (watched, paths) in [
        (NONE, &[][..]),
        (Watched { interruption: true, ..NONE }, &[InstanceAction, TerminationTime]),
        (Watched { maintenance: true, ..NONE }, &[Maintenance]),
        (Watched { rebalance: true, ..NONE }, &[Rebalance]),
        (Watched { lifecycle: true, ..NONE }, &[Lifecycle]),
    ] {
        assert_eq!(source(watched, None, 1).paths(), paths);
    }
}

#[test]
fn the_operators_address_is_polled_as_often_as_an_interruption() {
    assert_eq!(
        addresses(&source(ALL, Some("http://notices.example/a?b"), 2)),
        [
            "spot/instance-action 2",
            "http://notices.example/a?… 2",
            "spot/termination-time 5",
            "events/maintenance/scheduled 5",
            "events/recommendations/rebalance 5",
            "autoscaling/target-lifecycle-state 5",
        ]
    );
}

#[test]
fn a_notice_url_for_the_termination_time_takes_its_place() {
    for server in [SERVICE, "http://mock.default:1338"] {
        let url = format!("{server}/latest/meta-data/spot/termination-time");
        let both = source(Watched { interruption: true, ..NONE }, Some(&url), 1);
        assert_eq!(both.paths(), [InstanceAction, TerminationTime]);
        let seconds = both.addresses().into_iter().map(|(url, every)| (url, every.as_secs()));
        let action = format!("{SERVICE}/latest/meta-data/spot/instance-action");
        assert_eq!(seconds.collect::<Vec<_>>(), [(action, 1), (url.clone(), 1)]);
        assert_eq!(source(NONE, Some(&url), 1).paths(), [TerminationTime]);
    }
    let other = source(NONE, Some("http://mock/spot/termination-time/x"), 1);
    assert_eq!(other.paths(), [NoticePath::NoticeUrl]);
}

#[test]
fn only_paths_whose_seconds_count_have_a_thread_of_their_own() {
    let threads = |source: &Source| -> BTreeMap<&str, Vec<NoticePath>> {
        let pollers = source.pollers().into_iter();
        pollers
            .map(|poller| (poller.name, poller.paths.iter().map(|polled| polled.path).collect()))
            .collect()
    };
    let all = threads(&source(ALL, Some("http://notices.example/"), 1));
    assert_eq!(
        all,
        [
            ("instance-action", vec![InstanceAction]),
            ("metadata", vec![TerminationTime, Maintenance, Rebalance, Lifecycle]),
            ("notice-url", vec![NoticePath::NoticeUrl]),
        ]
        .into()
    );
    let old = threads(&source(NONE, Some("http://mock/spot/termination-time"), 1));
    assert_eq!(old, [("notice-url", vec![TerminationTime])].into());
}
