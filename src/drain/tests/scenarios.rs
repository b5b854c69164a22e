//! Named scenarios. Each says what there is, and what is asked and what becomes of it.
//!
//! Unless a scenario says otherwise, the instance goes at 120 s with a margin of 2 s, every answer
//! takes 0.1 s, and a pod has a grace of 30 s, of which it needs one. So its own time is up at 88 s.

use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::machine::Drain;
use crate::drain::pod::{OwnPod, Tier};
use crate::drain::tests::cluster::{Arrival, Cluster, Verb, Wrong, at, grace, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::trace::Run;
use crate::moment::Moment;

/// Compares with a block of lines.
#[track_caller]
fn are(lines: &[String], expected: &str) {
    let expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, expected, "\nwas:\n  {}", lines.join("\n  "));
}

// Who goes, and when.

#[test]
fn all_ordinary_pods_are_asked_at_once_those_with_the_longest_grace_first() {
    let cluster = Cluster::with([pod("a"), pod("b").grace(60), pod("c")]);
    let run = run(&cluster.but(|it| it.cordoned = Some(ms(10))));
    are(
        &run.requests(),
        "0.0 b evict 60
                          0.0 a evict 30
                          0.0 c evict 30",
    );
    are(
        &run.outcomes(),
        "a evicted
                          b evicted
                          c evicted",
    );
    assert_eq!(run.emptied(), [at(ms(1060))]);
    assert_eq!(run.ended, at(secs(120)));
}

#[test]
fn evictions_begin_with_the_first_pod_not_with_the_complete_set() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]);
    let run = run(&cluster.but(|it| it.watch.pace = secs(1)));
    are(
        &run.requests(),
        "0.0 a evict 30
                          1.0 b evict 30
                          2.0 c evict 30",
    );
}

#[test]
fn evictions_wait_for_the_cordon() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.but(|it| it.cordoned = Some(ms(300))));
    are(&run.requests(), "0.3 a evict 30");
}

#[test]
fn evictions_wait_for_a_cordon_that_fails_no_longer_than_a_second() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.but(|it| it.cordoned = None));
    are(&run.requests(), "1.0 a evict 30");
}

#[test]
fn tiers_follow_one_another_when_the_one_before_is_gone() {
    let run = run(&Cluster::with([
        pod("agent").tier(Tier::NodeCritical),
        pod("dns").tier(Tier::ClusterCritical),
        pod("web"),
    ]));
    are(
        &run.requests(),
        "0.0 web evict 30
                          1.1 dns evict 30
                          2.1 agent evict 30",
    );
}

#[test]
fn a_tier_does_not_wait_beyond_its_own_time() {
    let run = run(&Cluster::with([
        pod("agent").tier(Tier::NodeCritical).grace(10),
        pod("dns").tier(Tier::ClusterCritical).grace(40),
        pod("web").grace(118).slow(),
    ]));
    are(
        &run.requests(),
        "0.0 web evict 118
                          78.0 dns evict 40
                          108.0 agent evict 10",
    );
}

#[test]
fn a_tier_is_not_opened_by_a_set_that_is_not_complete() {
    let cluster = Cluster::with([pod("dns").tier(Tier::ClusterCritical), pod("web")]);
    let run = run(&cluster.but(|it| it.watch.pace = secs(10)));
    are(
        &run.requests(),
        "10.0 web evict 30
                          20.0 dns evict 30",
    );
}

#[test]
fn a_late_pod_of_a_lower_tier_goes_before_the_tier_that_waits() {
    let run = run(&Cluster::with([
        pod("dns").tier(Tier::ClusterCritical),
        pod("job").late(5),
        pod("web").grace(20).slow(),
    ]));
    are(
        &run.requests(),
        "0.0 web evict 20
                          5.0 job evict 30
                          20.1 dns evict 30",
    );
}

