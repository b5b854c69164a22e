//! What was noticed will not happen.

use crate::drain::DrainOptions;
use crate::drain::ask::{Answer, Budget};
use crate::drain::machine::{Drain, Presence, Step};
use crate::drain::pod::Tier;
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{Cluster, Wrong, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::verdict::End;
use crate::moment::Moment;

#[test]
fn each_pod_has_a_row_that_says_how_far_it_had_come() {
    let cluster = Cluster::with([
        pod("blocked").covered(),
        pod("dns").tier(Tier::ClusterCritical),
        pod("lost"),
        pod("others").slow().deleted(0, 60),
        pod("slow").slow(),
        pod("web"),
        pod("logs").of_daemon_set(),
    ]);
    let cluster = cluster.budget("web", 0, None);
    let cluster = cluster.fault(0..=9, Wrong::CutOff { carried_out: false }).only(Some(2), None);
    let run = run(&cluster.but(|it| it.called_off = Some(secs(5))));
    are(
        &run.outcomes(),
        &[
            "blocked called off",
            "dns called off",
            "logs left alone, DaemonSet logs",
            "lost told to end, was asked, and no answer had come",
            "others told to end, was ending already, has not ended",
            "slow told to end, evicted, has not ended",
            "web evicted",
        ],
    );
    assert_eq!((run.ended, run.verdict.end), (at(secs(5)), Some(End::CalledOff)));
    assert!(run.verdict.is_clean());
    assert!(
        run.verdict
            .to_string()
            .ends_with("1 left alone, 2 called off, 1 evicted, 3 told to end in 5.0 s")
    );
}

#[test]
fn a_request_under_way_may_have_told_its_pod_to_end() {
    let run = run(&Cluster::with([pod("a")]).but(|it| it.called_off = Some(ms(20))));
    are(&run.requests(), &["0.0 a evict 30"]);
    are(&run.outcomes(), &["a told to end, was asked, and no answer had come"]);
}

/// A drain of two pods, both asked, of which one was refused.
fn half_way() -> Drain {
    let cluster = Cluster::with([pod("a"), pod("b")]);
    let options: DrainOptions = cluster.options;
    let mut drain = Drain::begin(Moment::START, options);
    drain.node_is(Presence::Present);
    drain.release(Moment::START);
    drain.set_begins();
    for life in cluster.pods {
        drain.pod_seen(Moment::START, life.pod);
    }
    drain.set_complete(Moment::START);
    assert!(matches!(drain.next(Moment::START, 2), Step::Tell(DrainProgress::Listed { .. })));
    assert!(matches!(drain.next(Moment::START, 2), Step::Ask(_)));
    assert!(matches!(drain.next(Moment::START, 1), Step::Ask(_)));
    drain.answered(at(secs(1)), "a", refused());
    drain
}

fn refused() -> Answer {
    Answer::Blocked(Budget { namespace: "shop".to_owned(), name: "web".to_owned() })
}

#[test]
fn what_was_still_to_be_reported_is_not_lost() {
    let mut drain = half_way();
    let verdict = drain.call_off(at(secs(2)));
    assert_eq!((verdict.end, verdict.took), (Some(End::CalledOff), secs(2)));
    let told: Vec<DrainProgress> = drain.take_progress().collect();
    assert!(matches!(told[..], [DrainProgress::Blocked { .. }]), "{told:?}");
}

#[test]
fn a_drain_that_had_nobody_to_drain_yet_is_clean_when_it_is_called_off() {
    let cluster = Cluster::with([]).but(|it| it.watch.opens = secs(10));
    let run = run(&cluster.but(|it| it.called_off = Some(secs(5))));
    assert!(run.verdict.is_clean() && !run.verdict.listed);
}

#[test]
fn a_dry_run_can_be_called_off() {
    let cluster = Cluster::with([pod("a"), pod("dns").tier(Tier::ClusterCritical).late(4)]);
    let cluster = cluster.but(|it| (it.options.dry, it.called_off) = (true, Some(ms(20))));
    are(&run(&cluster).outcomes(), &["a called off"]);
}
