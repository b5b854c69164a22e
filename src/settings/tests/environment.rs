//! What is read from the environment, and how.

use super::*;
use crate::settings::table::Row;

/// A value for each setting that it takes, and that is not its default.
fn sample(row: &Row) -> &'static str {
    match row.variable {
        "NODE_NAME" | "POD_NAME" | "NAMESPACE" | "CLUSTER" => "blue",
        "INSTANCE_METADATA_URL" => "http://metadata.example",
        "NOTICE_URL" | "AZ_URL" | "INSTANCE_ID_URL" | "INSTANCE_TYPE_URL" => "http://a.example/b",
        "POLL_INTERVAL" | "NODE_TERMINATION_GRACE_PERIOD" => "7",
        "MAINTENANCE_LEAD_TIMES" => "instance-stop=2h",
        "REBALANCE_PATIENCE" => "20m",
        "ASG_LIFECYCLE_WINDOW" | "REBALANCE_MARK_DURATION" => "40m",
        "TAINT_EFFECT" => "NoExecute",
        "LOAD_BALANCER_HOLD"
        | "NODE_SHUTDOWN_GRACE_PERIOD"
        | "SAFETY_MARGIN"
        | "SHUTDOWN_GRACE_PERIOD" => "5s",
        "REBALANCE_MARK" => "soft-taint",
        "POD_TERMINATION_GRACE_PERIOD" => "30",
        "BUDGET_OVERRIDE" => "never",
        "KUBERNETES_SERVICE_HOST" => "10.0.0.9",
        "KUBERNETES_SERVICE_PORT" => "6443",
        "TOKEN_FILE"
        | "CA_FILE"
        | "KUBECONFIG"
        | "WEBHOOK_URL_FILE"
        | "WEBHOOK_TEMPLATE_FILE"
        | "WEBHOOK_HEADERS_FILE"
        | "WEBHOOK_CA_FILE" => "/run/a",
        "IDENTITY" => "node",
        "K8S_SPOT_HANDLER_SERVER" => "https://api.example:6443",
        "LOG_LEVEL" => "error",
        "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS" => "a=b",
        "WEBHOOK_URL" | "SLACK_URL" | "HANGOUTS_URL" | "WECHAT_URL" | "SEMATEXT_URL" => {
            "https://hooks.example/a"
        }
        "WEBHOOK_FORM" => "slack",
        "WEBHOOK_TEMPLATE" => r#"{"a":"{{ .Kind }}"}"#,
        "WEBHOOK_ROUTING_KEY" => "0123456789abcdef0123456789abcdef",
        "WEBHOOK_HEADERS" => r#"{"X-A":"b"}"#,
        "WEBHOOK_PROXY" | "HTTPS_PROXY" | "HTTP_PROXY" | "ALL_PROXY" => {
            "http://u:p@proxy.example:3128"
        }
        "NO_PROXY" => "a.example,10.0.0.0/8",
        "SLACK_CHANNEL" => "#ops",
        "WECHAT_KEY" => "a-b",
        "PROMETHEUS_SERVER_PORT" | "PROBES_SERVER_PORT" => "9999",
        "PROBES_SERVER_ENDPOINT" => "/live",
        "LISTEN_ADDRESS" => "127.0.0.1",
        "K8S_SPOT_HANDLER_DEADLINE" => "5m",
        "K8S_SPOT_HANDLER_OUTPUT" => "json",
        name => match row.default {
            DefaultValue::Is("true") => "false",
            DefaultValue::Is("false" | "0") => "true",
            _ => panic!("no sample of {name}"),
        },
    }
}

/// What a webhook needs to be there, so that its settings make a difference.
const WEBHOOKS: [(&str, &str); 2] =
    [("WECHAT_URL", "https://hooks.example/w"), ("SLACK_URL", "https://hooks.example/s")];

#[test]
fn white_space_around_a_value_does_not_count() {
    let of = |name: &str, value: &str| {
        let mut variables = WEBHOOKS.to_vec();
        variables.push((name, value));
        good(&[], &variables)
    };
    for row in rows() {
        let value = sample(row);
        for name in row.aliases.iter().chain([&row.variable]) {
            let plain = of(name, value);
            for around in [format!("{value}\n"), format!("{value}\r\n"), format!(" {value}\t")] {
                assert_eq!(of(name, &around), plain, "{name}={around:?}");
            }
            assert_eq!(settled(&[], &[(name, " \n")]), settled(&[], &[(name, "")]), "{name}");
        }
        for flag in row.flags() {
            let given = |value: &str| good(&[&format!("--{flag}={value}")], &WEBHOOKS);
            assert_eq!(given(&format!("{value}\n")), given(value), "--{flag}");
        }
    }
}

#[test]
fn white_space_around_a_value_of_the_predecessors_does_not_count() {
    for (name, value) in [
        ("ENABLE_SQS_TERMINATION_DRAINING", "false\n"),
        ("METADATA_TRIES", "3\n"),
        ("UPTIME_FROM_FILE", " /proc/uptime"),
    ] {
        assert_eq!(remarks(&[], &[(name, value)]), [""; 0], "{name}");
    }
}

