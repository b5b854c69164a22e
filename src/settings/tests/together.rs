use super::*;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn assert_one(found: &[String], beginning: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(beginning), "{found:?}");
}

#[test]
fn each_kind_is_switched_by_its_own_name() {
    let watched = |variables: &[(&str, &str)]| good(&[], variables).source.watched;
    let usual = watched(&[]);
    assert_eq!(
        watched(&[("ENABLE_SPOT_INTERRUPTION_DRAINING", "false")]),
        Watched { interruption: false, ..usual }
    );
    assert_eq!(
        watched(&[("ENABLE_SCHEDULED_EVENT_DRAINING", "false")]),
        Watched { maintenance: false, ..usual }
    );
    for name in ["ENABLE_REBALANCE_MONITORING", "ENABLE_REBALANCE_DRAINING"] {
        assert_eq!(watched(&[(name, "true")]), Watched { rebalance: true, ..usual }, "{name}");
    }
    assert_eq!(
        watched(&[("ENABLE_ASG_LIFECYCLE_DRAINING", "true")]),
        Watched { lifecycle: true, ..usual }
    );
}

#[test]
fn with_no_kind_at_all_there_is_nothing_to_do() {
    let off = [
        ("ENABLE_SPOT_INTERRUPTION_DRAINING", "false"),
        ("ENABLE_SCHEDULED_EVENT_DRAINING", "false"),
    ];
    assert_one(&problems(&[], &off), "ENABLE_SPOT_INTERRUPTION_DRAINING, ");
    for other in [
        "--enable-rebalance-monitoring",
        "--enable-rebalance-draining",
        "--enable-asg-lifecycle-draining",
        "--notice-url=http://host/notice",
    ] {
        good(&[other], &off);
    }
    assert_one(&problems(&["--notice-url=nowhere"], &off), "--notice-url is ");
}

#[test]
fn rebalance_draining_wins_over_monitoring() {
    let rebalance = |arguments: &[&str]| good(arguments, &[]).policy.rebalance;
    let timeout = 30 * MINUTE;
    assert_eq!(rebalance(&["--enable-rebalance-monitoring"]), Rebalance::Mark);
    for arguments in [
        &["--enable-rebalance-draining"][..],
        &["--enable-rebalance-draining", "--enable-rebalance-monitoring=false"],
        &["--enable-rebalance-draining", "--enable-rebalance-monitoring"],
    ] {
        assert_eq!(rebalance(arguments), Rebalance::Drain { timeout }, "{arguments:?}");
    }
    let patient = rebalance(&["--enable-rebalance-draining", "--rebalance-patience=59m"]);
    assert_eq!(patient, Rebalance::Drain { timeout: 59 * MINUTE });
}

#[test]
fn a_rebalance_drain_does_not_outlast_its_marks() {
    let drain = "--enable-rebalance-draining";
    let short = "--rebalance-mark-duration=29m59s";
    assert_one(&problems(&[drain, short], &[]), "REBALANCE_MARK_DURATION (29m59s) must not be");
    good(&[drain, "--rebalance-mark-duration=30m"], &[]);
    good(&[drain, short, "--rebalance-patience=10m"], &[]);
    good(&["--enable-rebalance-monitoring", short], &[]);
    good(&[drain, short, "--cordon-only"], &[]);
}

#[test]
fn marks_are_as_the_operator_wants_them() {
    let settings = good(
        &["--taint-node", "--cordon-only"],
        &[
            ("TAINT_EFFECT", "PreferNoSchedule"),
            ("EXCLUDE_FROM_LOAD_BALANCERS", "true"),
            ("ENABLE_REBALANCE_MONITORING", "true"),
            ("REBALANCE_MARK", "soft-taint"),
            ("REBALANCE_MARK_DURATION", "90m"),
        ],
    );
    assert_eq!(
        settings.marks,
        MarkPolicy {
            taint: Some(TaintEffect::PreferNoSchedule),
            exclude_from_load_balancers: true,
            rebalance_mark: RebalanceMark::SoftTaint,
        }
    );
    assert!(settings.policy.marks_only);
    assert_eq!(settings.policy.rebalance_marks, 90 * MINUTE);
    assert_eq!(settings.remarks, [""; 0]);
    assert_eq!(good(&["--taint-node"], &[]).marks.taint, Some(TaintEffect::NoSchedule));
}

