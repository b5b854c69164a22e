//! What fails, and what is then said.

use crate::drain::limit::Limit;
use crate::drain::tests::cluster::{Cluster, Verb, Wrong, at, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::scenarios::are;
use crate::drain::tests::trace::Run;

#[test]
fn what_fails_is_tried_again_until_it_works_and_others_are_not_held_up() {
    let unauthorized = Wrong::Unauthorized;
    for wrong in [Wrong::Busy(None), Wrong::CutOff { carried_out: false }, unauthorized] {
        let cluster = Cluster::with([pod("a"), pod("b")]);
        let run = run(&cluster.fault(0..=10, wrong).only(Some(0), None));
        are(&run.deeds(), &["0.0 a evict 30", "0.0 b evict 30"]);
        are(&run.outcomes(), &["a evicted", "b evicted"]);
        let gone = run.verdict.rows[0].gone_after.unwrap();
        assert!(gone > secs(10) && gone < secs(14), "{gone:?}");
        let said: Vec<String> = run
            .said()
            .into_iter()
            .filter(|line| line.contains("again") || line.contains("retried"))
            .collect();
        assert_eq!(said.len(), 2, "that it fails, and that it is over: {said:#?}");
    }
}

#[test]
fn what_the_server_asks_for_is_obeyed_but_not_beyond_the_pods_own_time() {
    for (asked, then) in
        [(20, &["20.1 a evict 30"][..]), (100, &["87.0 a mark", "88.0 a delete 30"][..])]
    {
        let cluster = Cluster::with([pod("a")]);
        let run = run(&cluster.fault(0..=1, Wrong::Busy(Some(secs(asked)))));
        are(&run.requests(), &[&["0.0 a evict 30"], then].concat());
    }
}

#[test]
fn after_its_own_time_a_pod_waits_no_longer_than_a_second() {
    let cluster = Cluster::with([pod("a").late(100)]);
    let run = run(&cluster.fault(100..=101, Wrong::Busy(Some(secs(60)))));
    are(
        &run.requests(),
        &["100.0 a evict 18", "100.1 a mark", "100.2 a delete 18", "101.3 a delete 17"],
    );
}

#[test]
fn failures_do_not_put_a_deletion_off() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let run = run(&cluster.fault(40..=88, Wrong::Busy(None)));
    are(&run.deeds(), &["0.0 a evict 30", "87.0 a mark", "88.0 a delete 30"]);
}

#[test]
fn a_missing_permission_is_said_once_and_the_others_go_on() {
    let cluster = Cluster::with([pod("a"), pod("b"), pod("c")]).deadline(20);
    let cluster = cluster.fault(0..=20, Wrong::Forbidden).only(Some(0), None);
    let run = run(&cluster.fault(0..=20, Wrong::Forbidden).only(Some(1), None));
    are(
        &run.said(),
        &[
            "0.1 shop/a: the API server forbids it: not for you. Other pods go on; its time is up: it is deleted next",
            "0.1 shop/c: eviction accepted, 18 s to end instead of 30 s: no more time is left",
            "0.2 shop/a: the condition DisruptionTarget could not be set, so a Job may count the deletion as a failure: not for you",
            "1.1 shop/c: gone after 1.1 s",
        ],
    );
    are(
        &run.outcomes(),
        &["a still there, not for you", "b still there, not for you", "c evicted"],
    );
    assert!(run.asked().filter(|(_, job)| job.pod.name == "a").count() > 15);
}

#[test]
fn a_permission_that_is_granted_late_is_used() {
    let run = run(&Cluster::with([pod("a")]).fault(0..=8, Wrong::Forbidden));
    are(&run.requests(), &["0.0 a evict 30", "5.1 a evict 30", "10.2 a evict 30"]);
}

#[test]
fn a_namespace_that_is_being_deleted_is_waited_for() {
    let run =
        run(&Cluster::with([pod("a").deleted(5, 30)]).fault(0..=120, Wrong::NamespaceTerminating));
    are(&run.requests(), &["0.0 a evict 30", "2.1 a evict 30", "4.2 a evict 30"]);
    are(
        &run.said(),
        &[
            "0.1 shop/a: its namespace is being deleted, and the pod with it; retried for 87 s, then it is deleted",
            "6.0 shop/a: gone after 6.0 s",
        ],
    );
    are(&run.outcomes(), &["a ended by others"]);
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    let cluster = Cluster::with([pod("a").slow()]);
    let run = run(&cluster
        .fault(0..=1, Wrong::CutOff { carried_out: true })
        .but(|it| it.watch.delay = secs(9)));
    let requests = run.requests();
    assert!(
        requests.len() > 1 && requests.iter().all(|it| it.ends_with("a evict 30")),
        "{requests:?}"
    );
    are(&run.outcomes(), &["a evicted"]);
}

