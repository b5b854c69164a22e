//! Rebalance recommendations: marks that expire, and a drain that evicts only.

use crate::handler::tests::scenarios::prelude::*;

/// A recommendation from 10 s on, whose marks stay for 100 s.
fn recommended() -> Script {
    let script = a_node().path_says(Rebalance, [(10, Recommended)]);
    script.but(|it| it.config.policy.rebalance_marks = secs(100))
}

/// The same, with a drain of 60 s at most.
fn drained() -> Script {
    a_node().recommended(60, 100)
}

#[test]
fn the_node_is_cordoned_and_restored_when_the_marks_expire() {
    let run = recommended().pods([pod("a")]).run();
    run.transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * marks: rebalance-recommendation",
        "10.0 read node-1",
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 * marks last 99.8 s",
        "10.2 disconnect",
        "110.0 * marks expired: rebalance-recommendation",
        "110.0 read node-1",
        "110.1 patch node-1: uncordon, remember, over rebalance-recommendation",
        "110.2 * the node is uncordoned",
        "110.2 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn a_soft_taint_by_setting() {
    let soft = RebalanceMark::SoftTaint;
    let run = recommended().but(|it| it.config.marks.rebalance_mark = soft).run();
    run.shows([
        "10.1 patch node-1: taints [aws-node-termination-handler/rebalance-recommendation], not ours",
        "10.2 * the node is tainted: aws-node-termination-handler/rebalance-recommendation=rebalance-recommendation:PreferNoSchedule",
        "10.2 * marks last 99.8 s",
        "110.1 patch node-1: taints [], remember, over rebalance-recommendation",
        "110.2 * the taint aws-node-termination-handler/rebalance-recommendation=rebalance-recommendation:PreferNoSchedule is taken off",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn a_recommendation_that_ends_restores_the_node() {
    let run = recommended().path_says(Rebalance, [(30, Nothing)]).since(30);
    run.shows(["32.0 * notice withdrawn", "32.1 patch node-1: uncordon, forget"]);
    assert!(run.node.annotation().is_none());
}

#[test]
fn an_interruption_follows_in_time() {
    recommended().says([(60, At(Terminate, 180))]).pods([pod("a")]).since(60).shows([
        "60.0 * notice: terminate, 120 s left",
        "60.1 patch node-1: ours",
        "60.2 evict a 30",
        "110.1 patch node-1: ours, over rebalance-recommendation",
        "180.1 patch node-1: ours, over rebalance-recommendation, drained",
    ]);
}

#[test]
fn an_interruption_follows_too_late() {
    recommended().says([(160, At(Terminate, 280))]).pods([pod("a")]).since(110).shows([
        "110.0 * marks expired: rebalance-recommendation",
        "110.1 patch node-1: uncordon, remember, over rebalance-recommendation",
        "160.0 * notice: terminate, 120 s left",
        "160.1 patch node-1: cordon, ours, over rebalance-recommendation",
        "160.2 evict a 30",
        "280.1 patch node-1: ours, over rebalance-recommendation, drained",
    ]);
}

#[test]
fn a_drain_ends_when_nothing_is_left_and_the_marks_with_their_time() {
    let run = drained().pods([pod("a"), pod("b").grace(600)]).run();
    run.transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * notice: rebalance-recommendation without a deadline, 60 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 * marks last 99.8 s",
        "10.2 evict b 600",
        "10.2 evict a 30",
        "11.2 * empty: [a evicted, b evicted]",
        "11.2 disconnect",
        "11.2 read node-1",
        "11.3 patch node-1: ours, drained",
        "11.4 disconnect",
        "110.0 * marks expired: rebalance-recommendation",
        "110.0 read node-1",
        "110.1 patch node-1: uncordon, remember, over rebalance-recommendation",
        "110.2 * the node is uncordoned",
        "110.2 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn a_drain_for_a_recommendation_respects_the_pdb_until_its_timeout() {
    drained().pods([pod("a"), pod("b").covered()]).shows([
        "10.2 evict a 30",
        "10.2 evict b 30",
        "70.0 * timed out: [a evicted, b still there]",
    ]);
}

#[test]
fn an_interruption_takes_over_the_drain_and_what_is_gone_stays_counted() {
    let script = drained().says([(40, At(Terminate, 160))]);
    script.pods([pod("a"), pod("b").covered(), pod("c").grace(600).slow()]).since(40).shows([
        "40.0 * taken over: terminate",
        "40.0 delete c 118",
        "40.1 patch node-1: ours",
        "110.1 patch node-1: ours, over rebalance-recommendation",
        "128.0 delete b 30",
        "158.1 * empty: [a evicted, b deleted, c evicted]",
        "160.1 patch node-1: ours, over rebalance-recommendation, drained",
    ]);
}

#[test]
fn an_interruption_after_the_drain_is_drained_for() {
    drained()
        .says([(90, At(Terminate, 210))])
        .pods([pod("a"), pod("b").covered()])
        .since(70)
        .shows([
            "70.0 * timed out: [a evicted, b still there]",
            "90.0 * notice: terminate, 120 s left",
            "179.1 * empty: [b deleted]",
        ]);
}

#[test]
fn both_at_once_are_one_drain() {
    drained().says([(10, At(Terminate, 130))]).pods([pod("a")]).shows([
        "10.0 * notice: terminate, 120 s left",
        "10.0 * beside: rebalance-recommendation",
        "130.0 * deadline, nothing has changed",
    ]);
}

#[test]
fn a_restart_does_not_begin_the_time_of_the_marks_anew() {
    let run = recommended().ends(60, End::Killed).since(60);
    run.shows([
        "62.0 * marks: rebalance-recommendation",
        "62.1 * marks found: rebalance-recommendation",
        "62.1 * marks last 47.9 s",
        "110.0 * marks expired: rebalance-recommendation",
        "110.2 * the node is uncordoned",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn a_restart_after_their_time_does_not_set_them_again() {
    let run = recommended().ends(150, End::Killed).since(110);
    run.shows([
        "110.0 * marks expired: rebalance-recommendation",
        "110.1 patch node-1: uncordon, remember, over rebalance-recommendation",
        "152.0 * marks: rebalance-recommendation",
        "152.1 * drained before",
    ]);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn a_setting_that_is_gone_at_the_restart_takes_the_marks_with_it() {
    let script = a_node().but(|it| {
        it.cordoned = true;
        it.annotation = Some(
            r#"{"version":1,"bootId":"boot-1","notice":"rebalance-recommendation","cordoned":true,"taint":null,"excluded":false,"notices":[]}"#
                .to_owned(),
        );
    });
    let run = script.run();
    run.shows([
        "0.1 * marks found: rebalance-recommendation",
        "0.1 patch node-1: uncordon, forget",
        "0.2 * the node is uncordoned",
    ]);
    assert!(run.is_restored());
}

/// A recommendation of 5 s, marks for 100 s; then one of 180 s.
fn again(script: Script) -> Script {
    script
        .path_says(Rebalance, [(10, RecommendedAt(5)), (182, RecommendedAt(180))])
        .but(|it| it.config.policy.rebalance_marks = secs(100))
}

#[test]
fn a_newer_recommendation_marks_anew() {
    again(a_node()).since(182).shows([
        "184.0 * marks: rebalance-recommendation",
        "184.1 patch node-1: cordon, ours",
        "284.0 * marks expired: rebalance-recommendation",
        "284.1 patch node-1: uncordon, remember, over rebalance-recommendation",
    ]);
}

#[test]
fn a_newer_recommendation_drains_anew() {
    let script = again(a_node()).but(|it| {
        it.config.policy.rebalance = crate::plan::kinds::Rebalance::Drain { timeout: secs(60) };
    });
    script.pods([pod("a"), pod("b").late(150)]).since(182).shows([
        "184.0 * notice: rebalance-recommendation without a deadline, 60 s left",
        "184.2 evict b 30",
        "284.0 * marks expired: rebalance-recommendation",
    ]);
}

#[test]
fn a_newer_recommendation_while_the_marks_stand_lets_them_stand_for_longer() {
    let script = a_node()
        .path_says(Rebalance, [(10, RecommendedAt(5)), (58, RecommendedAt(55))])
        .edit(50_000, Edit::Uncordon)
        .but(|it| it.config.policy.rebalance_marks = secs(100));
    script.since(50).shows([
        "60.0 * marks: rebalance-recommendation",
        "60.1 patch node-1: cordon, ours",
        "160.0 * marks expired: rebalance-recommendation",
        "160.1 patch node-1: uncordon, remember, over rebalance-recommendation",
    ]);
}

#[test]
fn a_newer_recommendation_that_a_process_finds_when_it_starts_marks_anew() {
    again(a_node()).ends(181, End::Killed).sigterm(&[250]).since(181).shows([
        "183.0 * marks: rebalance-recommendation",
        "183.1 * drained before",
        "185.0 * marks: rebalance-recommendation",
        "185.1 patch node-1: cordon, ours",
    ]);
}

/// Some stand-ins for the metadata service do so.
#[test]
fn a_recommendation_that_is_of_the_moment_whenever_it_is_asked_for_is_one() {
    let script = a_node()
        .path_says(Rebalance, [(10, RecommendedNow)])
        .but(|it| it.config.policy.rebalance_marks = secs(100))
        .ends(150, End::Killed);
    script.since(110).shows([
        "110.0 * marks expired: rebalance-recommendation",
        "110.1 patch node-1: uncordon, remember, over rebalance-recommendation",
        "152.0 * marks: rebalance-recommendation",
        "152.1 * drained before",
    ]);
}