#[test]
fn a_lead_time_is_the_lists_else_the_chosen_one_else_the_usual() {
    let list = "--maintenance-lead-times=instance-stop=2h, system-reboot=5m";
    let usual = usual_lead_times();
    let lead_times = |arguments: &[&str], variables: &[(&str, &str)]| {
        good(arguments, variables).policy.lead_times
    };
    let named = LeadTimes { instance_stop: 2 * HOUR, system_reboot: 5 * MINUTE, ..usual };
    assert_eq!(lead_times(&[list], &[]), named);
    let grace = |value| [("NODE_TERMINATION_GRACE_PERIOD", value)];
    let chosen = lead_times(&[], &grace("300"));
    assert!(Code::ALL.into_iter().all(|code| chosen.of(code) == 5 * MINUTE), "{chosen:?}");
    let both = LeadTimes { instance_stop: 2 * HOUR, ..chosen };
    assert_eq!(lead_times(&[list], &grace("300")), both);
    assert_eq!(lead_times(&[], &grace("120")), usual, "as every manifest of the other handler");
    let wished = lead_times(&[], &grace("2m"));
    assert!(Code::ALL.into_iter().all(|code| wished.of(code) == 2 * MINUTE), "{wished:?}");
}

#[test]
fn the_default_lead_times_of_the_table_are_those_in_force() {
    let row = table::row("MAINTENANCE_LEAD_TIMES").unwrap();
    let DefaultValue::Is(text) = row.default else { panic!() };
    let list = format!("--maintenance-lead-times={text}");
    // Where each is named, nothing else counts.
    let named = good(&[&list], &[("NODE_TERMINATION_GRACE_PERIOD", "7")]).policy.lead_times;
    assert_eq!(named, usual_lead_times());
}

#[test]
fn the_bad_item_of_a_list_is_named() {
    let bad = problems(&[], &[("MAINTENANCE_LEAD_TIMES", "instance-stop=1h,reboot=5m,")]);
    assert_eq!(bad.len(), 2);
    let begins = "MAINTENANCE_LEAD_TIMES is \"instance-stop=1h,reboot=5m,\"; its item ";
    assert!(bad[0].starts_with(&format!("{begins}\"reboot=5m\" names a code that")), "{bad:?}");
    assert!(bad[1].starts_with(&format!("{begins}\"\" is empty; valid is a list")), "{bad:?}");
}

#[test]
fn a_margin_that_leaves_no_time_is_bad() {
    for (given, beginning) in [
        (
            &["--node-termination-grace-period=2"][..],
            "the safety margin (2s) must be shorter than the node termination grace period (2s)",
        ),
        (
            &["--maintenance-lead-times=instance-stop=2s,system-reboot=3s"],
            "the safety margin (2s) must be shorter than the lead time of instance-stop (2s)",
        ),
        (
            &["--asg-lifecycle-window=2s", "--enable-asg-lifecycle-draining"],
            "the safety margin (2s) must be shorter than the Auto Scaling life-cycle window (2s)",
        ),
    ] {
        assert_one(&problems(given, &[]), beginning);
    }
    good(&["--node-termination-grace-period=3", "--maintenance-lead-times=instance-stop=3s"], &[]);
    let long_margin = ["--safety-margin=58m", "--node-termination-grace-period=59m"];
    good(&long_margin, &[]);
    good(&["--enable-asg-lifecycle-draining", "--asg-lifecycle-window=3s"], &[]);
}

#[test]
fn a_hold_leaves_time_for_the_pods() {
    let hold = |hold: &str| {
        ["--exclude-from-load-balancers".to_owned(), format!("--load-balancer-hold={hold}")]
    };
    let bad = |arguments: &[String], variables| {
        problems(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), variables)
    };
    let fits = hold("117s");
    let settings = good(&[&fits[0], &fits[1]], &[]);
    assert_eq!(settings.load_balancer_hold, Duration::from_secs(117));
    assert_one(&bad(&hold("118s"), &[]), "LOAD_BALANCER_HOLD (1m58s) and the safety margin (2s)");
    // However long other drains may be: an interruption gives two minutes.
    assert_one(&bad(&hold("118s"), &[("NODE_TERMINATION_GRACE_PERIOD", "1h")]), "LOAD_BALANCER");
    assert_one(&bad(&hold("28s"), &[("NODE_TERMINATION_GRACE_PERIOD", "30")]), "LOAD_BALANCER");
}

