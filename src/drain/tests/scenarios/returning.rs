//! Pods that tolerate the cordon: their controller starts them on this node again.

use crate::drain::ask::Answer;
use crate::drain::limit::Limit;
use crate::drain::machine::{Drain, Presence, Step};
use crate::drain::tests::cluster::{Cluster, Life, Verb, Wrong, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::verdict::End;
use crate::moment::Moment;

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
            "2.0 r-1 evict 5",
            "19.1 r-2 evict 5",
            "66.2 r-3 evict 5",
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
    let run = run(&Cluster::with(pods).timeout(3600));
    are(&run.requests()[2..], &["2.0 r-1 evict 5", "19.1 r-2 evict 5", "66.2 r-3 evict 5"]);
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
fn who_was_left_alone_goes_as_any_other_once_the_instance_goes() {
    let taken_over = |grace, limit| {
        let keeps_it_open = pod("a").grace(600).slow();
        let cluster = Cluster::with(returning(60, grace).into_iter().chain([keeps_it_open]));
        let run = run(&cluster.timeout(3600).taken_over(100, limit));
        run.requests().into_iter().find(|it| it.contains("r-4 ")).unwrap()
    };
    let deadline = Limit::Deadline(at(secs(220)));
    assert_eq!(taken_over(5, deadline), "100.0 r-4 evict 5");
    assert_eq!(taken_over(300, deadline), "100.0 r-4 evict 118");
    assert_eq!(
        taken_over(5, Limit::AtOnce { since: at(secs(100)), until: at(secs(160)) }),
        "100.0 r-4 evict 1"
    );
}

#[test]
fn who_comes_back_after_its_own_time_runs_for_half_of_what_is_left() {
    let run = run(&Cluster::with(returning(60, 100)));
    are(
        &run.requests(),
        &[
            "0.0 r-0 evict 100",
            "2.0 r-1 evict 100",
            "18.0 r-2 evict 100",
            "69.0 r-3 evict 49",
            "94.5 r-4 evict 23",
            "107.3 r-5 evict 11",
        ],
    );
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
            "2.0 r-1-0 evict 30",
            "2.0 r-1-1 evict 30",
            "19.1 r-2-0 evict 30",
            "19.1 r-2-1 evict 30",
            "28.0 r-3-0 evict 30",
            "28.0 r-3-1 evict 30",
            "44.0 r-4-0 evict 14",
            "44.0 r-4-1 evict 14",
        ],
    );
}

#[test]
fn a_deadline_that_moves_forgets_nobody_who_runs_on() {
    let first = |moved: fn(Cluster) -> Cluster| {
        let run = run(&moved(Cluster::with(returning(5, 30)).deadline(600)));
        run.requests().into_iter().find(|it| it.contains("r-4 ")).unwrap()
    };
    // It came at 68 s, and its own time at 568 s.
    let at_once = Limit::AtOnce { since: at(secs(70)), until: at(secs(130)) };
    assert_eq!(
        first(|it| it.but(|it| it.pulled_in.push((secs(70), secs(85))))),
        "70.0 r-4 evict 13"
    );
    assert!(first(|it| it) == "568.0 r-4 evict 30");
    let run = run(&Cluster::with(returning(5, 30)).deadline(600).taken_over(70, at_once));
    assert!(run.requests().contains(&"70.0 r-4 evict 1".to_owned()), "{:#?}", run.requests());
}

#[test]
fn an_eviction_whose_answer_was_lost_counts() {
    let cluster =
        Cluster::with(returning(30, 5)).fault(0..=120, Wrong::CutOff { carried_out: true });
    let run = run(&cluster.only(None, Some(Verb::Evict)));
    assert!(run.asked().count() < 12, "{:#?}", run.requests());
}

#[test]
fn who_was_asked_once_has_no_turn_to_wait_for() {
    let cluster = Cluster::with(returning(3, 30)).fault(17..=20, Wrong::Busy(None));
    let run = run(&cluster.only(Some(2), Some(Verb::Evict)));
    let asked: Vec<String> = run.requests().into_iter().filter(|it| it.contains("r-2")).collect();
    assert!(asked.len() > 2 && asked[1].starts_with("19."), "{asked:#?}");
}

#[test]
fn who_runs_on_may_end_by_itself() {
    let keeps_it_open = || pod("a").grace(600).slow();
    let pods = || returning(4, 5).into_iter().chain([keeps_it_open()]);
    let deadline = Limit::Deadline(at(secs(220)));
    // The fourth that comes back is told to end by others.
    let ends = |when, grace| {
        let cluster = Cluster::with(pods()).timeout(3600).taken_over(100, deadline);
        run(&cluster.but(|it| it.pods[4].deleted_by_others = Some((secs(when), grace))))
    };
    are(&ends(80, 1).outcomes()[5..], &["r-4 ended by others"]);
    are(&ends(98, 10).outcomes()[5..], &["r-4 ended by others"]);
}

#[test]
fn an_eviction_counts_though_a_late_report_brings_its_pod_back() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    drain.node_is(Presence::Present);
    drain.release(Moment::START);
    drain.set_begins();
    drain.set_complete(Moment::START);
    let comes = |drain: &mut Drain, name: &str| {
        drain.pod_seen(Moment::START, pod(name).of("replicas").pod);
    };
    let is_asked = |drain: &mut Drain, name: &str| loop {
        match drain.next(Moment::START, 8) {
            Step::Ask(job) if job.pod.name == name => break true,
            Step::Wait(_) | Step::Done(_) => break false,
            _ => {}
        }
    };
    for name in ["r-0", "r-1"] {
        comes(&mut drain, name);
        assert!(is_asked(&mut drain, name), "{name}");
        drain.answered(Moment::START, name, Answer::Accepted);
        drain.pod_gone(Moment::START, name);
        // What another server still has of it.
        comes(&mut drain, name);
    }
    comes(&mut drain, "r-2");
    assert!(!is_asked(&mut drain, "r-2"), "two of its controller's pods were evicted before it");
}
