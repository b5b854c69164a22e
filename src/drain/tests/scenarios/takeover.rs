//! Another notice takes over a drain under way.

use crate::drain::limit::Limit;
use crate::drain::pod::Tier;
use crate::drain::tests::cluster::{Cluster, Wrong, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::tests::trace::{Did, Run};
use crate::drain::verdict::End;
use crate::moment::Moment;

fn deadline(seconds: u64) -> Limit {
    Limit::Deadline(at(secs(seconds)))
}

fn timeout(seconds: u64) -> Limit {
    Limit::Timeout(at(secs(seconds)))
}

/// What it said of the end: whether it moved earlier.
fn moved(run: &Run) -> Vec<bool> {
    let said = run.trace.iter().filter_map(|(_, did)| match did {
        Did::TakenOver(_, moved) => Some(*moved),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_deadline_takes_over_a_timeout_and_hurries_whoever_has_too_much_time() {
    let cluster = Cluster::with([pod("a").grace(600).slow(), pod("b").grace(60).slow()]);
    let run = run(&cluster.timeout(3600).taken_over(10, deadline(130)));
    are(&run.requests(), &["0.0 a evict 600", "0.0 b evict 60", "10.0 a delete 118"]);
    are(&run.outcomes(), &["a evicted", "b evicted"]);
    assert_eq!((run.ended, run.verdict.end), (at(secs(130)), Some(End::Deadline)));
    assert_eq!(moved(&run), [true]);
}

#[test]
fn a_deadline_may_come_later_than_a_timeout() {
    let cluster = Cluster::with([pod("a").grace(300).slow()]).timeout(60);
    let run = run(&cluster.taken_over(50, deadline(170)));
    are(&run.requests(), &["0.0 a evict 300", "50.0 a delete 118"]);
    assert_eq!((run.ended, moved(&run)), (at(secs(170)), vec![false]));
}

#[test]
fn a_blocked_pod_is_overridden_at_its_new_own_time() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None).timeout(3600);
    let run = run(&cluster.taken_over(600, deadline(720)));
    are(&run.deeds(), &["0.0 a evict 30", "687.0 a mark", "688.0 a delete 30"]);
}

#[test]
fn a_budget_is_tried_often_again_once_there_is_a_deadline() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None).timeout(3600);
    let run = run(&cluster.taken_over(600, deadline(720)));
    let after = run.asked().map(|(when, _)| when).filter(|when| *when >= at(secs(600)));
    let after: Vec<Moment> = after.take(10).collect();
    assert!(after[0] <= at(secs(601)) && after[9] <= at(secs(611)), "{after:?}");
}

#[test]
fn a_tier_that_waited_goes_at_its_new_own_time() {
    let cluster = Cluster::with([pod("dns").tier(Tier::ClusterCritical), pod("web").covered()]);
    let run = run(&cluster.budget("web", 0, None).timeout(3600).taken_over(600, deadline(720)));
    are(&run.deeds()[1..], &["687.0 web mark", "688.0 web delete 30", "688.0 dns evict 30"]);
}

#[test]
fn at_once_takes_over_a_deadline() {
    let cluster = Cluster::with([
        pod("blocked").covered(),
        pod("dns").tier(Tier::ClusterCritical),
        pod("slow").slow(),
    ]);
    let at_once = Limit::AtOnce { since: at(secs(10)), until: at(secs(200)) };
    let run = run(&cluster.budget("web", 0, None).taken_over(10, at_once));
    let after = run.requests().into_iter().skip_while(|line| !line.starts_with("10.0"));
    let after: Vec<String> = after.collect();
    are(
        &after,
        &["10.0 slow delete 1", "10.0 blocked mark", "10.0 dns evict 1", "10.1 blocked delete 1"],
    );
    assert_eq!((run.ended, moved(&run)), (at(secs(120)), vec![false]));
}

#[test]
fn of_two_deadlines_the_earlier_one_holds() {
    let later = run(&Cluster::with([pod("a").late(50)]).taken_over(10, deadline(240)));
    assert_eq!((later.ended, moved(&later)), (at(secs(120)), vec![false]));
    let earlier = run(&Cluster::with([pod("a").late(50)]).taken_over(10, deadline(60)));
    are(&earlier.requests(), &["50.0 a evict 8"]);
    assert_eq!((earlier.ended, moved(&earlier)), (at(secs(60)), vec![true]));
}

#[test]
fn a_timeout_changes_nothing_of_a_deadline() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.taken_over(10, timeout(3600)));
    are(&run.deeds(), &["0.0 a evict 30", "87.0 a mark", "88.0 a delete 30"]);
    assert_eq!((run.ended, run.verdict.end), (at(secs(120)), Some(End::Deadline)));
}

#[test]
fn a_pause_ends_with_the_new_own_time() {
    let cluster = Cluster::with([pod("a")]).timeout(3600);
    let busy = Wrong::Busy(Some(secs(600)));
    let run = run(&cluster.fault(0..=1, busy).taken_over(10, deadline(130)));
    are(&run.requests(), &["0.0 a evict 30", "97.0 a mark", "98.0 a delete 30"]);
}

#[test]
fn a_deadline_that_is_pulled_in_ends_pauses_too() {
    let cluster = Cluster::with([pod("a")]).fault(0..=1, Wrong::Busy(Some(secs(600))));
    let run = run(&cluster.but(|it| it.pulled_in.push((secs(10), secs(60)))));
    are(&run.requests(), &["0.0 a evict 30", "27.0 a mark", "28.0 a delete 30"]);
}

#[test]
fn a_late_pod_goes_once_a_deadline_has_taken_over_an_empty_node() {
    let cluster = Cluster::with([pod("a").slow(), pod("b").late(40)]).timeout(3600);
    let run = run(&cluster.taken_over(20, deadline(140)));
    are(&run.requests(), &["0.0 a evict 30", "40.0 b evict 30"]);
    assert_eq!(run.ended, at(secs(140)));
}
