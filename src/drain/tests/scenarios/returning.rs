//! Pods that tolerate the cordon: their controller starts them on this node again.

use crate::drain::tests::cluster::{Cluster, Life, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::timing::Timing;
use crate::drain::verdict::End;

/// A pod, and as many after it of the same controller, each a second after the one before is gone.
fn returning(times: usize, grace: u32) -> Vec<Life> {
    let first = pod("r-0").of("replicas").grace(grace);
    let later = (1..=times)
        .map(|number| pod(&format!("r-{number}")).of("replicas").grace(grace).after(number - 1, 1));
    std::iter::once(first).chain(later).collect()
}

#[test]
fn who_comes_back_is_evicted_a_handful_of_times_and_last_at_its_own_time() {
    let run = run(&Cluster::with(returning(60, 5)));
    are(
        &run.requests(),
        &[
            "0.0 r-0 evict 5",
            "5.1 r-1 evict 5",
            "20.2 r-2 evict 5",
            "65.3 r-3 evict 5",
            "113.0 r-4 evict 5",
        ],
    );
    are(
        &run.outcomes()[4..],
        &[
            "r-4 evicted",
            "r-5 still there, its controller put it back on this node after 5 evictions",
        ],
    );
    assert!(!run.verdict.is_clean());
}

#[test]
fn where_nothing_happens_to_the_instance_who_comes_back_is_left_alone_in_the_end() {
    let keeps_it_open = pod("a").grace(100).slow();
    let pods = returning(60, 5).into_iter().chain([keeps_it_open]);
    let run = run(&Cluster::with(pods).patience(3600));
    are(&run.requests()[2..], &["5.1 r-1 evict 5", "20.2 r-2 evict 5", "65.3 r-3 evict 5"]);
    are(
        &run.outcomes()[4..],
        &[
            "r-3 evicted",
            "r-4 left alone, its controller put it back on this node after 4 evictions",
        ],
    );
    assert_eq!(run.verdict.end, Some(End::Empty));
    assert!(run.verdict.is_clean());
}

#[test]
fn who_was_left_alone_goes_at_its_own_time_once_the_instance_goes() {
    let cluster = Cluster::with(returning(60, 5).into_iter().chain([pod("a").grace(600).slow()]));
    let later = Timing::deadline(at(secs(220)), secs(2));
    let run = run(&cluster.patience(3600).taken_over(100, later));
    let evicted = run.requests();
    assert!(evicted.contains(&"213.0 r-4 evict 5".to_owned()), "{evicted:#?}");
}

#[test]
fn who_comes_late_and_was_never_evicted_goes_at_once() {
    let pods = ["a", "b", "c"].map(|name| pod(name).of("replicas").late(3));
    let run = run(&Cluster::with(pods));
    are(&run.requests(), &["3.0 a evict 30", "3.0 b evict 30", "3.0 c evict 30"]);
}

#[test]
fn the_pods_of_a_controller_come_back_together_and_go_together() {
    let pods = |round: usize| {
        (0..2).map(move |number| {
            let life = pod(&format!("r-{round}-{number}")).of("replicas");
            if round == 0 { life } else { life.after((round - 1) * 2 + number, 1) }
        })
    };
    let run = run(&Cluster::with((0..9).flat_map(pods)).deadline(60));
    are(
        &run.requests(),
        &[
            "0.0 r-0-0 evict 30",
            "0.0 r-0-1 evict 30",
            "5.1 r-1-0 evict 30",
            "5.1 r-1-1 evict 30",
            "20.2 r-2-0 evict 30",
            "20.2 r-2-1 evict 30",
            "28.0 r-3-0 evict 30",
            "28.0 r-3-1 evict 30",
        ],
    );
}
