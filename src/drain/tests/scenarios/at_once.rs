//! The instance is going already.

use crate::drain::BudgetOverride;
use crate::drain::pod::Tier;
use crate::drain::tests::cluster::{Cluster, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::verdict::End;

#[test]
fn everybody_goes_at_once_with_the_least_grace() {
    let run = run(&Cluster::with([
        pod("agent").tier(Tier::NodeCritical),
        pod("dns").tier(Tier::ClusterCritical),
        pod("web").grace(300).slow(),
    ])
    .at_once(60));
    are(&run.requests(), &["0.0 agent evict 1", "0.0 dns evict 1", "0.0 web evict 1"]);
    are(
        &run.said()[2..3],
        &["0.1 shop/web: eviction accepted, 1 s to end instead of 300 s: no more time is left"],
    );
    assert_eq!((run.ended, run.verdict.end), (at(secs(60)), Some(End::Deadline)));
}

#[test]
fn one_refusal_of_a_budget_is_enough() {
    let run = run(&Cluster::with([pod("a").covered()]).budget("web", 0, None).at_once(60));
    are(&run.requests(), &["0.0 a evict 1", "0.1 a mark", "0.2 a delete 1"]);
}

#[test]
fn a_budget_that_is_not_to_be_overridden_is_not() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None).at_once(20);
    let run = run(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never));
    are(&run.deeds(), &["0.0 a evict 1"]);
    are(&run.outcomes(), &["a still there, refused by disruption budget shop/web"]);
}

#[test]
fn a_terminating_pod_is_hurried() {
    let run = run(&Cluster::with([pod("a").slow().deleted(0, 30)]).at_once(60));
    are(&run.requests(), &["0.0 a delete 1"]);
}

#[test]
fn nobody_waits_for_load_balancers() {
    let run = run(&Cluster::with([pod("a")]).at_once(60).balanced(0..=20));
    are(&run.requests(), &["0.0 a evict 1"]);
}
