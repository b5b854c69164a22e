//! By when.

use crate::drain::tests::cluster::{pod, secs};
use crate::handler::tests::model::run;
use crate::handler::tests::scenarios::are;
use crate::handler::tests::script::{Says, planned, script};
use crate::notice::Action::{Hibernate, Stop, Terminate};
use crate::notice::Code::InstanceStop;
use crate::notice::NoticePath::{Lifecycle, Maintenance, TerminationTime};

/// What is said of deadlines.
const DEADLINES: [&str; 4] = ["notice", "deadline", "taken over", "evict"];

fn deadlines(says: &[(u64, Says)]) -> Vec<String> {
    let script =
        says.iter().fold(script(), |script, (second, says)| script.says(*second, says.clone()));
    run(&script.pods([pod("a").grace(600)])).lines_with(&DEADLINES)
}

#[test]
fn the_time_that_the_notice_states() {
    are(
        &deadlines(&[(10, Says::At(Terminate, 130))]),
        "10.0 * notice: terminate, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_in_the_past_starts_the_usual_window() {
    are(
        &deadlines(&[(10, Says::At(Terminate, -3600))]),
        "10.0 * notice: terminate in the past, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_too_far_ahead_starts_the_usual_window() {
    are(
        &deadlines(&[(10, Says::At(Terminate, 86_400))]),
        "10.0 * notice: terminate too far, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn no_time_starts_the_usual_window() {
    are(
        &deadlines(&[(10, Says::Soon(Terminate))]),
        "10.0 * notice: terminate some time, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_that_moves_earlier_moves_the_deadline() {
    are(
        &deadlines(&[(10, Says::At(Terminate, 130)), (20, Says::At(Terminate, 60))]),
        "10.0 * notice: terminate, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         20.0 * deadline moved, 40 s left
         60.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_that_moves_later_does_not() {
    are(
        &deadlines(&[(10, Says::At(Terminate, 130)), (20, Says::At(Terminate, 150))]),
        "10.0 * notice: terminate, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_that_moves_on_at_every_poll_is_believed_once() {
    are(
        &deadlines(&[(10, Says::In(Terminate, 120))]),
        "10.0 * notice: terminate, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_that_becomes_known_later_moves_the_deadline_if_it_is_earlier() {
    are(
        &deadlines(&[(10, Says::Soon(Terminate)), (20, Says::At(Terminate, 60))]),
        "10.0 * notice: terminate some time, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         20.0 * deadline moved, 40 s left
         60.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_time_that_is_no_longer_stated_changes_nothing() {
    are(
        &deadlines(&[(10, Says::At(Terminate, 130)), (20, Says::Soon(Terminate))]),
        "10.0 * notice: terminate, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_calendar_that_is_set_back_in_a_drain_moves_nothing() {
    let script = script().noticed().but(|it| it.clock_set = Some((secs(20), -3600)));
    are(
        &run(&script).lines_with(&DEADLINES),
        "10.0 * notice: terminate, 120 s left
         130.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_notice_that_takes_over_moves_the_deadline_only_if_it_is_earlier() {
    are(
        &deadlines(&[
            (10, Says::At(Stop, 130)),
            (20, Says::At(Terminate, 150)),
            (30, Says::At(Stop, 100)),
        ]),
        "10.0 * notice: stop, 120 s left
         10.2 evict a 118
         11.2 * empty: [a evicted]
         20.0 * taken over: terminate
         30.0 * taken over: stop
         30.0 * deadline moved, 70 s left
         100.0 * deadline, nothing has changed",
    );
}

#[test]
fn a_calendar_that_is_set_an_hour_ahead_or_back_in_a_drain_changes_nothing_of_it() {
    let notices = [
        script().says(10, Says::At(Terminate, 130)),
        script().says(10, Says::At(Terminate, 130)).path_says(
            TerminationTime,
            10,
            Says::At(Terminate, 131),
        ),
        script().says(10, Says::Soon(Stop)),
        script().says(10, Says::At(Hibernate, 130)),
        script().path_says(Lifecycle, 10, Says::Leaves(Terminate)),
        script().path_says(Maintenance, 10, Says::Planned(vec![planned(InstanceStop, 500)])),
    ];
    for script in notices {
        let script = script.pods([pod("a").grace(20), pod("b").covered(), pod("c").grace(300)]);
        let lines = run(&script).lines();
        assert!(lines.iter().any(|line| line.contains("evict a")), "{lines:#?}");
        for (second, by) in
            [12, 15, 60, 128].into_iter().flat_map(|second| [(second, 3600), (second, -3600)])
        {
            let set = script.clone().but(|it| it.clock_set = Some((secs(second), by)));
            assert_eq!(run(&set).lines(), lines, "by {by} s at {second} s");
        }
    }
}
