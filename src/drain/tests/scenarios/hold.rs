//! The node is taken out of load balancers: evictions wait for that, as long as they can.

use crate::drain::BudgetOverride;
use crate::drain::limit::Limit;
use crate::drain::tests::cluster::{Cluster, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;

#[test]
fn evictions_wait_for_the_load_balancers() {
    let run = run(&Cluster::with([pod("a")]).balanced(0..=20));
    are(&run.requests(), &["20.0 a evict 30"]);
}

#[test]
fn a_hold_costs_no_pod_its_grace() {
    let pods = [pod("long").grace(300), pod("middle").grace(110).slow(), pod("short").grace(10)];
    let run = run(&Cluster::with(pods).balanced(0..=20));
    are(&run.requests(), &["0.0 long evict 118", "8.0 middle evict 110", "20.0 short evict 10"]);
}

#[test]
fn a_pod_that_comes_after_the_hold_does_not_wait() {
    let run = run(&Cluster::with([pod("a").late(10), pod("b").late(30)]).balanced(0..=20));
    are(&run.requests(), &["20.0 a evict 30", "30.0 b evict 30"]);
}

#[test]
fn with_a_timeout_a_hold_counts_whole_and_ends_with_the_drain() {
    let whole = run(&Cluster::with([pod("a").grace(300)]).timeout(200).balanced(0..=90));
    are(&whole.requests(), &["90.0 a evict 300"]);
    let longer = run(&Cluster::with([pod("a")]).timeout(60).balanced(0..=90));
    are(&longer.requests(), &[]);
    assert_eq!(longer.ended, at(secs(60)));
}

#[test]
fn a_hold_is_cut_by_the_deadline_that_takes_over() {
    let cluster = Cluster::with([pod("a").grace(60)]).timeout(3600).balanced(0..=300);
    let run = run(&cluster.taken_over(10, Limit::Deadline(at(secs(130)))));
    are(&run.requests(), &["68.0 a evict 60"]);
}

#[test]
fn a_budget_is_not_tried_again_during_a_hold() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None).balanced(1..=20);
    let run = run(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never));
    let within = |seconds: u64| run.asked().filter(|(when, _)| *when < at(secs(seconds))).count();
    assert!(within(1) > 1 && within(20) == within(1) && within(22) > within(20));
}

#[test]
fn whoever_ends_too_late_is_hurried_during_a_hold() {
    let run = run(&Cluster::with([pod("a").slow().deleted(0, 600)]).balanced(0..=20));
    are(&run.requests(), &["0.0 a delete 30"]);
}

#[test]
fn a_dry_run_waits_for_no_load_balancer() {
    let cluster = Cluster::with([pod("a")]).balanced(0..=20);
    let run = run(&cluster.but(|it| it.options.dry = true));
    are(&run.requests(), &["0.0 a evict 30 dry"]);
}