#[test]
fn a_pod_whose_answer_was_lost_and_that_ends_is_told_as_such() {
    let lost = Wrong::CutOff { carried_out: true };
    let evicted = run(&Cluster::with([pod("a")]).fault(0..=120, lost.clone()));
    are(&evicted.outcomes(), &["a evicted, the answer was lost"]);
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let deleted = run(&cluster.fault(85..=120, lost));
    are(
        &deleted.outcomes(),
        &["a deleted, against disruption budget shop/web; the answer was lost"],
    );
    are(&about_deletion(&deleted), &[DELETED]);
}

#[test]
fn a_deletion_whose_answer_was_lost_is_said_once_also_if_the_pod_is_hurried() {
    let cluster = Cluster::with([pod("a").covered().slow()]).budget("web", 0, None);
    let cluster = cluster.fault(85..=90, Wrong::CutOff { carried_out: true });
    let run = run(&cluster.taken_over(95, Limit::Deadline(at(secs(105)))));
    let hurried = "95.1 shop/a: was already ending, with more time than is left: 8 s to end now";
    are(&about_deletion(&run), &[DELETED, hurried]);
    are(&run.outcomes(), &["a deleted, against disruption budget shop/web"]);
}

const DELETED: &str = "88.1 shop/a: deleted, though the answer was lost: its time was up and \
                       disruption budget shop/web had not let it go";

fn about_deletion(run: &Run) -> Vec<String> {
    let said = run.said().into_iter();
    said.filter(|line| line.contains("deleted, ") || line.contains("already ending")).collect()
}

#[test]
fn a_pod_that_ends_before_the_last_answer_is_told_as_such() {
    let cluster = Cluster::with([pod("a"), pod("b").slow()]);
    let cluster = cluster.fault(0..=120, Wrong::Silent { carried_out: true });
    let run = run(&cluster.but(|it| it.stopped = Some((secs(1), secs(3)))));
    are(
        &run.outcomes(),
        &["a evicted, the answer was lost", "b handed over, evicted, has not ended"],
    );
}

#[test]
fn a_deletion_that_hangs_is_followed_by_another_in_time() {
    let cluster = Cluster::with([pod("a").covered()]).budget("web", 0, None);
    let hangs = Wrong::Silent { carried_out: false };
    let run = run(&cluster.fault(85..=90, hangs).only(None, Some(Verb::Delete)));
    let mut deletions = run.requests();
    deletions.retain(|request| request.contains("delete"));
    are(&deletions, &["88.0 a delete 30", "109.4 a delete 9"]);
    are(&run.outcomes(), &["a deleted, against disruption budget shop/web"]);
}

#[test]
fn what_others_end_while_we_are_refused_is_not_claimed() {
    let run = run(&Cluster::with([pod("a").deleted(3, 30)]).fault(0..=120, Wrong::Busy(None)));
    are(&run.outcomes(), &["a ended by others"]);
}

#[test]
fn it_is_not_said_that_the_server_answers_again_while_it_does_not() {
    // A pod that others end too late, and a server that is away all the time.
    let away = Wrong::CutOff { carried_out: false };
    let cluster = Cluster::with([pod("a").slow().deleted(0, 600)]).fault(0..=120, away);
    let run = run(&cluster);
    are(&run.said(), &["0.1 shop/a: connection cut off; retried until the drain ends"]);
    are(&run.outcomes(), &["a still there, was ending already, has not ended"]);
}

#[test]
fn an_answer_that_is_lost_for_a_pod_that_is_gone_troubles_nobody() {
    let cluster = Cluster::with([pod("a")]);
    let run = run(&cluster.fault(0..=120, Wrong::Silent { carried_out: true }));
    are(&run.said(), &["1.1 shop/a: gone after 1.1 s"]);
    are(&run.outcomes(), &["a evicted, the answer was lost"]);
}
