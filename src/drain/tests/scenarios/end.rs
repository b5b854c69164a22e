//! The end of a drain; dry runs.

use crate::drain::BudgetOverride;
use crate::drain::pod::Tier;
use crate::drain::tests::cluster::{Cluster, Wrong, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::{are, special_pods};
use crate::drain::tests::trace::Run;

#[test]
fn the_verdict_at_the_deadline_names_each_reason() {
    let cluster = Cluster::with([
        pod("blocked").covered(),
        pod("deaf").slow().deleted(0, 300),
        pod("failing"),
        pod("slow").slow().late(19),
        pod("stuck").but(|it| it.finalizer = Some("example.org/wait".to_owned())),
    ]);
    let cluster = cluster.budget("web", 0, None).deadline(20);
    let cluster = cluster.fault(0..=20, Wrong::Busy(None)).only(Some(1), None);
    let cluster = cluster.fault(0..=20, Wrong::Unauthorized).only(Some(2), None);
    let run = run(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never));
    are(
        &run.outcomes(),
        &[
            "blocked still there, refused by disruption budget shop/web",
            "deaf still there, was ending already, has not ended",
            "failing still there, the API server does not accept the token (401)",
            "slow still there, evicted, has not ended",
            "stuck still there, evicted, has not ended: held by finalizer example.org/wait",
        ],
    );
    assert_eq!(run.emptied(), []);
}

#[test]
fn at_its_stop_this_process_hands_over_what_is_open() {
    let cluster = Cluster::with([
        pod("web"),
        pod("blocked").covered(),
        pod("slow").slow(),
        pod("dns").tier(Tier::ClusterCritical),
    ]);
    let run = run(&cluster.budget("web", 0, None).but(|it| it.stopped = Some((secs(5), secs(15)))));
    assert_eq!(run.ended, at(secs(15)));
    are(
        &run.outcomes(),
        &[
            "blocked handed over, refused by disruption budget shop/web",
            "dns handed over, was not asked: its turn had not come",
            "slow handed over, evicted, has not ended",
            "web evicted",
        ],
    );
    assert!(run.asked().all(|(when, _)| when < at(secs(15))));
}

#[test]
fn a_stop_neither_moves_the_deadline_nor_shortens_a_grace() {
    let late = Cluster::with([pod("a").late(50)]).but(|it| it.stopped = Some((secs(5), secs(200))));
    assert_eq!(run(&late).ended, at(secs(120)));
    let early = Cluster::with([pod("a").late(50)]).but(|it| it.stopped = Some((secs(5), secs(60))));
    are(&run(&early).requests(), &["50.0 a evict 30"]);
}

fn run_dry(cluster: Cluster) -> Run {
    run(&cluster.but(|it| it.options.dry = true))
}

#[test]
fn a_dry_run_asks_and_does_nothing() {
    let cluster = Cluster::with([
        pod("a"),
        pod("b").covered(),
        pod("c").slow().deleted(0, 600),
        pod("dns").tier(Tier::ClusterCritical),
    ]);
    let run = run_dry(cluster.budget("web", 0, None));
    are(&run.requests(), &["0.0 a evict 30 dry", "0.0 b evict 30 dry", "88.0 dns evict 30 dry"]);
    are(
        &run.outcomes(),
        &[
            "a would be evicted",
            "b would be refused, by disruption budget shop/web",
            "c still there, was ending already, has not ended",
            "dns would be evicted",
        ],
    );
}

#[test]
fn a_pod_that_ends_during_a_dry_run_is_gone_whatever_is_answered() {
    let cluster = Cluster::with([pod("a").deleted(0, 1)]);
    let run = run_dry(cluster.but(|it| {
        it.latency = 1200..=1200;
        it.watch.delay = ms(500);
        it.pods[0].deleted_by_others = Some((ms(1500), 1));
        it.pods[0].takes = ms(1);
    }));
    are(&run.outcomes(), &["a ended by others"]);
    let cluster = Cluster::with([pod("a").deleted(1, 1)]);
    let lost = Wrong::Silent { carried_out: true };
    let run = run_dry(cluster.fault(0..=120, lost));
    are(&run.outcomes(), &["a ended by others"]);
}

#[test]
fn nothing_is_left_alone_without_a_word() {
    let run = run(&special_pods());
    let said: Vec<String> =
        run.said().into_iter().filter(|line| line.contains("left alone")).collect();
    are(
        &said,
        &[
            "0.0 kube-system/handler: left alone (this handler's own pod)",
            "0.0 shop/static: left alone (static pod of the kubelet)",
            "0.0 shop/logs: left alone (DaemonSet logs)",
        ],
    );
}

#[test]
fn the_table_reads_like_this() {
    let cluster = Cluster::with([
        pod("web-7d4b9-x2x5p"),
        pod("web-7d4b9-zzzzz").covered(),
        pod("logs").of_daemon_set(),
        pod("batch").slow().deleted(0, 600),
        pod("old").deleted(0, 5),
        pod("stuck").but(|it| it.finalizer = Some("example.org/wait".to_owned())),
        pod("critical").tier(Tier::ClusterCritical),
    ]);
    let run = run(&cluster.budget("web", 0, None));
    let text = "\
POD                   OUTCOME           SECONDS  NOTE
shop/logs             left alone              -  DaemonSet logs
shop/critical         evicted              89.0
shop/web-7d4b9-x2x5p  evicted               1.1
shop/old              ending already        1.0  told to end before this drain saw it
shop/batch            shortened            30.1  was already ending, with more time than was left
shop/web-7d4b9-zzzzz  deleted              89.0  against disruption budget shop/web
shop/stuck            still there             -  evicted, has not ended: held by finalizer example.org/wait
1 left alone, 2 evicted, 1 ending already, 1 shortened, 1 deleted, 1 still there in 120.0 s";
    assert_eq!(run.verdict.to_string(), text);
}
