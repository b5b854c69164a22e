//! More to ask than can be under way at once, and a server that is slow to answer.

use crate::drain::ask::{Answer, Ask, Budget};
use crate::drain::machine::{Drain, Presence, Step};
use crate::drain::pod::OwnPod;
use crate::drain::tests::cluster::{Cluster, Verb, Wrong, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::moment::Moment;

#[test]
fn a_deletion_that_comes_due_while_nothing_more_can_be_asked_makes_room() {
    let cluster = Cluster::with([pod("b").grace(560).covered(), pod("a")]).budget("web", 0, None);
    let silent = Wrong::Silent { carried_out: false };
    let cluster = cluster.deadline(600).fault(0..=600, silent).only(Some(1), Some(Verb::Evict));
    let run = run(&cluster.but(|it| it.free = 1));
    let deleted: Vec<String> =
        run.requests().into_iter().filter(|it| it.contains("b delete")).collect();
    are(&deleted, &["39.1 b delete 559"]);
}

#[test]
fn one_pod_that_waits_has_one_request_given_up() {
    let slow = Wrong::Slow(secs(20));
    let hanging = (0..4).map(|number| pod(&format!("a-{number}")));
    let mut other = pod("x");
    let mut reference = (*other.pod.reference).clone();
    reference.namespace = "other".to_owned();
    other.pod.reference = reference.into();
    let cluster = Cluster::with(hanging.chain([other])).but(|it| it.free = 4);
    let faults = (0..4).fold(cluster, |cluster, pod| {
        cluster.fault(0..=120, slow.clone()).only(Some(pod), Some(Verb::Evict))
    });
    let run = run(&faults);
    let evictions = run.asked().filter(|(_, job)| matches!(job.ask, Ask::Evict { .. })).count();
    assert_eq!(evictions, 6, "{:#?}", run.requests());
    assert!(run.outcomes().iter().all(|it| it.ends_with("evicted")), "{:#?}", run.outcomes());
}

#[test]
fn a_slow_budget_that_lets_all_go_is_not_spent_by_the_crowd_behind_it() {
    let pods = (0..80).map(|number| pod(&format!("web-{number:02}")).covered());
    let cluster = Cluster::with(pods).budget("web", 80, None);
    let run = run(&cluster.but(|it| it.budgets[0].update = secs(1)));
    assert_eq!(run.asked().count(), 80, "{:#?}", run.requests());
    assert!(run.outcomes().iter().all(|it| it.ends_with(" evicted")), "{:#?}", run.outcomes());
}

#[test]
fn two_slow_deletions_do_not_give_way_to_each_other_for_ever() {
    let pods = [pod("a").grace(60).covered(), pod("b").grace(60).covered()];
    let cluster = Cluster::with(pods).budget("web", 0, None).but(|it| it.free = 1);
    let run = run(&cluster.fault(0..=120, Wrong::Slow(secs(13))).only(None, Some(Verb::Delete)));
    let deleted = |it: &String| it.contains(" deleted, against disruption budget");
    assert!(run.outcomes().iter().all(deleted), "{:#?}", run.outcomes());
}

#[test]
fn what_was_answered_last_is_what_kept_a_pod() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.fault(20..=120, Wrong::Forbidden).only(None, Some(Verb::Evict)));
    are(&run.outcomes(), &["a deleted, as evictions failed: not for you"]);
}

#[test]
fn the_handler_does_not_end_itself_though_it_learns_late_who_it_is() {
    let cluster = Cluster::with([pod("self").covered()]).budget("web", 0, None);
    let mut drain = Drain::begin(Moment::START, cluster.options.clone());
    drain.node_is(Presence::Present);
    drain.release(Moment::START);
    drain.set_begins();
    drain.pod_seen(Moment::START, cluster.pods[0].pod.clone());
    drain.set_complete(Moment::START);
    let asked = std::iter::from_fn(|| Some(drain.next(Moment::START, 1)))
        .find(|step| !matches!(step, Step::Tell(_)));
    assert!(matches!(asked, Some(Step::Ask(_))));
    let budget = Budget { namespace: "shop".to_owned(), name: "web".to_owned() };
    drain.answered(Moment::START, "self", Answer::Blocked(budget));
    drain.own_pod(OwnPod { namespace: None, name: None, uid: Some("self".to_owned()) });
    for second in 0..120 {
        let asks = |drain: &mut Drain| loop {
            match drain.next(at(secs(second)), 1) {
                Step::Tell(_) | Step::Verdict(..) => {}
                step => break matches!(step, Step::Ask(_)),
            }
        };
        assert!(!asks(&mut drain), "{second}");
    }
}

#[test]
fn of_one_namespace_a_few_show_first_whether_answers_come_quickly() {
    // When so many pods of a namespace were asked, at first and in all.
    let asked = |latency: u64| {
        let pods = (0..100).map(|number| pod(&format!("a-{number}")));
        let slow = Wrong::Slow(std::time::Duration::from_millis(latency));
        let cluster = Cluster::with(pods).fault(0..=120, slow).only(None, Some(Verb::Evict));
        let run = run(&cluster.but(|it| it.free = 1000));
        let times: Vec<_> = run.asked().map(|(at, _)| at).collect();
        let first = times.iter().filter(|at| **at < times[0] + secs(1)).count();
        assert!(run.outcomes().iter().all(|it| it.ends_with("evicted")), "{:#?}", run.outcomes());
        first
    };
    assert_eq!((asked(100), asked(4000)), (100, 32));
}