/// The form of the log is found whatever else is wrong.
#[test]
fn whether_the_log_is_json_is_known_early() {
    let json = |arguments: &[&str], value: Option<&str>| {
        let lookup = |name: &str| value.filter(|_| name == "JSON_LOGGING").map(OsString::from);
        logs_json(arguments.iter().map(OsString::from), &lookup)
    };
    for (arguments, value) in [
        (&["--nonsense", "--safety-margin=0"][..], Some("true")),
        (&["dran"], Some("true\n")),
        (&["run", "-p"], Some("1")),
        (&["--json-logging", "--nonsense"], None),
        (&["-json-logging=T", "hush"], Some("false")),
        (&["--safety-margin"], Some("TRUE")),
    ] {
        assert!(json(arguments, value), "{arguments:?} {value:?}");
    }
    for (arguments, value) in [
        (&["--nonsense"][..], None),
        (&["--nonsense"], Some("false")),
        // A bad value is none, by flag as by variable.
        (&["--nonsense"], Some("yes")),
        (&["--json-logging=yes"], Some("true")),
        (&["--json-logging=false"], Some("true")),
        // For people.
        (&["--help"], Some("true")),
        (&["--print-settings"], Some("true")),
        (&["check"], Some("true")),
        (&["plan"], Some("true")),
        (&["drain", "n1"], Some("true")),
        (&["restore", "n1"], Some("true")),
    ] {
        assert!(!json(arguments, value), "{arguments:?} {value:?}");
    }
}

/// A shell in which other programs have put names of theirs.
const SHELL: [(&str, &str); 8] = [
    ("OUTPUT", "x"),
    ("SERVER", "https://other.example"),
    ("DEADLINE", "tomorrow"),
    ("IDENTITY", "/home/me/.ssh/id_ed25519"),
    ("CLUSTER", "a\u{1b}b"),
    ("LOG_LEVEL", "trace"),
    ("VERBOSE", "yes"),
    ("NAMESPACE", "My_Namespace"),
];

#[test]
fn names_that_other_programs_have_in_a_shell_are_not_meant() {
    let outside = [("KUBERNETES_SERVICE_HOST", ""), ("KUBECONFIG", "./admin.json")];
    for command in ["drain", "restore", "plan", "check"] {
        for (name, value) in SHELL {
            let variables = [&outside[..], &[(name, value)]].concat();
            let settings = good(&[command, "n1"], &variables);
            let plain = good(&[command, "n1"], &outside);
            let is_ours = rows().any(|row| row.variable == name);
            let said: Vec<_> = settings.remarks.iter().map(ToString::to_string).collect();
            assert_eq!(said.len(), usize::from(is_ours), "{said:?}");
            assert!(said.iter().all(|said| said.starts_with(&format!("{name} is not read "))));
            assert_eq!(Settings { remarks: Vec::new(), ..settings }, plain, "{command} {name}");
        }
    }
}

#[test]
fn the_page_names_what_is_not_read_in_a_shell() {
    let page = include_str!("../../../docs/by-hand.md");
    for row in rows() {
        let name = row.variable;
        let is_told = page.contains(&format!("`{name}`"));
        assert!(is_told || !row.is_everyday && !name.starts_with("K8S_SPOT_HANDLER_"), "{name}");
    }
}

#[test]
fn the_flags_of_those_names_and_the_prefixed_variables_are() {
    let variables = [
        ("KUBERNETES_SERVICE_HOST", ""),
        ("K8S_SPOT_HANDLER_SERVER", "https://mine.example"),
        ("K8S_SPOT_HANDLER_DEADLINE", "7m"),
        ("K8S_SPOT_HANDLER_OUTPUT", "json"),
    ];
    let settings = good(&["plan", "n1", "--cluster=blue", "--log-level=error"], &variables);
    let ApiServer::Named { url, .. } = &settings.api_server else { panic!("{settings:?}") };
    assert_eq!(url.to_string(), "https://mine.example:443");
    assert_eq!(settings.by_hand.deadline, Duration::from_mins(7));
    assert_eq!(settings.by_hand.output, Output::Json);
    assert_eq!(settings.reporting.cluster.as_deref(), Some("blue"));
    assert_eq!(settings.remarks, [""; 0]);
}

/// Asked in a handler's pod, it asks with the handler's settings.
#[test]
fn in_a_pod_the_manifest_s_names_count_by_hand_as_for_the_handler() {
    let variables = [("CLUSTER", "blue"), ("IDENTITY", "node"), ("LOG_LEVEL", "error")];
    for command in ["run", "drain", "plan", "check"] {
        let settings = good(&[command], &variables);
        assert_eq!(settings.reporting.cluster.as_deref(), Some("blue"), "{command}");
        assert_eq!(settings.remarks, [""; 0], "{command}");
    }
    assert_eq!(problems(&["drain"], &[("IDENTITY", "nodes")]).len(), 1);
}
