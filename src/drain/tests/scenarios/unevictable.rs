//! Pods that cannot be evicted, for whatever reason but a budget: at their own time they are deleted.

use crate::drain::BudgetOverride;
use crate::drain::limit::Limit;
use crate::drain::pod::Tier;
use crate::drain::tests::cluster::{Cluster, Verb, Wrong, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::verdict::Outcome;

/// Only evictions go wrong, and for ever.
fn unevictable(what: Wrong) -> Cluster {
    Cluster::with([pod("a"), pod("b")]).fault(0..=120, what).only(Some(0), Some(Verb::Evict))
}

#[test]
fn whatever_keeps_a_pod_from_being_evicted_it_is_deleted_at_its_own_time() {
    for (what, note) in [
        (Wrong::Failed, "500 no answer of webhook"),
        (Wrong::Busy(None), "503 overloaded"),
        (Wrong::Busy(Some(secs(600))), "503 overloaded"),
        (Wrong::Forbidden, "not for you"),
        (Wrong::NamespaceTerminating, "its namespace is being deleted"),
        (Wrong::CutOff { carried_out: false }, "connection cut off"),
        (Wrong::Unauthorized, "the API server does not accept the token (401)"),
    ] {
        let run = run(&unevictable(what));
        let about_a: Vec<String> =
            run.deeds().into_iter().filter(|deed| deed.contains(" a ")).collect();
        are(&about_a, &["0.0 a evict 30", "87.0 a mark", "88.0 a delete 30"]);
        are(&run.outcomes(), &[&format!("a deleted, as evictions failed: {note}"), "b evicted"]);
        assert!(run.verdict.is_clean());
    }
}

#[test]
fn a_silent_server_is_waited_for_until_the_pods_own_time() {
    let run = run(&unevictable(Wrong::Silent { carried_out: false }));
    // Its request ends after a minute, as the API server would end it; the next one at its own time.
    are(
        &run.requests().into_iter().filter(|it| it.contains(" a ")).collect::<Vec<_>>(),
        &["0.0 a evict 30", "62.1 a evict 30", "88.0 a mark", "88.1 a delete 30"],
    );
    are(&run.outcomes(), &["a deleted, as evictions failed: given up", "b evicted"]);
}

#[test]
fn a_server_that_takes_its_time_is_given_it() {
    let slow = Wrong::Slow(secs(15));
    let run = run(&Cluster::with([pod("a"), pod("b")]).fault(0..=120, slow));
    are(&run.requests(), &["0.0 a evict 30", "0.0 b evict 30"]);
    are(&run.outcomes(), &["a evicted", "b evicted"]);
}

#[test]
fn where_no_time_is_left_a_silent_server_costs_a_tenth_of_it() {
    // 118 s are left, and the pod wants more.
    let cluster = Cluster::with([pod("a").grace(300)]);
    let silent = Wrong::Silent { carried_out: false };
    let silence = cluster.fault(0..=120, silent.clone()).only(None, Some(Verb::Evict));
    are(&run(&silence).requests(), &["0.0 a evict 118", "11.8 a mark", "11.9 a delete 106"]);
    let at_once = Cluster::with([pod("a")]).at_once(60).fault(0..=60, silent);
    are(
        &run(&at_once.only(None, Some(Verb::Evict))).requests(),
        &["0.0 a evict 1", "2.0 a mark", "2.1 a delete 1"],
    );
}

#[test]
fn an_eviction_without_answer_is_given_up_when_the_deadline_comes_nearer() {
    let silent = Wrong::Silent { carried_out: false };
    let cluster = Cluster::with([pod("a")]).fault(0..=120, silent).only(None, Some(Verb::Evict));
    let at_once = Limit::AtOnce { since: at(secs(10)), until: at(secs(110)) };
    are(
        &run(&cluster.clone().taken_over(10, at_once)).requests(),
        &["0.0 a evict 30", "10.0 a mark", "10.1 a delete 1"],
    );
    let pulled_in = cluster.but(|it| it.pulled_in.push((secs(10), secs(50))));
    are(&run(&pulled_in).requests(), &["0.0 a evict 30", "18.0 a mark", "18.1 a delete 30"]);
}

#[test]
fn an_operator_who_wants_nobody_deleted_gets_that_whatever_keeps_the_pod() {
    for what in [Wrong::Forbidden, Wrong::Busy(None), Wrong::Silent { carried_out: false }] {
        let run =
            run(&unevictable(what).but(|it| it.options.budget_override = BudgetOverride::Never));
        are(&run.deeds(), &["0.0 a evict 30", "0.0 b evict 30"]);
        assert!(matches!(run.verdict.rows[0].outcome, Outcome::StillThere(_)));
    }
}

#[test]
fn what_the_server_has_said_is_told_rather_than_its_silence_after_that() {
    let cluster = Cluster::with([pod("a")]).fault(0..=1, Wrong::Failed);
    let silent = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(1..=120, silent).only(None, Some(Verb::Evict)));
    are(
        &run.outcomes(),
        &["a deleted, as evictions failed: 500 no answer of webhook; then: given up"],
    );
}