#[test]
fn kubectls_rules_with_the_defaults_of_a_dying_node() {
    let run = run(&special_pods());
    are(
        &run.deeds(),
        "0.0 done-logs evict 30
                       0.0 bare evict 30
                       0.0 cache evict 30",
    );
    are(
        &run.outcomes(),
        "bare evicted
                          cache evicted
                          done-logs evicted
                          handler left alone, this handler's own pod
                          logs left alone, DaemonSet logs
                          static left alone, static pod of the kubelet",
    );
}

#[test]
fn kubectls_rules_with_its_own_defaults() {
    let run = run(&special_pods().but(|it| {
        it.plan.rules.drain_unmanaged = false;
        it.plan.rules.delete_local_data = false;
    }));
    are(&run.deeds(), "0.0 done-logs evict 30");
    are(
        &run.outcomes(),
        "bare left alone, no controller, and such pods are to stay
                          cache left alone, emptyDir volume, and such pods are to stay
                          done-logs evicted
                          handler left alone, this handler's own pod
                          logs left alone, DaemonSet logs
                          static left alone, static pod of the kubelet",
    );
}

#[test]
fn pods_of_daemon_sets_go_if_they_are_to_but_not_their_replacements() {
    let replacement = pod("logs-2").of_daemon_set().late(4);
    let cluster = Cluster::with([pod("logs-1").of_daemon_set(), replacement]);
    let run = run(&cluster.but(|it| it.plan.rules.ignore_daemon_sets = false));
    are(&run.requests(), "0.0 logs-1 evict 30");
    are(
        &run.outcomes(),
        "logs-1 evicted
                          logs-2 left alone, DaemonSet logs",
    );
}

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

#[test]
fn the_own_pod_tells_how_long_this_process_has() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).plan);
    assert_eq!(drain.own_grace(), None);
    for life in special_pods().pods {
        drain.pod_seen(life.grace(150).pod);
    }
    assert_eq!(drain.own_grace(), Some(secs(150)));
}

#[test]
fn the_own_pod_may_be_known_late() {
    let cluster = special_pods();
    let mut plan = cluster.plan;
    let own =
        std::mem::replace(&mut plan.rules.own, OwnPod { namespace: None, name: None, uid: None });
    plan.rules.ignore_daemon_sets = false;
    let mut drain = Drain::begin(Moment::START, plan);
    drain.set_begins();
    drain.pod_seen(cluster.pods[0].clone().grace(150).pod);
    drain.own_pod(own);
    drain.set_complete(Moment::START);
    drain.release(Moment::START);
    assert_eq!(drain.own_grace(), Some(secs(150)));
    assert!(drain.is_empty(), "the own pod is not to go");
}

#[test]
fn a_late_pod_goes_too_and_nothing_is_said_to_be_empty_twice() {
    let run = run(&Cluster::with([pod("a"), pod("b").late(30)]));
    are(
        &run.requests(),
        "0.0 a evict 30
                          30.0 b evict 30",
    );
    are(
        &run.said(),
        "0.1 shop/a: eviction accepted, 30 s to end
                      1.1 shop/a: gone after 1.1 s
                      30.0 shop/b: arrived late, goes too
                      30.1 shop/b: eviction accepted, 30 s to end
                      31.1 shop/b: gone after 31.1 s",
    );
    assert_eq!(run.emptied(), [at(ms(1050))]);
    are(
        &run.outcomes(),
        "a evicted
                          b evicted",
    );
}

#[test]
fn one_worker_is_enough_only_slower() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]);
    let run = run(&cluster.but(|it| it.workers = 1));
    are(
        &run.requests(),
        "0.0 a evict 30
                          0.1 b evict 30
                          0.2 c evict 30",
    );
}

// Grace.

#[test]
fn a_grace_longer_than_the_time_left_is_cut() {
    let run = run(&Cluster::with([pod("a").grace(300).slow()]));
    are(&run.requests(), "0.0 a evict 118");
    are(
        &run.said()[..1],
        "0.1 shop/a: eviction accepted, 118 s to end instead of 300 s: the deadline leaves no more",
    );
    are(&run.outcomes(), "a evicted");
}

