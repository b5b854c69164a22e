//! Disruption budgets, and what becomes of those they hold.

use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{Cluster, Verb, Wrong, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::moment::Moment;

#[test]
fn a_budget_that_lets_one_go_at_a_time_is_used_as_fast_as_it_frees() {
    let pods = ["a", "b", "c"].map(|name| pod(name).covered());
    let run = run(&Cluster::with(pods).budget("web", 1, Some(secs(5))));
    are(&run.outcomes(), &["a evicted", "b evicted", "c evicted"]);
    let mut gone: Vec<Duration> =
        run.verdict.rows.iter().map(|row| row.gone_after.unwrap()).collect();
    gone.sort();
    for ends in gone.windows(2) {
        // The replacement takes 5 s, the pod one to end, and the next try is never a second away.
        let between = ends[1].saturating_sub(ends[0]);
        assert!(between >= secs(6) && between <= ms(7100), "{between:?}");
    }
}

#[test]
fn a_budget_that_lets_one_go_is_tried_for_the_next_at_once() {
    let pods = ["a", "b", "c", "d"].map(|name| pod(name).covered());
    let run = run(&Cluster::with(pods).budget("web", 2, Some(secs(5))));
    let evicted: Vec<Moment> = run
        .told()
        .filter(|(_, progress)| matches!(progress, DrainProgress::Evicted { .. }))
        .map(|(when, _)| when)
        .collect();
    assert_eq!(evicted[3].since(evicted[2]), ms(100), "one round trip: {evicted:?}");
}

#[test]
fn the_pauses_of_a_budget_begin_anew_when_it_has_let_one_go() {
    let pods = ["a", "b", "c"].map(|name| pod(name).covered());
    let run = run(&Cluster::with(pods).budget("web", 1, Some(secs(5))));
    let freed =
        run.told().filter(|(_, it)| matches!(it, DrainProgress::Evicted { .. })).nth(1).unwrap().0;
    let tried: Vec<Moment> = run.asked().map(|it| it.0).filter(|at| *at >= freed).take(2).collect();
    assert!(tried[1].since(tried[0]) <= ms(300), "a round trip and the first pause: {tried:?}");
}

#[test]
fn a_refusal_that_comes_too_late_changes_nothing() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.but(|it| it.pods[0].deleted_by_others = Some((ms(60), 30))));
    are(&run.requests(), &["0.0 a evict 30"]);
    are(&run.outcomes(), &["a ended by others"]);
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
    are(&run.deeds(), &["0.0 a evict 30", "87.0 a mark", "88.0 a delete 30"]);
    are(&run.outcomes(), &["a deleted, against disruption budget shop/web"]);
    are(
        &run.said(),
        &[
            "0.1 shop/a: eviction refused by disruption budget shop/web; retried for 87 s, then it is deleted",
            "88.1 shop/a: deleted, 30 s to end: its time was up and disruption budget shop/web had not let it go",
            "118.0 shop/a: gone after 118.0 s",
        ],
    );
}

#[test]
fn a_budget_is_not_overridden_if_it_is_never_to_be() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never));
    are(&run.deeds(), &["0.0 a evict 30"]);
    are(&run.outcomes(), &["a still there, refused by disruption budget shop/web"]);
    let last = run.asked().last().unwrap().0;
    assert!(last > at(secs(118)), "it was tried until the deadline, not {last:?}");
}

#[test]
fn with_a_grace_longer_than_the_time_left_one_refusal_is_enough() {
    let run = run(&Cluster::with([pod("a").grace(300).covered()]).budget("web", 0, None));
    are(&run.requests(), &["0.0 a evict 118", "0.1 a mark", "0.2 a delete 118"]);
}

#[test]
fn a_failing_status_patch_neither_stops_nor_repeats() {
    for wrong in
        [Wrong::Forbidden, Wrong::Busy(Some(secs(60))), Wrong::CutOff { carried_out: false }]
    {
        let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
        let run = run(&cluster.fault(0..=120, wrong).only(None, Some(Verb::Mark)));
        are(&run.deeds(), &["0.0 a evict 30", "87.0 a mark", "88.0 a delete 30"]);
        are(&run.outcomes(), &["a deleted, against disruption budget shop/web"]);
    }
}

#[test]
fn a_status_patch_that_hangs_costs_no_pod_its_end() {
    let cluster = Cluster::with([pod("a").grace(2).covered()]).budget("web", 0, None);
    let hangs = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(0..=120, hangs).only(None, Some(Verb::Mark)));
    are(&run.outcomes(), &["a deleted, against disruption budget shop/web"]);
}

#[test]
fn a_last_try_that_hangs_does_not_delay_the_deletion() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let hangs = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(84..=88, hangs).only(None, Some(Verb::Evict)));
    let last = run.deeds().split_off(run.deeds().len() - 2);
    are(&last, &["88.0 a mark", "88.1 a delete 30"]);
}

#[test]
fn what_a_403_means_for_a_status_patch_is_said_once() {
    let pods = [pod("a").covered(), pod("b").grace(20).covered()];
    let cluster = Cluster::with(pods).budget("web", 0, None);
    let run = run(&cluster.fault(0..=120, Wrong::Forbidden).only(None, Some(Verb::Mark)));
    let about_a = |line: &String| line.contains("shop/a") || line.contains("DisruptionTarget");
    are(
        &run.said().into_iter().filter(about_a).collect::<Vec<_>>(),
        &[
            "0.1 shop/a: eviction refused by disruption budget shop/web; retried for 87 s, then it is deleted",
            "87.1 shop/a: the condition DisruptionTarget could not be set, so a Job may count the deletion as a failure: not for you",
            "88.1 shop/a: deleted, 30 s to end: its time was up and disruption budget shop/web had not let it go",
            "89.0 shop/a: gone after 89.0 s",
        ],
    );
}
