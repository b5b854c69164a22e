//! Manifests of the programs before this one: each name that they know, as variable and as flag.

use super::*;

/// A flag of aws-node-termination-handler, its variable, a value that its manifests may have, and
/// whether it is a switch.
const TERMINATION_HANDLER: [(&str, &str, &str, bool); 59] = [
    ("dry-run", "DRY_RUN", "true", true),
    ("node-name", "NODE_NAME", "ip-10-0-1-17.ec2.internal", false),
    ("pod-name", "POD_NAME", "nth-7xk2p", false),
    ("pod-namespace", "NAMESPACE", "kube-system", false),
    ("metadata-url", "INSTANCE_METADATA_URL", "http://169.254.169.254", false),
    ("ignore-daemon-sets", "IGNORE_DAEMON_SETS", "true", true),
    ("delete-local-data", "DELETE_LOCAL_DATA", "true", true),
    ("kubernetes-service-host", "KUBERNETES_SERVICE_HOST", "10.96.0.1", false),
    ("kubernetes-service-port", "KUBERNETES_SERVICE_PORT", "443", false),
    ("grace-period", "GRACE_PERIOD", "30", false),
    ("pod-termination-grace-period", "POD_TERMINATION_GRACE_PERIOD", "-1", false),
    ("node-termination-grace-period", "NODE_TERMINATION_GRACE_PERIOD", "120", false),
    ("kube-api-qps", "KUBE_API_QPS", "20", false),
    ("kube-api-burst", "KUBE_API_BURST", "40", false),
    ("webhook-url", "WEBHOOK_URL", "https://hooks.example/a", false),
    ("webhook-proxy", "WEBHOOK_PROXY", "tcp://10.0.0.1:3128", false),
    ("webhook-headers", "WEBHOOK_HEADERS", r#"{"Content-type":"application/json"}"#, false),
    ("webhook-template", "WEBHOOK_TEMPLATE", r#"{"text":"{{ .Kind }}"}"#, false),
    ("webhook-template-file", "WEBHOOK_TEMPLATE_FILE", "/config/template", false),
    ("enable-scheduled-event-draining", "ENABLE_SCHEDULED_EVENT_DRAINING", "true", true),
    ("enable-spot-interruption-draining", "ENABLE_SPOT_INTERRUPTION_DRAINING", "true", true),
    ("enable-asg-lifecycle-draining", "ENABLE_ASG_LIFECYCLE_DRAINING", "true", true),
    ("enable-rebalance-monitoring", "ENABLE_REBALANCE_MONITORING", "true", true),
    ("enable-rebalance-draining", "ENABLE_REBALANCE_DRAINING", "true", true),
    ("check-asg-tag-before-draining", "CHECK_ASG_TAG_BEFORE_DRAINING", "true", true),
    ("check-tag-before-draining", "CHECK_TAG_BEFORE_DRAINING", "true", true),
    ("managed-asg-tag", "MANAGED_ASG_TAG", "aws-node-termination-handler/managed", false),
    ("managed-tag", "MANAGED_TAG", "aws-node-termination-handler/managed", false),
    ("metadata-tries", "METADATA_TRIES", "5", false),
    ("cordon-only", "CORDON_ONLY", "true", true),
    ("taint-node", "TAINT_NODE", "true", true),
    ("taint-effect", "TAINT_EFFECT", "NoExecute", false),
    ("enable-out-of-service-taint", "ENABLE_OUT_OF_SERVICE_TAINT", "true", true),
    ("exclude-from-load-balancers", "EXCLUDE_FROM_LOAD_BALANCERS", "true", true),
    ("json-logging", "JSON_LOGGING", "true", true),
    ("log-level", "LOG_LEVEL", "DEBUG", false),
    ("log-format-version", "LOG_FORMAT_VERSION", "2", false),
    ("uptime-from-file", "UPTIME_FROM_FILE", "/proc/uptime-of-host", false),
    ("enable-prometheus-server", "ENABLE_PROMETHEUS_SERVER", "true", true),
    ("prometheus-server-port", "PROMETHEUS_SERVER_PORT", "9092", false),
    ("enable-probes-server", "ENABLE_PROBES_SERVER", "true", true),
    ("probes-server-port", "PROBES_SERVER_PORT", "8080", false),
    ("probes-server-endpoint", "PROBES_SERVER_ENDPOINT", "/healthz", false),
    ("emit-kubernetes-events", "EMIT_KUBERNETES_EVENTS", "true", true),
    (
        "kubernetes-events-extra-annotations",
        "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS",
        "a=b,c.d/e=f",
        false,
    ),
    ("aws-region", "AWS_REGION", "eu-west-1", false),
    ("aws-endpoint", "AWS_ENDPOINT", "http://localhost:4566", false),
    ("queue-url", "QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q", false),
    ("workers", "WORKERS", "20", false),
    ("use-provider-id", "USE_PROVIDER_ID", "true", true),
    (
        "complete-lifecycle-action-delay-seconds",
        "COMPLETE_LIFECYCLE_ACTION_DELAY_SECONDS",
        "30",
        false,
    ),
    ("delete-sqs-msg-if-node-not-found", "DELETE_SQS_MSG_IF_NODE_NOT_FOUND", "true", true),
    ("use-apiserver-cache", "USE_APISERVER_CACHE", "true", true),
    ("heartbeat-interval", "HEARTBEAT_INTERVAL", "60", false),
    ("heartbeat-until", "HEARTBEAT_UNTIL", "600", false),
    ("sqs-msg-visibility-timeout-sec", "SQS_MSG_VISIBILITY_TIMEOUT_SEC", "30", false),
    ("assume-asg-tag-propagation", "ASSUME_ASG_TAG_PROPAGATION", "true", true),
    ("enable-sqs-termination-draining", "ENABLE_SQS_TERMINATION_DRAINING", "false", true),
    ("emit-kubernetes-events", "EMIT_KUBERNETES_EVENTS", "false", true),
];

/// Variables of the seed, of its parent and of their charts, with a value.
const SCRIPTS: [(&str, &str); 22] = [
    ("POD_NAME", "k8s-spot-handler-7xk2p"),
    ("NAMESPACE", "default"),
    ("SPOT_POD_IP", "10.0.1.23"),
    ("VERBOSE", "1"),
    ("CLUSTER", "production"),
    ("POLL_INTERVAL", "5"),
    ("NOTICE_URL", "http://169.254.169.254/latest/meta-data/spot/termination-time"),
    ("AZ_URL", "http://169.254.169.254/latest/meta-data/placement/availability-zone"),
    ("INSTANCE_ID_URL", "http://169.254.169.254/latest/meta-data/instance-id"),
    ("INSTANCE_TYPE_URL", "http://169.254.169.254/latest/meta-data/instance-type"),
    ("GRACE_PERIOD", "120"),
    ("SLACK_URL", "https://hooks.slack.example/services/T0/B0/X"),
    ("SLACK_CHANNEL", "#ops"),
    ("SEMATEXT_URL", "https://event-receiver.sematext.example/T/event"),
    ("HANGOUTS_URL", "https://chat.example/v1/spaces/A/messages?key=K"),
    ("WECHAT_URL", "https://qyapi.example/cgi-bin/webhook/send"),
    ("WECHAT_KEY", "a-b_c"),
    ("HIPCHAT_ROOM_ID", "12"),
    ("HIPCHAT_AUTH_TOKEN", "t"),
    ("GMAIL_USER", "me@example.com"),
    ("GMAIL_EMAILTO", "you@example.com"),
    ("DETACH_ASG", "true"),
];

/// Starts, and what is said at the start names what it is about.
fn starts(arguments: &[&str], variables: &[(&str, &str)], name: &str) -> Vec<String> {
    let settings = settled(arguments, variables)
        .unwrap_or_else(|bad| panic!("{arguments:?} {variables:?}: {bad}"));
    let said: Vec<_> = settings.remarks.iter().map(ToString::to_string).collect();
    assert!(said.len() <= 1, "{said:?}");
    for remark in &said {
        let about = [
            name,
            "The webhook's form",
            "ASG_LIFECYCLE_WINDOW",
            "ENABLE_REBALANCE_DRAINING",
            "A pod termination",
        ];
        assert!(about.iter().any(|about| remark.contains(about)), "{name}: {said:?}");
    }
    said
}

#[test]
fn every_flag_and_variable_of_aws_node_termination_handler_starts_the_program() {
    for (flag, variable, value, is_switch) in TERMINATION_HANDLER {
        starts(&[], &[(variable, value)], variable);
        for dashes in ["-", "--"] {
            let name = format!("{dashes}{flag}");
            let behind = format!("{name}={value}");
            let said = starts(&[&behind], &[], variable);
            // What stands after it is read as ever.
            let following = if is_switch { vec![&*name] } else { vec![&*name, value] };
            let with_more = [&following[..], &["--cluster=blue"]].concat();
            if is_switch && value == "false" {
                continue;
            }
            let settings = good(&with_more, &[]);
            assert_eq!(settings.reporting.cluster.as_deref(), Some("blue"), "{name}");
            assert_eq!(starts(&following, &[], variable), said, "{name}");
        }
    }
}

/// A name has its effect, or that it has none is said.
#[test]
fn no_name_is_passed_over_in_silence() {
    for (flag, variable, value, _) in TERMINATION_HANDLER {
        let with = good(&[&format!("-{flag}={value}")], &[]);
        let name = format!("--{flag}=");
        let is_known = with.given.iter().any(|given| given.starts_with(&name));
        let is_said = with.remarks.iter().any(|remark| remark.contains(variable));
        let is_as_here = value == "false";
        let is_former = FORMER.iter().any(|former| former.variable == variable);
        assert_ne!(is_known, is_former, "{flag}");
        assert!(is_known || is_said || is_as_here, "{flag}: nobody says that it has no effect");
    }
}

#[test]
fn every_variable_of_the_older_scripts_starts_the_program() {
    for (variable, value) in SCRIPTS {
        starts(&[], &[(variable, value)], variable);
    }
    let all: Vec<_> = SCRIPTS.into_iter().filter(|(name, _)| *name != "WECHAT_KEY").collect();
    good(&[], &all);
}

#[test]
fn a_flag_has_one_dash_or_two() {
    let values = |arguments: &[&str]| {
        let settings = good(arguments, &[]);
        (settings.dry_run, settings.source.interval.as_secs(), settings.rules.own.namespace)
    };
    let expected = (true, 7, Some("a".to_owned()));
    for arguments in [
        &["-dry-run", "-poll-interval", "7", "-pod-namespace=a"][..],
        &["--dry-run=true", "--poll-interval=7", "--namespace", "a"],
        &["-dry-run=T", "-poll-interval=7s", "--pod-namespace", "a"],
        &["run", "-dry-run", "--poll-interval", "7", "-namespace=a"],
    ] {
        assert_eq!(values(arguments), expected, "{arguments:?}");
    }
    for help in ["-h", "-help", "--help", "--h"] {
        assert!(matches!(read([help.into()], &|_| None), Ok(Invocation::Help)), "{help}");
    }
}

#[test]
fn of_two_flags_for_the_same_the_newer_counts() {
    let grace = |arguments: &[&str]| good(arguments, &[]).longest_grace.map(Grace::get);
    assert_eq!(grace(&["--grace-period=30"]), Some(30));
    let both = ["--pod-termination-grace-period=60", "--grace-period=30"];
    assert_eq!(grace(&both), Some(60));
    assert_eq!(
        remarks(&both, &[]),
        ["--grace-period is given too, but not used: --pod-termination-grace-period comes first."]
    );
    assert_eq!(grace(&["--grace-period=30", "--grace-period=40"]), Some(40));
    // A flag is before any variable.
    let variables = [("POD_TERMINATION_GRACE_PERIOD", "50")];
    let settings = good(&["--grace-period=30"], &variables);
    assert_eq!(settings.longest_grace.map(Grace::get), Some(30));
    assert_eq!(problems(&["--grace-period=x"], &[])[0].split(' ').next(), Some("--grace-period"));
}

/// The chart of aws-node-termination-handler sets its default, whether or not anybody chose it.
#[test]
fn only_another_number_of_workers_than_ten_is_worth_a_word() {
    for (arguments, variables) in
        [(&[][..], &[("WORKERS", "10")][..]), (&["--workers=10"], &[]), (&["-workers", "10"], &[])]
    {
        assert_eq!(remarks(arguments, variables), [""; 0], "{arguments:?} {variables:?}");
    }
    let said = ["WORKERS has no effect: the API server says how many requests it takes at a time."];
    assert_eq!(remarks(&["--workers=20"], &[]), said);
    assert_eq!(remarks(&[], &[("WORKERS", "20")]), said);
}

/// EKS gives every pod with a role the variable.
#[test]
fn a_region_in_the_environment_is_not_worth_a_word() {
    assert_eq!(remarks(&[], &[("AWS_REGION", "eu-west-1")]), [""; 0]);
    let said = remarks(&["--aws-region=eu-west-1"], &[]);
    assert!(said[0].starts_with("AWS_REGION has no effect: "), "{said:?}");
}

/// What an operator reads who comes from another handler.
#[test]
fn the_page_on_migrating_names_what_has_no_effect_or_another() {
    let page = include_str!("../../../docs/migrating.md");
    for name in FORMER.iter().map(|former| former.variable).chain(["GRACE_PERIOD"]) {
        assert!(
            page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}=true`")),
            "{name}"
        );
    }
}