#[test]
fn a_late_pod_gets_what_is_left_and_never_less_than_a_second() {
    let run = run(&Cluster::with([pod("a").late(100), pod("b").late(119)]));
    are(
        &run.requests(),
        "100.0 a evict 18
                          119.0 b evict 1",
    );
}

#[test]
fn a_grace_of_zero_counts_as_one() {
    let run = run(&Cluster::with([pod("a").grace(0)]));
    are(&run.requests(), "0.0 a evict 1");
}

#[test]
fn the_operators_grace_only_shortens() {
    let cluster = Cluster::with([pod("a").grace(10), pod("b").grace(60)]);
    let run = run(&cluster.but(|it| it.plan.longest_grace = Some(grace(20))));
    are(
        &run.requests(),
        "0.0 a evict 10
                          0.0 b evict 20",
    );
}

#[test]
fn a_pod_that_others_end_too_late_is_hurried() {
    let cluster = Cluster::with([pod("a").slow().deleted(0, 600), pod("b").slow().deleted(0, 100)]);
    let run = run(&cluster);
    are(&run.requests(), "0.0 a delete 30");
    are(
        &run.outcomes(),
        "a shortened, was already ending, with more time than was left
                          b ended by others",
    );
}

#[test]
fn a_deadline_that_is_pulled_in_hurries_those_that_are_ending() {
    let cluster = Cluster::with([pod("a").grace(100).slow()]);
    let run = run(&cluster.but(|it| it.pulled_in.push((secs(10), secs(60)))));
    are(
        &run.requests(),
        "0.0 a evict 100
                          10.0 a delete 48",
    );
    are(&run.outcomes(), "a evicted");
    assert_eq!(run.ended, at(secs(60)));
}

#[test]
fn a_deadline_never_moves_later() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.but(|it| it.pulled_in.push((secs(10), secs(200)))));
    assert_eq!(run.ended, at(secs(120)));
}

#[test]
fn a_slow_api_server_does_not_make_the_handler_ask_again_and_again() {
    let cluster = Cluster::with([pod("a").grace(300).slow()]);
    let run = run(&cluster.but(|it| it.latency = 1500..=1500));
    are(&run.requests(), "0.0 a evict 118");
}

// Budgets.

#[test]
fn a_budget_that_lets_one_go_at_a_time_is_used_as_fast_as_it_frees() {
    let pods = ["a", "b", "c"].map(|name| pod(name).covered());
    let run = run(&Cluster::with(pods).budget("web", 1, Some(secs(5))));
    are(
        &run.outcomes(),
        "a evicted
                          b evicted
                          c evicted",
    );
    let mut gone: Vec<Duration> =
        run.verdict.rows.iter().map(|row| row.gone_after.unwrap()).collect();
    gone.sort();
    for ends in gone.windows(2) {
        // The replacement takes 5 s, the pod one to end, and the next try is never a second away.
        let between = ends[1] - ends[0];
        assert!(between >= secs(6) && between <= ms(7100), "{between:?}");
    }
}

#[test]
fn a_hundred_pods_behind_a_budget_cost_no_more_than_one() {
    let requests = |pods: usize| {
        let pods = (0..pods).map(|number| pod(&format!("web-{number}")).covered());
        run(&Cluster::with(pods).budget("web", 0, None))
            .asked()
            .filter(|(at, _)| at.since(Moment::START) < secs(80))
            .count()
    };
    let (one, hundred) = (requests(1), requests(100));
    assert!(one > 70 && hundred < one + 110, "{one} and {hundred} requests");
}

#[test]
fn the_pods_behind_a_budget_are_tried_in_turn_whatever_their_grace() {
    let pods = [pod("a").covered(), pod("b").grace(20).covered()];
    let run = run(&Cluster::with(pods).budget("web", 0, None));
    let tried: Vec<&str> = run.asked().take(6).map(|(_, job)| job.pod.uid.as_str()).collect();
    assert_eq!(tried, ["a", "b", "a", "b", "a", "b"]);
}

