//! What the watch tells, and what it misses.

use crate::drain::ask::Answer;
use crate::drain::machine::{Drain, Presence, Step};
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{Arrival, Cluster, Wrong, at, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::moment::Moment;

#[test]
fn another_pod_of_the_same_name_is_another_pod() {
    let mut next = pod("db-0").of("another").slow();
    next.pod.reference = {
        let mut reference = (*next.pod.reference).clone();
        reference.uid = "db-0-next".to_owned();
        reference.into()
    };
    next.arrival = Arrival::After(0, ms(10));
    let cluster = Cluster::with([pod("db-0"), next]);
    let seen = run(&cluster.clone());
    are(&seen.requests(), &["0.0 db-0 evict 30", "1.1 db-0-next evict 30"]);
    are(&seen.outcomes(), &["db-0 evicted", "db-0-next evicted"]);
    // The first ends unseen, and its name is taken when it is asked again.
    let lost = Wrong::CutOff { carried_out: true };
    let unseen = run(&cluster.fault(0..=1, lost).but(|it| it.watch.delay = secs(10)));
    are(&unseen.outcomes(), &["db-0 evicted, the answer was lost", "db-0-next evicted"]);
    let gone = unseen.verdict.rows[0].gone_after.unwrap();
    assert!(gone < secs(5), "known from the answer, not from the watch: {gone:?}");
}

#[test]
fn deletions_that_the_watch_missed_are_noticed_with_the_next_set() {
    let run = run(&Cluster::with([pod("a"), pod("b").slow()]).watch_breaks(1..=10));
    are(
        &run.said(),
        &[
            "0.1 shop/a: eviction accepted, 30 s to end",
            "0.1 shop/b: eviction accepted, 30 s to end",
            "1.0 the watch of this node's pods was lost and is opened again: cut off",
            "10.0 shop/a: gone after 10.0 s",
            "30.1 shop/b: gone after 30.1 s",
        ],
    );
    are(&run.outcomes(), &["a evicted", "b evicted"]);
}

#[test]
fn without_a_complete_set_nothing_is_said_to_be_empty() {
    let cluster = Cluster::with([pod("a"), pod("b")]).deadline(30).watch_breaks(1..=60);
    let run = run(&cluster.but(|it| it.watch.pace = ms(700)));
    assert_eq!(run.emptied(), []);
    assert!(!run.verdict.listed && !run.verdict.is_clean());
    are(
        &run.outcomes(),
        &["a still there, evicted, has not ended", "b still there, evicted, has not ended"],
    );
}

#[test]
fn a_pod_that_cannot_be_read_keeps_the_verdict_from_being_clean() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    drain.set_begins();
    drain.pod_unread(None, "too long".to_owned());
    drain.set_complete(Moment::START);
    let verdict = drain.verdict(at(secs(1)));
    assert!(!verdict.is_clean());
    let text = "POD  OUTCOME           SECONDS  NOTE\n\
                no pods in 1.0 s; 1 more could not be read and are not in this table";
    assert_eq!(verdict.to_string(), text);
}

#[test]
fn a_set_with_a_pod_that_cannot_be_read_makes_no_pod_gone() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    drain.set_begins();
    drain.pod_seen(Moment::START, pod("a").pod);
    drain.set_complete(Moment::START);
    drain.set_begins();
    drain.pod_unread(None, "too long".to_owned());
    drain.set_complete(at(secs(1)));
    assert!(drain.verdict(at(secs(1))).rows[0].gone_after.is_none());
    drain.set_begins();
    drain.set_complete(at(secs(2)));
    assert_eq!(drain.verdict(at(secs(2))).rows[0].gone_after, Some(secs(2)));
    assert!(drain.verdict(at(secs(2))).is_clean(), "all that are there have been read now");
}

#[test]
fn a_pod_that_cannot_be_read_counts_once_however_often_it_changes() {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    let unread = |drain: &Drain| drain.verdict(at(secs(1))).unread;
    drain.set_begins();
    for _ in 0..10 {
        drain.pod_unread(Some("b".to_owned()), "too long".to_owned());
    }
    drain.pod_unread(Some("c".to_owned()), "too long".to_owned());
    drain.pod_unread(None, "cut".to_owned());
    drain.set_complete(Moment::START);
    assert_eq!(unread(&drain), 3);
    let mut said = 0;
    while let Step::Tell(progress) = drain.next(Moment::START, 0) {
        said += usize::from(matches!(progress, DrainProgress::Unread { .. }));
    }
    assert_eq!(said, 3, "each is said once");
    // One is read after all, one goes.
    drain.pod_seen(Moment::START, pod("b").pod);
    drain.pod_gone(Moment::START, "c");
    assert_eq!(unread(&drain), 1);
    // What is known of a pod stays known: it stands in the table, and is not gone.
    drain.set_begins();
    drain.pod_unread(Some("b".to_owned()), "too long".to_owned());
    drain.set_complete(at(secs(1)));
    assert_eq!(unread(&drain), 0);
    assert_eq!(drain.verdict(at(secs(1))).rows[0].gone_after, None);
}

/// The pod `a` is all there is, and was asked.
fn a_was_asked() -> Drain {
    let mut drain = Drain::begin(Moment::START, Cluster::with([]).options);
    drain.node_is(Presence::Present);
    drain.release(Moment::START);
    drain.set_begins();
    drain.pod_seen(Moment::START, pod("a").pod);
    drain.set_complete(Moment::START);
    assert_eq!(next_asked(&mut drain, Moment::START).as_deref(), Some("a"));
    drain
}

#[test]
fn a_pod_that_is_there_again_is_asked_again() {
    let mut drain = a_was_asked();
    // An API server that lags behind the others says no twice, and the watch says yes.
    drain.answered(at(ms(50)), "a", Answer::Gone);
    assert_eq!(next_asked(&mut drain, at(ms(250))).as_deref(), Some("a"));
    drain.answered(at(ms(260)), "a", Answer::Gone);
    assert!(drain.is_empty());
    drain.pod_seen(Moment::START, pod("a").pod);
    assert_eq!(next_asked(&mut drain, at(ms(270))).as_deref(), Some("a"));
}

/// Who asks in a node's name is answered from a cache that lags behind.
#[test]
fn a_pod_that_was_not_found_once_is_not_gone() {
    let mut drain = a_was_asked();
    drain.answered(at(ms(50)), "a", Answer::Gone);
    assert!(!drain.is_empty());
    let verdict = drain.verdict(at(ms(100)));
    assert_eq!(verdict.rows[0].outcome.to_string(), "the API server did not find it (404)");
    assert_eq!(next_asked(&mut drain, at(ms(240))), None, "it is given a moment");
    assert_eq!(next_asked(&mut drain, at(ms(250))).as_deref(), Some("a"));
    drain.answered(at(ms(260)), "a", Answer::Accepted);
    drain.pod_gone(at(ms(300)), "a");
    let table = drain.verdict(at(ms(300))).to_string();
    assert_eq!(table.lines().last(), Some("1 evicted in 0.3 s"));
}

fn next_asked(drain: &mut Drain, now: Moment) -> Option<String> {
    loop {
        match drain.next(now, 1) {
            Step::Tell(_) | Step::Verdict(..) | Step::GiveUp(_) => {}
            Step::Ask(job) => return Some(job.pod.uid.clone()),
            Step::Wait(_) | Step::Done(_) => return None,
        }
    }
}