#[test]
fn what_kept_a_pod_stays_the_reason_though_its_deletion_fails_at_first() {
    let cluster = unevictable(Wrong::Forbidden).fault(88..=95, Wrong::Busy(None));
    let run = run(&cluster.only(Some(0), Some(Verb::Delete)));
    are(&run.outcomes(), &["a deleted, as evictions failed: not for you", "b evicted"]);
}

#[test]
fn where_nobody_is_deleted_an_answer_is_waited_for_beyond_the_pods_own_time() {
    let silent = Wrong::Silent { carried_out: false };
    let cluster = Cluster::with([pod("a")]).fault(0..=120, silent);
    let run = run(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never));
    are(&run.requests(), &["0.0 a evict 30", "62.1 a evict 30", "117.2 a evict 1"]);
    are(&run.outcomes(), &["a still there, no answer in time"]);
}

#[test]
fn of_a_deletion_that_fails_it_is_not_said_that_the_pod_will_be_deleted() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.fault(88..=95, Wrong::Failed).only(None, Some(Verb::Delete)));
    let failing = "88.1 shop/a: 500 no answer of webhook; retried until the drain ends".to_owned();
    assert!(run.said().contains(&failing), "{:#?}", run.said());
}

#[test]
fn nobody_is_deleted_where_nothing_happens_to_the_instance() {
    let refused = unevictable(Wrong::Forbidden).but(|it| it.faults[0].until = secs(300));
    let run = run(&refused.timeout(300));
    are(&run.deeds(), &["0.0 a evict 30", "0.0 b evict 30"]);
    are(&run.outcomes(), &["a still there, not for you", "b evicted"]);
}

#[test]
fn evictions_that_hang_do_not_keep_others_from_being_asked() {
    // Two requests at once, and two pods in a namespace whose webhook hangs.
    let other = |name: &str| {
        let mut life = pod(name);
        let mut reference = (*life.pod.reference).clone();
        reference.namespace = "other".to_owned();
        life.pod.reference = reference.into();
        life
    };
    let hanging = [pod("a"), pod("b"), pod("c")];
    let silent = || Wrong::Silent { carried_out: false };
    let cluster = Cluster::with(hanging.into_iter().chain([other("x"), other("y")]))
        .but(|it| it.free = 2)
        .fault(0..=120, silent())
        .only(Some(0), Some(Verb::Evict))
        .fault(0..=120, silent())
        .only(Some(1), Some(Verb::Evict))
        .fault(0..=120, silent())
        .only(Some(2), Some(Verb::Evict));
    let run = run(&cluster);
    let first: Vec<String> = run.deeds().into_iter().filter(|it| it.contains("evict")).collect();
    // When the first has had long enough, those of the other namespace go before the third.
    are(
        &first,
        &[
            "0.0 a evict 30",
            "0.0 b evict 30",
            "12.0 x evict 30",
            "12.0 y evict 30",
            "12.1 c evict 30",
        ],
    );
    are(
        &run.outcomes(),
        &[
            "a deleted, as evictions failed: given up",
            "b deleted, as evictions failed: given up",
            "c deleted, as evictions failed: given up",
            "x evicted",
            "y evicted",
        ],
    );
}