#[test]
fn a_budget_that_never_frees_is_overridden_when_the_pods_own_time_is_up() {
    let run = run(&Cluster::with([pod("a").covered().slow()]).budget("web", 0, None));
    are(
        &run.deeds(),
        "0.0 a evict 30
                       87.0 a mark
                       88.0 a delete 30",
    );
    are(&run.outcomes(), "a deleted, against disruption budget shop/web");
    are(&run.said(), "0.1 shop/a: eviction refused by disruption budget shop/web, trying on
                      88.1 shop/a: deleted, 30 s to end: its time was up and disruption budget shop/web had not let it go
                      118.0 shop/a: gone after 118.0 s");
}

#[test]
fn a_budget_is_not_overridden_if_it_is_never_to_be() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.but(|it| it.plan.budget_override = BudgetOverride::Never));
    are(&run.deeds(), "0.0 a evict 30");
    are(&run.outcomes(), "a still there, refused by disruption budget shop/web");
    let last = run.asked().last().unwrap().0;
    assert!(last > at(secs(118)), "it was tried until the deadline, not {last:?}");
}

#[test]
fn with_a_grace_longer_than_the_time_left_one_refusal_is_enough() {
    let run = run(&Cluster::with([pod("a").grace(300).covered()]).budget("web", 0, None));
    are(
        &run.requests(),
        "0.0 a evict 118
                          0.1 a mark
                          0.2 a delete 118",
    );
}

#[test]
fn a_failing_status_patch_neither_stops_nor_repeats() {
    for wrong in
        [Wrong::Forbidden, Wrong::Busy(Some(secs(60))), Wrong::CutOff { carried_out: false }]
    {
        let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
        let run = run(&cluster.fault(0..=120, wrong).only(None, Some(Verb::Mark)));
        are(
            &run.deeds(),
            "0.0 a evict 30
                           87.0 a mark
                           88.0 a delete 30",
        );
        are(&run.outcomes(), "a deleted, against disruption budget shop/web");
    }
}

#[test]
fn a_status_patch_that_hangs_costs_no_pod_its_end() {
    let cluster = Cluster::with([pod("a").grace(2).covered()]).budget("web", 0, None);
    let hangs = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(0..=120, hangs).only(None, Some(Verb::Mark)));
    are(&run.outcomes(), "a deleted, against disruption budget shop/web");
}

#[test]
fn what_a_403_means_for_a_status_patch_is_not_said() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.fault(0..=120, Wrong::Forbidden).only(None, Some(Verb::Mark)));
    are(&run.said(), "0.1 shop/a: eviction refused by disruption budget shop/web, trying on
                      88.1 shop/a: deleted, 30 s to end: its time was up and disruption budget shop/web had not let it go
                      89.0 shop/a: gone after 89.0 s");
}

// Faults.

#[test]
fn what_fails_is_tried_again_until_it_works_and_others_are_not_held_up() {
    let unauthorized = Wrong::Unauthorized;
    for wrong in [Wrong::Busy(None), Wrong::CutOff { carried_out: false }, unauthorized] {
        let cluster = Cluster::with([pod("a"), pod("b")]);
        let run = run(&cluster.fault(0..=10, wrong).only(Some(0), None));
        are(
            &run.deeds(),
            "0.0 a evict 30
                           0.0 b evict 30",
        );
        are(
            &run.outcomes(),
            "a evicted
                              b evicted",
        );
        let gone = run.verdict.rows[0].gone_after.unwrap();
        assert!(gone > secs(10) && gone < secs(14), "{gone:?}");
        let said: Vec<String> =
            run.said().into_iter().filter(|line| line.contains("again")).collect();
        assert_eq!(said.len(), 2, "that it fails, and that it is over: {said:#?}");
    }
}

#[test]
fn what_the_server_asks_for_is_obeyed_but_not_beyond_the_pods_own_time() {
    for (asked, again) in [(20, "20.1"), (100, "88.0")] {
        let cluster = Cluster::with([pod("a")]);
        let run = run(&cluster.fault(0..=1, Wrong::Busy(Some(secs(asked)))));
        are(&run.requests(), &format!("0.0 a evict 30\n{again} a evict 30"));
    }
}

