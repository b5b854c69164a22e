//! SIGTERM, whenever it comes.

use crate::handler::tests::scenarios::prelude::*;

/// The handler's own pod, with this grace.
fn own(grace: u32) -> Life {
    pod("handler").grace(grace).of_daemon_set().but(|pod| {
        let mut reference = (*pod.reference).clone();
        reference.namespace = "kube-system".to_owned();
        pod.reference = Arc::new(reference);
    })
}

#[test]
fn at_once_when_it_comes_first() {
    a_node().sigterm(&[0]).transcript_is(["0.0 check credentials", "0.0 * SIGTERM, ends"]);
}

#[test]
fn at_once_when_nothing_is_under_way() {
    a_node().sigterm(&[7, 8]).transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "7.0 * SIGTERM, ends",
    ]);
}

#[test]
fn at_once_while_the_end_is_being_noted() {
    let script =
        a_node().says([(10, At(Terminate, 40))]).trouble(40..60, With::Everything, What::Hangs);
    script.sigterm(&[43]).shows(["43.0 * SIGTERM, ends with unsettled marks"]);
}

#[test]
fn in_a_drain_it_goes_on_until_the_deadline_if_that_comes_first() {
    interrupted_node([pod("a"), pod("b").covered()]).sigterm(&[20]).since(20).shows([
        "20.0 * SIGTERM, ends within 110 s",
        "98.0 delete b 30",
        "99.0 * empty: [a evicted, b deleted]",
    ]);
}

#[test]
fn in_a_drain_it_goes_on_until_its_own_grace_is_nearly_over() {
    let script = interrupted_node([own(30), pod("a"), pod("b").covered(), pod("c").slow()]);
    script.sigterm(&[20, 25]).since(20).shows([
        "20.0 * SIGTERM, ends within 28 s",
        "48.0 * stopped: [a evicted, b handed over, c evicted, handler left alone]",
    ]);
}

#[test]
fn the_setting_counts_while_the_own_pod_was_not_seen() {
    let script = interrupted_node([pod("b").covered()]);
    script
        .but(|it| it.config.shutdown_grace = ms(20_000))
        .sigterm(&[20])
        .since(20)
        .shows(["20.0 * SIGTERM, ends within 18 s", "38.0 * stopped: [b handed over]"]);
}

#[test]
fn with_less_grace_than_it_takes_to_report_it_ends_at_once() {
    interrupted_node([own(1), pod("b").covered()]).sigterm(&[20]).shows([
        "20.0 * SIGTERM, ends within 0 s",
        "20.0 * stopped: [b handed over, handler left alone]",
    ]);
}

#[test]
fn the_deadline_moves_neither_by_it_nor_after_it() {
    let script = a_node()
        .interrupted()
        .says([(30, At(Terminate, 60))])
        .pods([pod("b").covered()])
        .sigterm(&[20]);
    script.since(20).shows([
        "20.0 * SIGTERM, ends within 110 s",
        "30.0 * deadline moved, 30 s left",
        "30.1 delete b 28",
    ]);
}

#[test]
fn it_ends_as_soon_as_nothing_is_left() {
    let script = interrupted_node([pod("a").slow()]).sigterm(&[20]);
    script.shows(["20.0 * SIGTERM, ends within 110 s", "40.2 * empty: [a evicted]"]);
}

#[test]
fn it_ends_at_once_when_nothing_is_left() {
    interrupted_node([pod("a")])
        .sigterm(&[20])
        .shows(["11.2 * empty: [a evicted]", "20.0 * SIGTERM, ends"]);
}

#[test]
fn a_late_pod_after_nothing_was_left_is_gone_on_with() {
    interrupted_node([pod("a"), pod("late").late(20).slow()]).sigterm(&[25]).since(20).shows([
        "20.0 evict late 30",
        "25.0 * SIGTERM, ends within 105 s",
        "50.0 * stopped: [a evicted, late evicted]",
    ]);
}

#[test]
fn a_cordon_that_is_tried_again_is_not_tried_when_the_end_has_come() {
    let script = interrupted_node([own(12), pod("b").covered()])
        .trouble(10..60, With::PatchNode, What::Refuses)
        .trouble(10..60, With::ReadNode, What::Refuses);
    let run = script.but(|it| it.oversleep = 400).sigterm(&[20]).run();
    let (last, order) = run.orders().last().unwrap();
    assert!(last < at(ms(30_000)), "{order:?} at {last:?}");
}

#[test]
fn a_node_whose_drain_turns_out_to_be_done_lets_it_end() {
    let script = a_node().says([(0, At(Terminate, 40))]).pods([pod("a")]);
    script.remembers(BOOT, true, true).but(|it| it.sigterm = vec![ms(50)]).shows([
        "0.0 * notice: terminate, 40 s left",
        "0.1 * SIGTERM, ends within 39.95 s",
        "0.1 * marks found: spot-interruption/terminate",
        "0.1 * drained before",
    ]);
}
