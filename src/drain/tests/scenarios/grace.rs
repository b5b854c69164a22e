//! How long a pod is given.

use crate::drain::tests::cluster::{Cluster, at, grace, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;

#[test]
fn a_grace_longer_than_the_time_left_is_cut() {
    let run = run(&Cluster::with([pod("a").grace(300).slow()]));
    are(&run.requests(), &["0.0 a evict 118"]);
    are(
        &run.said()[..1],
        &["0.1 shop/a: eviction accepted, 118 s to end instead of 300 s: no more time is left"],
    );
    are(&run.outcomes(), &["a evicted"]);
}

#[test]
fn a_graceful_node_shutdown_gives_more_grace_and_budgets_more_time() {
    let pods = [pod("a").grace(300).slow(), pod("b").covered().slow()];
    let cluster = Cluster::with(pods).budget("web", 0, None);
    let run = run(&cluster.but(|it| it.options.node_shutdown = secs(120)));
    let b = ["117.1 b evict 30", "118.0 b delete 30"];
    are(
        &[&run.requests()[..1], &run.requests()[run.requests().len() - 2..]].concat(),
        &[&["0.0 a evict 238"][..], &b].concat(),
    );
    are(
        &run.outcomes(),
        &[
            "a still there, evicted, has not ended",
            "b still there, deleted against disruption budget shop/web, has not ended",
        ],
    );
}

#[test]
fn a_late_pod_gets_what_is_left_and_never_less_than_a_second() {
    let run = run(&Cluster::with([pod("a").late(100), pod("b").late(119)]));
    are(&run.requests(), &["100.0 a evict 18", "119.0 b evict 1"]);
}

#[test]
fn a_grace_of_zero_counts_as_one() {
    let run = run(&Cluster::with([pod("a").grace(0)]));
    are(&run.requests(), &["0.0 a evict 1"]);
}

#[test]
fn the_operators_grace_only_shortens() {
    let cluster = Cluster::with([pod("a").grace(10), pod("b").grace(60)]);
    let run = run(&cluster.but(|it| it.options.longest_grace = Some(grace(20))));
    are(&run.requests(), &["0.0 a evict 10", "0.0 b evict 20"]);
}

#[test]
fn a_pod_that_others_end_too_late_is_hurried() {
    let cluster = Cluster::with([pod("a").slow().deleted(0, 600), pod("b").slow().deleted(0, 100)]);
    let run = run(&cluster);
    are(&run.requests(), &["0.0 a delete 30"]);
    are(
        &run.outcomes(),
        &[
            "a shortened, was already ending, with more time than was left",
            "b ending already, told to end before this drain saw it",
        ],
    );
}

#[test]
fn an_eviction_of_a_pod_that_others_end_does_not_shorten_it_so_it_is_hurried() {
    let cluster = Cluster::with([pod("a").slow()]);
    let run = run(&cluster.but(|it| it.pods[0].deleted_by_others = Some((ms(10), 600))));
    are(&run.requests(), &["0.0 a evict 30", "0.1 a delete 30"]);
}

#[test]
fn a_deadline_that_is_pulled_in_hurries_those_that_are_ending() {
    let cluster = Cluster::with([pod("a").grace(100).slow()]);
    let run = run(&cluster.but(|it| it.pulled_in.push((secs(10), secs(60)))));
    are(&run.requests(), &["0.0 a evict 100", "10.0 a delete 48"]);
    are(&run.outcomes(), &["a evicted"]);
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
    are(&run.requests(), &["0.0 a evict 118"]);
}

#[test]
fn whom_we_told_to_end_ends_by_our_clock_whatever_the_api_servers_says() {
    let cluster = Cluster::with([pod("a").grace(300).slow()]);
    let run = run(&cluster.but(|it| it.watch.skew = 20_000));
    are(&run.requests(), &["0.0 a evict 118"]);
}