#[test]
fn what_does_not_fit_together_is_said_though_something_is_missing() {
    let nowhere = [("NODE_NAME", ""), ("KUBERNETES_SERVICE_HOST", "")];
    assert_eq!(problems(&["--node-termination-grace-period=2"], &nowhere).len(), 3);
}

#[test]
fn a_long_interval_is_remarked() {
    assert_eq!(remarks(&["--poll-interval=10"], &[]), [""; 0]);
    assert_one(&remarks(&["--poll-interval=90"], &[]), "With 1m30s between polls");
}

#[test]
fn a_taint_that_ends_pods_is_remarked() {
    let effect = ("TAINT_EFFECT", "NoExecute");
    let said = remarks(&[], &[("TAINT_NODE", "true"), effect]);
    assert_one(&said, "TAINT_EFFECT is NoExecute: Kubernetes itself ends every pod");
    assert_one(&remarks(&[], &[effect]), "TAINT_EFFECT has no effect: TAINT_NODE is false.");
}

#[test]
fn what_is_given_in_vain_is_remarked() {
    let rebalance = "--enable-rebalance-draining";
    for (arguments, remark) in [
        (
            &["--load-balancer-hold=5s"][..],
            "LOAD_BALANCER_HOLD has no effect: EXCLUDE_FROM_LOAD_BALANCERS is false.",
        ),
        (
            &["--load-balancer-hold=5s", "--exclude-from-load-balancers", "--cordon-only"],
            "LOAD_BALANCER_HOLD has no effect: CORDON_ONLY is true, so nobody is evicted.",
        ),
        (
            &["--rebalance-mark=soft-taint"],
            "REBALANCE_MARK has no effect: ENABLE_REBALANCE_MONITORING and \
             ENABLE_REBALANCE_DRAINING are false.",
        ),
        (
            &["--rebalance-mark=soft-taint", rebalance],
            "REBALANCE_MARK has no effect: ENABLE_REBALANCE_DRAINING is true, and cordons.",
        ),
        (
            &["--rebalance-mark-duration=2h"],
            "REBALANCE_MARK_DURATION has no effect: ENABLE_REBALANCE_MONITORING and \
             ENABLE_REBALANCE_DRAINING are false.",
        ),
        (
            &["--rebalance-patience=5m", "--enable-rebalance-monitoring"],
            "REBALANCE_PATIENCE has no effect: ENABLE_REBALANCE_DRAINING is false.",
        ),
        (
            // Its mark has: that is all that is left of it.
            &[rebalance, "--cordon-only", "--rebalance-mark=soft-taint"],
            "ENABLE_REBALANCE_DRAINING has no effect: CORDON_ONLY is true, so a rebalance \
             recommendation only marks the node.",
        ),
        (
            &["--maintenance-lead-times=instance-stop=2h", "--enable-scheduled-event-draining=0"],
            "MAINTENANCE_LEAD_TIMES has no effect: ENABLE_SCHEDULED_EVENT_DRAINING is false.",
        ),
        (
            &["--asg-lifecycle-window=25m"],
            "ASG_LIFECYCLE_WINDOW has no effect: ENABLE_ASG_LIFECYCLE_DRAINING is false.",
        ),
    ] {
        assert_eq!(remarks(arguments, &[]), [remark], "{arguments:?}");
    }
}

#[test]
fn what_is_given_to_some_purpose_or_as_it_is_anyway_is_not() {
    for arguments in [
        &["--load-balancer-hold=5s", "--exclude-from-load-balancers"][..],
        &["--rebalance-mark=soft-taint", "--enable-rebalance-monitoring"],
        &["--rebalance-mark-duration=2h", "--enable-rebalance-draining"],
        &["--rebalance-patience=5m", "--enable-rebalance-draining"],
        &["--asg-lifecycle-window=5m", "--enable-asg-lifecycle-draining"],
        &["--maintenance-lead-times=instance-stop=2h"],
        &["--taint-effect=PreferNoSchedule", "--taint-node"],
        &["--taint-effect=NoSchedule", "--load-balancer-hold=0s", "--rebalance-mark=cordon"],
    ] {
        assert_eq!(remarks(arguments, &[]), [""; 0], "{arguments:?}");
    }
}

