//! Who goes, and when.

use crate::drain::machine::Drain;
use crate::drain::pod::{OwnPod, Tier};
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{Cluster, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::{are, special_pods};
use crate::moment::Moment;

#[test]
fn all_ordinary_pods_are_asked_at_once_those_with_the_longest_grace_first() {
    let cluster = Cluster::with([pod("a"), pod("b").grace(60), pod("c")]);
    let run = run(&cluster.but(|it| it.cordoned = Some(ms(10))));
    are(&run.requests(), &["0.0 b evict 60", "0.0 a evict 30", "0.0 c evict 30"]);
    are(&run.outcomes(), &["a evicted", "b evicted", "c evicted"]);
    assert_eq!(run.emptied(), [at(ms(1060))]);
    assert_eq!(run.ended, at(secs(120)));
}

#[test]
fn evictions_begin_with_the_first_pod_not_with_the_complete_set() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]);
    let run = run(&cluster.but(|it| it.watch.pace = secs(1)));
    are(&run.requests(), &["0.0 a evict 30", "1.0 b evict 30", "2.0 c evict 30"]);
}

#[test]
fn evictions_wait_for_the_cordon() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.but(|it| it.cordoned = Some(ms(300))));
    are(&run.requests(), &["0.3 a evict 30"]);
}

#[test]
fn evictions_wait_for_a_cordon_that_fails_no_longer_than_a_second() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.but(|it| it.cordoned = None));
    are(&run.requests(), &["1.0 a evict 30"]);
}

#[test]
fn tiers_follow_one_another_when_the_one_before_is_gone() {
    let run = run(&Cluster::with([
        pod("agent").tier(Tier::NodeCritical),
        pod("dns").tier(Tier::ClusterCritical),
        pod("web"),
    ]));
    are(&run.requests(), &["0.0 web evict 30", "1.1 dns evict 30", "2.1 agent evict 30"]);
}

#[test]
fn a_tier_does_not_wait_beyond_its_own_time() {
    let run = run(&Cluster::with([
        pod("agent").tier(Tier::NodeCritical).grace(10),
        pod("dns").tier(Tier::ClusterCritical).grace(40),
        pod("web").grace(118).slow(),
    ]));
    are(&run.requests(), &["0.0 web evict 118", "78.0 dns evict 40", "108.0 agent evict 10"]);
}

#[test]
fn a_tier_is_not_opened_by_a_set_that_is_not_complete() {
    let cluster = Cluster::with([pod("dns").tier(Tier::ClusterCritical), pod("web")]);
    let run = run(&cluster.but(|it| it.watch.pace = secs(10)));
    are(&run.requests(), &["10.0 web evict 30", "20.0 dns evict 30"]);
}

#[test]
fn a_late_pod_of_a_lower_tier_goes_before_the_tier_that_waits() {
    let run = run(&Cluster::with([
        pod("dns").tier(Tier::ClusterCritical),
        pod("job").late(5),
        pod("web").grace(20).slow(),
    ]));
    are(&run.requests(), &["0.0 web evict 20", "5.0 job evict 30", "20.1 dns evict 30"]);
}

#[test]
fn kubectls_rules_with_the_defaults_of_a_dying_node() {
    let run = run(&special_pods());
    are(&run.deeds(), &["0.0 done-logs evict 30", "0.0 bare evict 30", "0.0 cache evict 30"]);
    are(
        &run.outcomes(),
        &[
            "bare evicted",
            "cache evicted",
            "done-logs evicted",
            "handler left alone, this handler's own pod",
            "logs left alone, DaemonSet logs",
            "static left alone, static pod of the kubelet",
        ],
    );
}

#[test]
fn kubectls_rules_with_its_own_defaults() {
    let run = run(&special_pods().but(|it| {
        it.options.rules.drain_unmanaged = false;
        it.options.rules.delete_local_data = false;
    }));
    are(&run.deeds(), &["0.0 done-logs evict 30"]);
    are(
        &run.outcomes(),
        &[
            "bare left alone, no controller, and such pods are to stay",
            "cache left alone, emptyDir volume, and such pods are to stay",
            "done-logs evicted",
            "handler left alone, this handler's own pod",
            "logs left alone, DaemonSet logs",
            "static left alone, static pod of the kubelet",
        ],
    );
}

#[test]
fn who_is_to_go_is_said_once_when_the_first_set_is_complete() {
    let cluster = special_pods().but(|it| it.options.rules.drain_unmanaged = false);
    let run = run(&cluster.but(|it| it.pods.push(pod("late").late(4))));
    let listed = run.told().filter_map(|(_, progress)| match progress {
        DrainProgress::Listed { to_go, left_alone } => {
            Some((to_go, *left_alone, progress.to_string()))
        }
        _ => None,
    });
    let listed: Vec<_> = listed.collect();
    let [(to_go, left_alone, words)] = &listed[..] else { panic!("{listed:?}") };
    let names: Vec<_> = to_go.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!((names, *left_alone), (vec!["cache", "done-logs"], 4));
    assert_eq!(words, "of this node's pods 2 are to go; left alone: 4");
}

#[test]
fn pods_of_daemon_sets_go_if_they_are_to_but_not_their_replacements() {
    let replacement = pod("logs-2").of_daemon_set().late(4);
    let cluster = Cluster::with([pod("logs-1").of_daemon_set(), replacement]);
    let run = run(&cluster.but(|it| it.options.rules.ignore_daemon_sets = false));
    are(&run.requests(), &["0.0 logs-1 evict 30"]);
    are(&run.outcomes(), &["logs-1 evicted", "logs-2 left alone, DaemonSet logs"]);
}

#[test]
fn the_own_pod_tells_how_long_this_process_has() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    assert_eq!(drain.own_grace, None);
    for life in special_pods().pods {
        drain.pod_seen(Moment::START, life.grace(150).pod);
    }
    assert_eq!(drain.own_grace, Some(secs(150)));
}

#[test]
fn the_own_pod_may_be_known_late() {
    let cluster = special_pods();
    let mut options = cluster.options;
    let own = std::mem::replace(
        &mut options.rules.own,
        OwnPod { namespace: None, name: None, uid: None },
    );
    options.rules.ignore_daemon_sets = false;
    let mut drain = Drain::begin(Moment::START, options);
    drain.set_begins();
    drain.pod_seen(Moment::START, cluster.pods[0].clone().grace(150).pod);
    drain.own_pod(own);
    drain.set_complete(Moment::START);
    drain.release(Moment::START);
    assert_eq!(drain.own_grace, Some(secs(150)));
    assert!(drain.is_empty(), "the own pod is not to go");
}

#[test]
fn a_late_pod_goes_too_and_nothing_is_said_to_be_empty_twice() {
    let run = run(&Cluster::with([pod("a"), pod("b").late(30)]));
    are(&run.requests(), &["0.0 a evict 30", "30.0 b evict 30"]);
    are(
        &run.said(),
        &[
            "0.1 shop/a: eviction accepted, 30 s to end",
            "1.1 shop/a: gone after 1.1 s",
            "30.0 shop/b: arrived late, goes too",
            "30.1 shop/b: eviction accepted, 30 s to end",
            "31.1 shop/b: gone after 31.1 s",
        ],
    );
    assert_eq!(run.emptied(), [at(ms(1050))]);
    are(&run.outcomes(), &["a evicted", "b evicted"]);
}

#[test]
fn one_request_at_a_time_is_enough_only_slower() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]);
    let run = run(&cluster.but(|it| it.free = 1));
    are(&run.requests(), &["0.0 a evict 30", "0.1 b evict 30", "0.2 c evict 30"]);
}
