//! By when.

use crate::handler::tests::scenarios::prelude::*;

fn deadlines(says: &[(u64, Says)]) -> Run {
    let script =
        says.iter().fold(a_node(), |script, (second, says)| script.says([(*second, says.clone())]));
    script.pods([pod("a").grace(600)]).run()
}

#[test]
fn the_time_that_the_notice_states() {
    deadlines(&[(10, At(Terminate, 130))]).shows([
        "10.0 * notice: terminate, 120 s left",
        "10.2 evict a 118",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_time_in_the_past_starts_the_usual_window() {
    deadlines(&[(10, At(Terminate, -3600))]).shows([
        "10.0 * notice: terminate in the past, 120 s left",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_time_too_far_ahead_starts_the_usual_window() {
    deadlines(&[(10, At(Terminate, 86_400))]).shows([
        "10.0 * notice: terminate too far, 120 s left",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn no_time_starts_the_usual_window() {
    deadlines(&[(10, Soon(Terminate))]).shows([
        "10.0 * notice: terminate some time, 120 s left",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_time_that_moves_earlier_moves_the_deadline() {
    deadlines(&[(10, At(Terminate, 130)), (20, At(Terminate, 60))])
        .shows(["20.0 * deadline moved, 40 s left", "60.0 * deadline, nothing has changed"]);
}

#[test]
fn a_time_that_moves_later_does_not() {
    deadlines(&[(10, At(Terminate, 130)), (20, At(Terminate, 150))])
        .shows(["130.0 * deadline, nothing has changed"]);
}

#[test]
fn a_time_that_moves_on_at_every_poll_is_believed_once() {
    deadlines(&[(10, In(Terminate, 120))]).shows(["130.0 * deadline, nothing has changed"]);
}

#[test]
fn a_time_that_becomes_known_later_moves_the_deadline_if_it_is_earlier() {
    deadlines(&[(10, Soon(Terminate)), (20, At(Terminate, 60))])
        .shows(["20.0 * deadline moved, 40 s left", "60.0 * deadline, nothing has changed"]);
}

#[test]
fn a_time_that_is_no_longer_stated_changes_nothing() {
    deadlines(&[(10, At(Terminate, 130)), (20, Soon(Terminate))])
        .shows(["130.0 * deadline, nothing has changed"]);
}

#[test]
fn a_calendar_that_is_set_back_in_a_drain_moves_nothing() {
    let script = a_node().interrupted().but(|it| it.clock_set = Some((secs(20), -3600)));
    script.shows(["130.0 * deadline, nothing has changed"]);
}

#[test]
fn a_notice_that_takes_over_moves_the_deadline_only_if_it_is_earlier() {
    deadlines(&[(10, At(Stop, 130)), (20, At(Terminate, 150)), (30, At(Stop, 100))]).shows([
        "10.0 * notice: stop, 120 s left",
        "20.0 * taken over: terminate",
        "30.0 * taken over: stop",
        "30.0 * deadline moved, 70 s left",
        "100.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_calendar_that_is_set_an_hour_ahead_or_back_in_a_drain_changes_nothing_of_it() {
    let notices = [
        a_node().interrupted(),
        a_node().interrupted().path_says(TerminationTime, [(10, At(Terminate, 131))]),
        a_node().says([(10, Soon(Stop))]),
        a_node().says([(10, At(Hibernate, 130))]),
        a_node().path_says(Lifecycle, [(10, Leaves(Terminate))]),
        a_node().maintenance(10, [planned(InstanceRetirement, 500)]),
    ];
    for script in notices {
        let script = script.pods([pod("a").grace(20), pod("b").covered(), pod("c").grace(300)]);
        let lines = script.run().lines();
        assert!(lines.iter().any(|line| line.contains("evict a")), "{lines:#?}");
        for (second, by) in
            [12, 15, 60, 128].into_iter().flat_map(|second| [(second, 3600), (second, -3600)])
        {
            let set = script.clone().but(|it| it.clock_set = Some((secs(second), by)));
            assert_eq!(set.run().lines(), lines, "by {by} s at {second} s");
        }
    }
}
