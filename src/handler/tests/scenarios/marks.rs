//! Marks beside the cordon, load balancers, and marks without a drain.

use crate::handler::tests::scenarios::prelude::*;

/// The usual notice, with every mark there is; withdrawn at 60 s.
fn marked() -> Script {
    let script = a_node().interrupted().says([(60, Nothing)]).but(|it| {
        it.config.marks.taint = Some(TaintEffect::NoSchedule);
        it.config.marks.exclude_from_load_balancers = true;
    });
    script.pods([pod("a")])
}

#[test]
fn one_patch_sets_them_and_one_takes_them_back() {
    let run = marked().run();
    run.transcript_is([
        "0.0 check credentials",
        "0.0 read node-1",
        "0.1 disconnect",
        "10.0 * notice: terminate, 120 s left",
        "10.0 read node-1",
        "10.0 * drain of node-1 begins",
        "10.0 follow pods of node-1",
        "10.1 patch node-1: cordon, taints [aws-node-termination-handler/spot-itn], label, ours",
        "10.2 * cordon: Done",
        "10.2 * the node is tainted: aws-node-termination-handler/spot-itn=terminate:NoSchedule",
        "10.2 * the node is excluded from load balancers: label node.kubernetes.io/exclude-from-external-load-balancers",
        "10.2 evict a 30",
        "11.2 * empty: [a evicted]",
        "62.0 * notice withdrawn, drain goes on",
        "130.0 * deadline, nothing has changed",
        "130.0 disconnect",
        "160.0 * stays withdrawn: terminate",
        "160.0 read node-1",
        "160.1 patch node-1: uncordon, taints [], unlabel, forget",
        "160.2 * the node is uncordoned",
        "160.2 * the taint aws-node-termination-handler/spot-itn=terminate:NoSchedule is taken off",
        "160.2 * the node is excluded from load balancers no longer: label node.kubernetes.io/exclude-from-external-load-balancers is taken off",
        "160.2 disconnect",
        "300.0 * SIGTERM, ends",
    ]);
    assert!(run.is_restored());
}

#[test]
fn a_foreign_taint_that_arrives_in_between_survives() {
    let taint = Edit::Taint("dedicated", "gpu", "NoSchedule");
    let run = marked().edit(10_120, taint).run();
    run.shows([
        "10.1 patch node-1: cordon, taints [aws-node-termination-handler/spot-itn], label, ours",
        "10.3 patch node-1: cordon, taints [dedicated, aws-node-termination-handler/spot-itn], label, ours",
        "160.1 patch node-1: uncordon, taints [dedicated], unlabel, forget",
    ]);
    assert_eq!(run.node.taints().len(), 1);
    assert!(run.node.is_as_others_want_it());
}

#[test]
fn what_others_change_stays_and_is_reported() {
    let script = marked()
        .edit(20_000, Edit::Taint("aws-node-termination-handler/spot-itn", "mine", "NoSchedule"))
        .edit(20_001, Edit::Label(Some("true")))
        .edit(20_002, Edit::Uncordon)
        .edit(20_003, Edit::Cordon);
    let run = script.since(100);
    run.shows([
        "160.1 patch node-1: forget",
        "160.2 * the node stays cordoned: somebody else has cordoned it since this handler did",
        "160.2 * the taint that this handler set was changed to aws-node-termination-handler/spot-itn=mine:NoSchedule by somebody else, and is left as it is",
        "160.2 * the label node.kubernetes.io/exclude-from-external-load-balancers was changed to \"true\" by somebody else, and is left as it is",
    ]);
    assert!(run.is_restored());
}

#[test]
fn evictions_are_held_up_for_load_balancers_where_there_is_time() {
    let script = marked().says([(60, At(Terminate, 130))]);
    let script = script.but(|it| it.config.load_balancer_hold = secs(20));
    script.pods([pod("a"), pod("b").grace(110), pod("c").grace(600)]).shows([
        "10.2 evict c 118",
        "18.0 evict b 110",
        "30.2 evict a 30",
    ]);
}