#[test]
fn a_hook_whose_time_was_not_set_is_not_taken_in_silence() {
    let on = "--enable-asg-lifecycle-draining";
    let said = remarks(&[on], &[]);
    let [said] = &said[..] else { panic!("{said:?}") };
    assert!(said.starts_with("ASG_LIFECYCLE_WINDOW is not set: "), "{said}");
    for number in ["5m are", "1800 s", "300 s", "3600 s"] {
        assert!(said.contains(number), "{said}");
    }
    assert_eq!(good(&[on], &[]).source.lifecycle_window, Duration::from_mins(5));
    for arguments in [&[on, "--asg-lifecycle-window=25m"][..], &[on, "--cordon-only"], &[]] {
        assert_eq!(remarks(arguments, &[]), [""; 0], "{arguments:?}");
    }
}

#[test]
fn where_the_api_server_is_the_flag_says_first() {
    let url = |settings: &Settings| match &settings.api_server {
        ApiServer::Named { url, identity, .. } => (url.to_string(), *identity),
        ApiServer::Kubeconfig(file) => (file.display().to_string(), Choice::ServiceAccount),
    };
    let own = |text: &str| (text.to_owned(), Choice::ServiceAccount);
    let (server, config) = ("--server=https://a", "--kubeconfig=./c");
    let from_environment = [("KUBECONFIG", "./d")];
    assert_eq!(url(&good(&[server], &[])), own("https://a:443"));
    assert_eq!(url(&good(&[server], &from_environment)), own("https://a:443"));
    assert_eq!(url(&good(&[], &from_environment)), own("./d"));
    assert_eq!(url(&good(&[config], &[("K8S_SPOT_HANDLER_SERVER", "https://b")])), own("./c"));
    let as_node = url(&good(&[server, "--identity=auto"], &[]));
    assert_eq!(as_node, ("https://a:443".to_owned(), Choice::Auto));
    let both = "--kubeconfig and --server (or KUBECONFIG and K8S_SPOT_HANDLER_SERVER) both say";
    assert_one(&problems(&[server, config], &[]), both);
    assert_one(
        &problems(&[], &[("KUBECONFIG", "./d"), ("K8S_SPOT_HANDLER_SERVER", "https://b")]),
        both,
    );
}

#[test]
fn what_a_daemon_set_says_is_not_said_by_hand() {
    let by_hand =
        |arguments: &[&str], variables: &[(&str, &str)]| good(arguments, variables).by_hand;
    let variables = [("BUDGET_OVERRIDE", "at-deadline"), ("GRACE_PERIOD", "30")];
    let said = by_hand(&[], &variables);
    assert!(!said.overrides_budgets && !said.shortens_graces);
    let said =
        by_hand(&["--budget-override=at-deadline", "--pod-termination-grace-period=30"], &[]);
    assert!(said.overrides_budgets && said.shortens_graces);
    assert!(!by_hand(&["--budget-override=never"], &[]).overrides_budgets);
}

#[test]
fn a_deadline_leaves_time_for_the_pods() {
    assert_eq!(good(&["--deadline=3s"], &[]).by_hand.deadline, Duration::from_secs(3));
    assert_one(
        &problems(&["drain", "--deadline=2s"], &[]),
        "the safety margin (2s) must be shorter than the deadline (2s)",
    );
    // What stands in the environment of the handler's pod for those who ask there.
    let of_pod = [("K8S_SPOT_HANDLER_DEADLINE", "2s"), ("K8S_SPOT_HANDLER_OUTPUT", "yaml")];
    let said = done_without(&[], &of_pod);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|one| one.ends_with("; only commands by hand use it")), "{said:?}");
    assert_eq!(problems(&["plan"], &of_pod).len(), 2);
}