#[test]
fn after_its_own_time_a_pod_waits_no_longer_than_a_second() {
    let cluster = Cluster::with([pod("a").late(100)]);
    let run = run(&cluster.fault(100..=101, Wrong::Busy(Some(secs(60)))));
    are(
        &run.requests(),
        "100.0 a evict 18
                          101.1 a evict 17",
    );
}

#[test]
fn failures_do_not_put_a_deletion_off() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.fault(40..=88, Wrong::Busy(None)));
    are(
        &run.deeds(),
        "0.0 a evict 30
                       88.0 a mark
                       88.1 a delete 30",
    );
}

#[test]
fn a_missing_permission_is_said_once_and_the_others_go_on() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]).deadline(20);
    let cluster = cluster.fault(0..=20, Wrong::Forbidden).only(Some(0), None);
    let run = run(&cluster.fault(0..=20, Wrong::Forbidden).only(Some(1), None));
    are(&run.said(), "0.1 shop/a: the API server forbids it: not for you. Other pods go on; it is tried again
                      0.1 shop/c: eviction accepted, 18 s to end instead of 30 s: the deadline leaves no more
                      1.1 shop/c: gone after 1.1 s");
    are(
        &run.outcomes(),
        "a still there, not for you
                          b still there, not for you
                          c evicted",
    );
    assert!(run.asked().filter(|(_, job)| job.pod.name == "a").count() > 15);
}

#[test]
fn a_permission_that_is_granted_late_is_used() {
    let run = run(&Cluster::with([pod("a")]).fault(0..=8, Wrong::Forbidden));
    are(
        &run.requests(),
        "0.0 a evict 30
                          5.1 a evict 30
                          10.2 a evict 30",
    );
}

#[test]
fn a_namespace_that_is_being_deleted_is_waited_for() {
    let run =
        run(&Cluster::with([pod("a").deleted(5, 30)]).fault(0..=120, Wrong::NamespaceTerminating));
    are(
        &run.requests(),
        "0.0 a evict 30
                          2.1 a evict 30
                          4.2 a evict 30",
    );
    are(
        &run.said(),
        "0.1 shop/a: its namespace is being deleted, and the pod with it: waiting
                      6.0 shop/a: gone after 6.0 s",
    );
    are(&run.outcomes(), "a ended by others");
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    let cluster = Cluster::with([pod("a").slow()]);
    let run = run(&cluster
        .fault(0..=1, Wrong::Silent { carried_out: true })
        .but(|it| it.watch.delay = secs(9)));
    are(
        &run.requests(),
        "0.0 a evict 30
                          5.1 a evict 30",
    );
    are(&run.outcomes(), "a evicted");
}

#[test]
fn a_pod_whose_answer_was_lost_and_that_ends_is_told_as_such() {
    let lost = Wrong::CutOff { carried_out: true };
    let evicted = run(&Cluster::with([pod("a")]).fault(0..=120, lost.clone()));
    are(&evicted.outcomes(), "a evicted, the answer was lost");
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let deleted = run(&cluster.fault(85..=120, lost));
    are(&deleted.outcomes(), "a deleted, against disruption budget shop/web; the answer was lost");
}

#[test]
fn a_request_that_was_lost_before_it_arrived_is_not_claimed() {
    let lost = Wrong::CutOff { carried_out: false };
    let run = run(&Cluster::with([pod("a").deleted(3, 30)]).fault(0..=120, Wrong::Busy(None)));
    are(&run.outcomes(), "a ended by others");
    let _ = lost;
}

#[test]
fn it_is_not_said_that_the_server_answers_again_while_it_does_not() {
    // A pod that others end too late, and a server that is away all the time.
    let away = Wrong::CutOff { carried_out: false };
    let cluster = Cluster::with([pod("a").slow().deleted(0, 600)]).fault(0..=120, away);
    let run = run(&cluster);
    are(&run.said(), "0.1 shop/a: connection cut off. It is tried again until the deadline");
    are(&run.outcomes(), "a still there, told to end by others, has not ended");
}