#[test]
fn without_the_label_nothing_is_held_up() {
    let script = interrupted_node([pod("a")]);
    script.but(|it| it.config.load_balancer_hold = secs(20)).shows(["10.2 evict a 30"]);
}

#[test]
fn a_label_that_was_there_before_holds_nothing_up() {
    let script = marked().edit(5000, Edit::Label(Some("true")));
    script.but(|it| it.config.load_balancer_hold = secs(20)).shows([
            "10.2 * cordon: Done",
            "10.2 * the node is tainted: aws-node-termination-handler/spot-itn=terminate:NoSchedule",
            "10.2 * the label node.kubernetes.io/exclude-from-external-load-balancers=true stands there already, set by somebody else, and is left as it is",
            "10.2 evict a 30",
            "160.2 * the node is uncordoned",
            "160.2 * the taint aws-node-termination-handler/spot-itn=terminate:NoSchedule is taken off",
        ]);
}

#[test]
fn marks_only() {
    let run = marked().but(|it| it.config.policy.marks_only = true).run();
    run.shows([
        "10.0 * marks: terminate",
        "10.1 patch node-1: cordon, taints [aws-node-termination-handler/spot-itn], label, ours",
        "62.0 * notice withdrawn",
        "92.0 * stays withdrawn: terminate",
        "92.1 patch node-1: uncordon, taints [], unlabel, forget",
    ]);
    assert!(run.is_restored());
}

/// Marks only, for a notice that the metadata service does not say from 20 s on.
fn falls_silent() -> Script {
    a_node().interrupted().says([(20, Nothing)]).but(|it| it.config.policy.marks_only = true)
}

#[test]
fn a_metadata_service_that_falls_silent_for_a_moment_does_not_reopen_the_node() {
    let run = falls_silent().says([(24, At(Terminate, 130))]).since(10);
    run.shows([
        "10.0 * marks: terminate",
        "10.1 patch node-1: cordon, ours",
        "22.0 * notice withdrawn",
        "24.0 * marks: terminate",
    ]);
    assert!(run.node.is_cordoned());
}

#[test]
fn a_process_that_starts_in_the_half_minute_waits_for_it_as_well() {
    let run = falls_silent().ends(40, End::Killed).since(40);
    run.shows([
        "44.0 * notice withdrawn",
        "74.0 * stays withdrawn: terminate",
        "74.1 patch node-1: uncordon, forget",
    ]);
    assert!(run.is_restored());
}

#[test]
fn a_process_that_starts_on_another_boot_waits_for_nothing() {
    falls_silent().ends(30, End::Rebooted).since(30).shows(["32.1 patch node-1: uncordon, forget"]);
}

#[test]
fn what_was_noticed_beside_a_drain_that_is_called_off_keeps_the_node_closed() {
    let over = reboot(100).over();
    let script = a_node()
        .maintenance(5, [reboot(100)])
        .maintenance(30, [over])
        .interrupted()
        .says([(20, Nothing)])
        .pods([pod("a").covered()]);
    script.since(20).shows([
        "22.0 * notice withdrawn",
        "22.1 patch node-1: ours",
        "30.0 * notice withdrawn, drain called off",
        "52.0 * stays withdrawn: terminate",
        "52.1 patch node-1: uncordon, forget",
    ]);
}

#[test]
fn a_dry_run_reports_each_and_sets_none() {
    marked().but(|it| it.config.dry = true).shows([
            "10.1 * cordon: Would",
            "10.1 * would: the node is tainted: aws-node-termination-handler/spot-itn=terminate:NoSchedule",
            "10.1 * would: the node is excluded from load balancers: label node.kubernetes.io/exclude-from-external-load-balancers",
        ]);
}

#[test]
fn the_hold_begins_when_the_label_is_there_though_its_answer_was_lost() {
    let script = marked().trouble(10..15, With::PatchNode, What::LosesAnswer);
    script.but(|it| it.config.load_balancer_hold = secs(20)).pods([pod("a")]).shows([
        "10.1 patch node-1: cordon, taints [aws-node-termination-handler/spot-itn], label, ours",
        "30.0 evict a 30",
        "160.1 patch node-1: uncordon, taints [], unlabel, forget",
    ]);
}
