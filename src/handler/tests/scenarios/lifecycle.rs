//! The Auto Scaling group takes the instance out of service.

use crate::handler::tests::scenarios::prelude::*;

/// From 10 s on the group does that.
fn leaves(action: crate::notice::Action) -> Script {
    a_node().path_says(Lifecycle, [(10, Leaves(action))])
}

#[test]
fn the_hook_is_the_deadline_and_budgets_are_kept_to_until_then() {
    leaves(Terminate).pods([pod("a"), pod("b").covered()]).sigterm(&[3400]).transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * notice: asg-lifecycle/terminate some time, 3300 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.1 patch node-1: cordon, ours",
        "10.2 * cordon: Done",
        "10.2 evict a 30",
        "10.2 evict b 30",
        "3277.0 mark b",
        "3278.0 delete b 30",
        "3279.1 * empty: [a evicted, b deleted]",
        "3310.0 * deadline, nothing has changed",
        "3310.0 disconnect",
        "3310.0 read node-1",
        "3310.1 patch node-1: ours, drained",
        "3310.2 disconnect",
        "3400.0 * SIGTERM, ends",
    ]);
}

#[test]
fn back_in_service_calls_the_drain_off_and_gives_the_node_back() {
    let script = leaves(Stop).path_says(Lifecycle, [(60, Nothing)]);
    let run = script.pods([pod("a"), pod("b").covered()]).since(60);
    run.shows([
        "62.0 * notice withdrawn, drain called off",
        "62.0 * called off: [a evicted, b called off]",
        "62.1 patch node-1: uncordon, forget",
    ]);
    assert!(run.is_restored());
}

#[test]
fn an_instance_that_comes_out_of_the_warm_pool_is_given_back() {
    let script = leaves(Stop).pods([pod("a")]).ends(100, End::Rebooted);
    let run = script.path_says(Lifecycle, [(95, Nothing)]).since(95);
    run.shows(["97.0 * notice withdrawn, drain called off", "97.1 patch node-1: uncordon, forget"]);
    assert!(run.is_restored());
}

#[test]
fn hibernation_of_the_warm_pool_waits_for_the_hook() {
    leaves(Hibernate).pods([pod("a").grace(600)]).shows([
        "10.0 * notice: asg-lifecycle/hibernate some time, 3300 s left",
        "10.2 evict a 600",
    ]);
}
