//! Which answers of the metadata service are one notice.

use crate::handler::tests::scenarios::prelude::*;

#[test]
fn nothing_is_done_while_there_is_no_notice() {
    a_node().path_says(NoticeUrl, [(0, Nothing)]).transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
}

#[test]
fn a_notice_from_its_beginning_to_its_end() {
    interrupted_node([pod("a"), pod("b").grace(60).covered()]).transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * notice: terminate, 120 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 evict b 60",
        "10.2 evict a 30",
        "67.0 mark b",
        "68.0 delete b 60",
        "69.0 * empty: [a evicted, b deleted]",
        "130.0 * deadline, nothing has changed",
        "130.0 disconnect",
        "130.0 read node-1",
        "130.1 patch node-1: ours, drained",
        "130.2 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
}

#[test]
fn a_notice_that_stands_on_is_drained_for_once() {
    a_node().interrupted().sigterm(&[900]).shows(["10.0 * notice: terminate, 120 s left"]);
}

#[test]
fn three_answers_without_it_end_a_notice_and_the_same_again_is_a_new_one() {
    a_node()
        .says([(10, At(Terminate, 40)), (60, Nothing), (63, At(Terminate, 90))])
        .pods([pod("a"), pod("late").late(50)])
        .since(60)
        .shows([
            "62.0 * notice withdrawn",
            "62.1 patch node-1: ours",
            "63.0 * notice: terminate, 27 s left",
            "63.1 evict late 25",
            "90.1 patch node-1: ours, drained",
        ]);
}

#[test]
fn two_answers_without_it_do_not_end_a_notice() {
    a_node()
        .says([(10, At(Terminate, 40)), (60, Nothing), (62, At(Terminate, 90))])
        .shows(["10.0 * notice: terminate, 30 s left"]);
}

#[test]
fn failures_do_not_end_a_notice_and_are_reported_once() {
    a_node()
        .says([(10, At(Terminate, 40)), (60, Nothing), (62, Fails), (80, At(Terminate, 90))])
        .run()
        .shows([
            "10.0 * notice: terminate, 30 s left",
            "62.0 * failing: spot/instance-action",
            "80.0 * recovered: spot/instance-action, 18 failed",
        ]);
}

#[test]
fn two_paths_that_say_the_same_are_one_notice() {
    a_node()
        .interrupted()
        .path_says(NoticeUrl, [(10, At(Terminate, 130)), (140, Nothing)])
        .shows(["10.0 * notice: terminate, 120 s left"]);
}

#[test]
fn two_paths_that_say_the_same_at_different_times_are_one_notice() {
    a_node().interrupted().path_says(NoticeUrl, [(12, At(Terminate, 100))]).shows([
        "10.0 * notice: terminate, 120 s left",
        "12.0 * deadline moved, 88 s left",
        "100.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn another_action_takes_over_a_running_drain() {
    a_node()
        .says([(10, At(Stop, 130)), (20, At(Terminate, 150)), (30, At(Hibernate, 60))])
        .pods([pod("a"), pod("b").covered()])
        .since(20)
        .shows([
            "20.0 * taken over: terminate",
            "30.0 * taken over: hibernate",
            "30.0 * deadline moved at once, 30 s left",
            "30.1 delete b 1",
            "60.0 * deadline, nothing has changed",
        ]);
}

#[test]
fn another_action_after_the_drain_is_drained_for() {
    let run = a_node().says([(10, At(Stop, 40)), (60, At(Terminate, 90))]).run();
    run.shows(["10.0 * notice: stop, 30 s left", "60.0 * notice: terminate, 30 s left"]);
}

#[test]
fn two_paths_that_disagree_are_one_drain() {
    a_node()
        .says([(10, In(Stop, 30))])
        .path_says(NoticeUrl, [(10, In(Terminate, 60))])
        .sigterm(&[80])
        .shows([
            "10.0 * notice: stop, 30 s left",
            "10.0 * taken over: terminate",
            "40.0 * deadline, nothing has changed",
        ]);
}

#[test]
fn a_notice_that_is_over_in_its_drain_lets_the_drain_go_on_and_makes_room_for_a_new_one() {
    a_node()
        .says([(10, At(Terminate, 40)), (20, Nothing), (60, At(Terminate, 90))])
        .pods([pod("a").covered()])
        .since(20)
        .shows(["22.0 * notice withdrawn, drain goes on", "60.0 * notice: terminate, 30 s left"]);
}

#[test]
fn a_notice_that_comes_back_in_its_drain_with_the_same_time_is_the_same_drain() {
    a_node()
        .says([(10, At(Terminate, 70)), (20, Nothing), (30, At(Terminate, 70))])
        .sigterm(&[100])
        .since(20)
        .shows(["22.0 * notice withdrawn, drain goes on"]);
}

#[test]
fn a_notice_that_comes_back_in_its_drain_with_more_time_is_drained_for_after_it() {
    a_node()
        .says([(10, In(Terminate, 60)), (20, Nothing), (30, In(Terminate, 60))])
        .sigterm(&[100])
        .since(20)
        .shows(["22.0 * notice withdrawn, drain goes on", "70.0 * notice: terminate, 20 s left"]);
}

#[test]
fn a_path_that_repeats_what_another_says_after_the_drain_changes_nothing() {
    a_node()
        .says([(10, At(Terminate, 40))])
        .path_says(NoticeUrl, [(60, At(Terminate, 40)), (70, Nothing), (80, Soon(Terminate))])
        .shows(["10.0 * notice: terminate, 30 s left"]);
}

#[test]
fn every_poll_is_reported() {
    let run =
        a_node().says([(1, Fails)]).path_says(NoticeUrl, [(2, Soon(Stop))]).sigterm(&[3]).run();
    let polls = run.facts().filter_map(|(_, fact)| match fact {
        Fact::Polled { path, status, good } => Some((*path, *status, *good)),
        _ => None,
    });
    assert_eq!(
        polls.collect::<Vec<_>>(),
        [
            (InstanceAction, Some(404), true),
            (NoticeUrl, Some(404), true),
            (InstanceAction, None, false),
            (NoticeUrl, Some(404), true),
            (InstanceAction, None, false),
            (NoticeUrl, Some(200), true),
        ]
    );
}