#[test]
fn an_answer_that_is_lost_for_a_pod_that_is_gone_troubles_nobody() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.fault(0..=120, Wrong::Silent { carried_out: true }));
    are(&run.said(), "1.1 shop/a: gone after 1.1 s");
    are(&run.outcomes(), "a evicted, the answer was lost");
}

// Watch.

#[test]
fn another_pod_of_the_same_name_is_another_pod() {
    let mut next = pod("db-0").slow();
    next.pod.reference = {
        let mut reference = (*next.pod.reference).clone();
        reference.uid = "db-0-next".to_owned();
        reference.into()
    };
    next.arrival = Arrival::After(0, ms(10));
    let cluster = Cluster::with([pod("db-0"), next]);
    let seen = run(&cluster.clone());
    are(
        &seen.requests(),
        "0.0 db-0 evict 30
                           1.1 db-0-next evict 30",
    );
    are(
        &seen.outcomes(),
        "db-0 evicted
                           db-0-next evicted",
    );
    // The first ends while nobody watches, and its name is taken when it is asked again.
    let lost = Wrong::CutOff { carried_out: true };
    let unseen = run(&cluster.fault(0..=1, lost.clone()).but(|it| {
        it.watch.delay = secs(10);
        it.faults[0].until = ms(1000);
        it.faults.push(it.faults[0].clone());
        it.faults[1].until = ms(1070);
        it.faults[1].what = Wrong::Busy(Some(secs(2)));
        it.watch.opens = Duration::ZERO;
    }));
    are(
        &unseen.outcomes(),
        "db-0 evicted, the answer was lost
                             db-0-next evicted",
    );
}

#[test]
fn deletions_that_the_watch_missed_are_noticed_with_the_next_set() {
    let run = run(&Cluster::with([pod("a"), pod("b").slow()]).watch_breaks(1..=10));
    are(
        &run.said(),
        "0.1 shop/a: eviction accepted, 30 s to end
                      0.1 shop/b: eviction accepted, 30 s to end
                      1.0 the watch of this node's pods was lost and is opened again: cut off
                      10.0 shop/a: gone after 10.0 s
                      30.1 shop/b: gone after 30.1 s",
    );
    are(
        &run.outcomes(),
        "a evicted
                          b evicted",
    );
}

#[test]
fn without_a_complete_set_nothing_is_said_to_be_empty() {
    let cluster = Cluster::with([pod("a"), pod("b")]).deadline(30).watch_breaks(1..=60);
    let run = run(&cluster.but(|it| it.watch.pace = ms(700)));
    assert_eq!(run.emptied(), []);
    assert!(!run.verdict.listed && !run.verdict.is_clean());
    are(
        &run.outcomes(),
        "a still there, evicted, has not ended
                          b still there, evicted, has not ended",
    );
}

#[test]
fn a_pod_that_cannot_be_read_keeps_the_verdict_from_being_clean() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).plan);
    drain.set_begins();
    drain.pod_unread("too long".to_owned());
    drain.set_complete(Moment::START);
    let verdict = drain.verdict(at(secs(1)));
    assert!(!verdict.is_clean());
    let text = "POD  OUTCOME           SECONDS  NOTE\n\
                no pods in 1.0 s; 1 more could not be read and are not in this table";
    assert_eq!(verdict.to_string(), text);
}

#[test]
fn a_set_with_a_pod_that_cannot_be_read_makes_no_pod_gone() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).plan);
    drain.set_begins();
    drain.pod_seen(pod("a").pod);
    drain.set_complete(Moment::START);
    drain.set_begins();
    drain.pod_unread("too long".to_owned());
    drain.set_complete(at(secs(1)));
    assert!(drain.verdict(at(secs(1))).rows[0].gone_after.is_none());
    drain.set_begins();
    drain.set_complete(at(secs(2)));
    assert_eq!(drain.verdict(at(secs(2))).rows[0].gone_after, Some(secs(2)));
}

// The end.