#[test]
fn a_try_without_an_answer_does_not_stop_the_others_behind_its_budget() {
    let pods = (0..6).map(|number| pod(&format!("web-{number}")).covered());
    let cluster = Cluster::with(pods).budget("web", 1, Some(secs(2)));
    // Whatever is tried next is never answered.
    let silent = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(3..=4, silent).only(None, Some(Verb::Evict)));
    let evicted = run.outcomes().iter().filter(|it| it.ends_with(" evicted")).count();
    assert!(evicted >= 5, "{:#?}", run.outcomes());
    let silence = run.asked().find(|(when, _)| *when >= at(secs(3))).unwrap().0;
    let next = run.asked().find(|(when, _)| *when > silence).unwrap().0;
    assert!(next.since(silence) <= secs(13), "{silence:?} {next:?}");
}

#[test]
fn a_request_about_a_pod_that_is_gone_holds_up_nobody() {
    let dns = pod("dns").tier(Tier::ClusterCritical);
    let cluster = Cluster::with([pod("a").deleted(1, 1), dns]);
    let silent = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(0..=1, silent).only(Some(0), Some(Verb::Evict)));
    are(&run.requests(), &["0.0 a evict 30", "4.0 dns evict 30"]);
}

#[test]
fn a_deletion_that_is_due_goes_before_the_eviction_of_a_pod_with_time() {
    let pods = (0..20).map(|number| pod(&format!("late-{number:02}")).late(88));
    let cluster =
        Cluster::with([pod("a").covered()].into_iter().chain(pods)).budget("web", 0, None);
    let run = run(&cluster.but(|it| it.free = 1).deadline(200));
    let deleted = run.asked().position(|(_, job)| Verb::from(job.ask) == Verb::Delete).unwrap();
    let at_own_time = run.asked().nth(deleted).unwrap().0;
    assert!(at_own_time < at(ms(168_300)), "{at_own_time:?}");
}

#[test]
fn a_hundred_pods_behind_a_budget_that_lets_all_go_are_evicted_once_each() {
    let pods = (0..100).map(|number| pod(&format!("web-{number:03}")).covered());
    let slow = |update| {
        let cluster = Cluster::with((0..100).map(|n| pod(&format!("web-{n:03}")).covered()));
        cluster.budget("web", 100, None).but(|it| it.budgets[0].update = update)
    };
    let quick = run(&Cluster::with(pods).budget("web", 100, None));
    assert_eq!(quick.asked().count(), 100);
    // One after the other, as the API server writes the status of a budget: 11 s in all.
    let run = run(&slow(ms(110)));
    assert_eq!(run.asked().count(), 100, "{:#?}", run.requests());
    assert!(run.outcomes().iter().all(|it| it.ends_with(" evicted")), "{:#?}", run.outcomes());
}

#[test]
fn a_share_of_a_budget_is_not_spent_on_answers_that_nobody_waits_for() {
    // Each update takes so long that a request may wait for half a minute.
    let pods = (0..30).map(|number| pod(&format!("web-{number:02}")).covered());
    let cluster = Cluster::with(pods).budget("web", 30, None);
    let run = run(&cluster.but(|it| it.budgets[0].update = secs(1)));
    assert!(run.outcomes().iter().all(|it| it.ends_with(" evicted")), "{:#?}", run.outcomes());
    assert_eq!(run.asked().count(), 30);
}
