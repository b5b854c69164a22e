//! Nothing happens to the instance: there is time, and nobody is hurried.

use crate::drain::pod::Tier;
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{Cluster, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::tests::trace::Did;
use crate::drain::verdict::End;
use crate::moment::Moment;

#[test]
fn a_drain_with_a_timeout_ends_when_nothing_is_left() {
    let run = run(&Cluster::with([pod("a"), pod("b").grace(600).slow()]).timeout(3600));
    are(&run.requests(), &["0.0 a evict 30", "0.0 b evict 600"]);
    are(&run.outcomes(), &["a evicted", "b evicted"]);
    assert_eq!(run.emptied(), [run.ended]);
    assert_eq!((run.ended, run.verdict.end), (at(ms(600_050)), Some(End::Empty)));
    assert!(run.verdict.is_clean());
}

#[test]
fn a_node_without_pods_needs_no_time() {
    let run = run(&Cluster::with([]).timeout(3600));
    assert_eq!((run.emptied(), run.ended), (vec![Moment::START], Moment::START));
}

#[test]
fn no_grace_is_cut_though_the_timeout_is_shorter() {
    let run = run(&Cluster::with([pod("a").grace(300).slow()]).timeout(60));
    are(&run.requests(), &["0.0 a evict 300"]);
    are(&run.outcomes(), &["a still there, evicted, has not ended"]);
    assert_eq!((run.ended, run.verdict.end), (at(secs(60)), Some(End::TimedOut)));
    assert!(!run.verdict.is_clean());
}

#[test]
fn a_terminating_pod_is_not_hurried() {
    let run = run(&Cluster::with([pod("a").slow().deleted(0, 600)]).timeout(300));
    are(&run.requests(), &[]);
    are(&run.outcomes(), &["a still there, was ending already, has not ended"]);
}

#[test]
fn a_tier_waits_for_the_one_before_until_the_end() {
    let run = run(&Cluster::with([pod("dns").tier(Tier::ClusterCritical), pod("web").covered()])
        .budget("web", 0, None)
        .timeout(300));
    are(&run.deeds(), &["0.0 web evict 30"]);
    are(
        &run.outcomes(),
        &[
            "dns still there, was not asked: its turn had not come",
            "web still there, refused by disruption budget shop/web",
        ],
    );
}

#[test]
fn a_budget_is_asked_until_the_end_and_never_overridden() {
    let run = run(&Cluster::with([pod("a").covered()]).budget("web", 0, None).timeout(900));
    are(&run.deeds(), &["0.0 a evict 30"]);
    are(
        &run.said(),
        &[
            "0.1 shop/a: eviction refused by disruption budget shop/web; retried until the drain ends",
        ],
    );
    assert!(run.asked().last().unwrap().0 > at(secs(898)));
}

#[test]
fn a_budget_is_tried_less_often_where_there_is_much_time_and_more_often_towards_the_end() {
    let run = run(&Cluster::with([pod("a").covered()]).budget("web", 0, None).timeout(3600));
    let tries = |from: u64, until: u64| {
        let within = |when: Moment| at(secs(from)) <= when && when < at(secs(until));
        run.asked().filter(|(when, _)| within(*when)).count()
    };
    let (early, late) = (tries(1000, 1100), tries(3490, 3590));
    assert!((18..=40).contains(&early), "{early} in 100 s with much time");
    assert!(late > 90, "{late} in 100 s with little time");
}

#[test]
fn a_pod_that_comes_late_goes_too_while_somebody_else_keeps_the_drain_open() {
    let run = run(&Cluster::with([pod("a").grace(60).slow(), pod("b").late(30)]).timeout(3600));
    are(&run.requests(), &["0.0 a evict 60", "30.0 b evict 30"]);
    let late = run.told().any(|(_, progress)| matches!(progress, DrainProgress::Late(_)));
    assert!(late && run.ended == at(ms(60_050)), "{:?}", run.ended);
}

#[test]
fn what_is_open_when_this_process_ends_is_handed_over() {
    let cluster = Cluster::with([pod("a").slow()]).timeout(3600);
    let run = run(&cluster.but(|it| it.stopped = Some((secs(1), secs(10)))));
    are(&run.outcomes(), &["a handed over, evicted, has not ended"]);
    assert_eq!(run.verdict.end, Some(End::Stopped));
}

#[test]
fn nothing_is_asked_after_its_end() {
    let run = run(&Cluster::with([pod("a").covered(), pod("b").late(59)])
        .budget("web", 0, None)
        .timeout(60));
    let asked = run.trace.iter().filter(|(_, did)| matches!(did, Did::Asked(_)));
    assert!(asked.map(|(when, _)| *when).max() < Some(at(secs(60))));
}