#[test]
fn the_verdict_at_the_deadline_names_each_reason() {
    let cluster = Cluster::with([
        pod("blocked").covered(),
        pod("stuck").but(|it| it.finalizer = Some("example.org/wait".to_owned())),
        pod("deaf").slow().grace(300).deleted(0, 300),
        pod("failing"),
        pod("critical").tier(Tier::NodeCritical).grace(0),
    ]);
    let cluster = cluster.budget("web", 0, None).deadline(3);
    let cluster = cluster.fault(0..=3, Wrong::Busy(None)).only(Some(3), None);
    let run = run(&cluster.but(|it| {
        it.plan.budget_override = BudgetOverride::Never;
        it.plan.timing = crate::drain::timing::Timing::new(at(secs(3)), Duration::ZERO);
        it.faults.push(it.faults[0].clone());
        it.faults[1].pod = Some(2);
        it.workers = 32;
    }));
    are(&run.outcomes(), "blocked still there, refused by disruption budget shop/web
                          critical still there, evicted, has not ended
                          deaf still there, told to end by others, has not ended
                          failing still there, 503 overloaded
                          stuck still there, evicted, has not ended: held by finalizer example.org/wait");
    assert!(run.emptied().is_empty());
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
        "blocked handed over, refused by disruption budget shop/web
                          dns handed over, was not asked: its turn had not come
                          slow handed over, evicted, has not ended
                          web evicted",
    );
    assert!(run.asked().all(|(when, _)| when < at(secs(15))));
}

#[test]
fn a_stop_neither_moves_the_deadline_nor_shortens_a_grace() {
    let late = Cluster::with([pod("a").late(50)]).but(|it| it.stopped = Some((secs(5), secs(200))));
    assert_eq!(run(&late).ended, at(secs(120)));
    let early = Cluster::with([pod("a").late(50)]).but(|it| it.stopped = Some((secs(5), secs(60))));
    are(&run(&early).requests(), "50.0 a evict 30");
}

fn run_dry(cluster: Cluster) -> Run {
    run(&cluster.but(|it| it.plan.dry = true))
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
    are(
        &run.requests(),
        "0.0 a evict 30 dry
                          0.0 b evict 30 dry
                          88.0 dns evict 30 dry",
    );
    are(
        &run.outcomes(),
        "a would be evicted
                          b would be refused, by disruption budget shop/web
                          c still there, told to end by others, has not ended
                          dns would be evicted",
    );
}

#[test]
fn a_pod_that_ends_during_a_dry_run_is_gone_whatever_is_answered() {
    let cluster = Cluster::with([pod("a").deleted(0, 1)]);
    let run = run_dry(cluster.but(|it| {
        it.latency = 1200..=1200;
        it.watch.delay = ms(500);
        it.pods[0].deleted_by_others = Some((ms(100), 1));
        it.pods[0].takes = ms(1);
    }));
    are(&run.outcomes(), "a ended by others");
    let cluster = Cluster::with([pod("a").deleted(1, 1)]);
    let lost = Wrong::Silent { carried_out: true };
    let run = run_dry(cluster.fault(0..=120, lost));
    are(&run.outcomes(), "a ended by others");
}

#[test]
fn nothing_is_left_alone_without_a_word() {
    let run = run(&special_pods());
    let said: Vec<String> =
        run.said().into_iter().filter(|line| line.contains("left alone")).collect();
    are(
        &said,
        "0.0 kube-system/handler: left alone (this handler's own pod)
                0.0 shop/static: left alone (static pod of the kubelet)
                0.0 shop/logs: left alone (DaemonSet logs)",
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
shop/old              ended by others       1.0
shop/batch            shortened            30.1  was already ending, with more time than was left
shop/web-7d4b9-zzzzz  deleted              89.0  against disruption budget shop/web
shop/stuck            still there             -  evicted, has not ended: held by finalizer example.org/wait
2 evicted, 1 deleted, 1 shortened, 1 ended by others, 1 still there, 1 left alone in 120.0 s";
    assert_eq!(run.verdict.to_string(), text);
}
