//! The settings as a whole: precedence, what is in force, everything that is wrong at once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;
use crate::drain::pod::OwnPod;
use crate::http::address::Address;
use crate::kube::identity::Choice;
use crate::level::Level;
use crate::node::{RebalanceMark, TaintEffect};
use crate::notice::Code;
use crate::plan::kinds::{LeadTimes, Rebalance};
use crate::settings::predecessors::FORMER;
use crate::settings::table::{DefaultValue, GROUPS, Stakes, rows};
use crate::source::Watched;
use crate::source::url::MetadataUrl;

/// What is read from the environment.
mod environment;
/// Manifests of the programs before this one.
mod former;
/// What `--print-settings` prints.
mod overview;
/// The page and the README.
mod page;
/// Who is told.
mod reporting;
/// What is never shown.
mod secrets;
/// Several settings together.
mod together;

/// What a pod of the shipped manifest has.
const POD: [(&str, &str); 2] = [("NODE_NAME", "node-1"), ("KUBERNETES_SERVICE_HOST", "10.96.0.1")];

fn settled(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, BadSettings> {
    let lookup = |name: &str| {
        let found = variables.iter().rev().chain(&POD).find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    match read(arguments.iter().map(OsString::from), &lookup)? {
        Invocation::Do(_, settings) => Ok(*settings),
        other => panic!("{other:?}"),
    }
}

fn good(arguments: &[&str], variables: &[(&str, &str)]) -> Settings {
    settled(arguments, variables).unwrap_or_else(|bad| panic!("{bad}"))
}

fn problems(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    let bad = settled(arguments, variables).expect_err("settings that are bad");
    bad.0.iter().map(ToString::to_string).collect()
}

/// What is wrong and done without.
fn done_without(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    good(arguments, variables).unusable.iter().map(ToString::to_string).collect()
}

fn remarks(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    good(arguments, variables).remarks
}

#[test]
fn a_pod_of_the_manifest_needs_no_more_than_its_node() {
    let settings = good(&[], &[]);
    assert_eq!(
        settings,
        Settings {
            node: WhichNode::Named("node-1".into()),
            source: Source {
                metadata_url: MetadataUrl::parse("http://169.254.169.254").unwrap(),
                notice_url: None,
                interval: Duration::from_secs(1),
                calm_interval: Duration::from_secs(5),
                v1_fallback: true,
                watched: Watched {
                    interruption: true,
                    rebalance: false,
                    maintenance: true,
                    lifecycle: false,
                },
                window: Duration::from_mins(2),
                lifecycle_window: Duration::from_mins(5),
            },
            instance: InstanceSource {
                metadata_url: MetadataUrl::parse("http://169.254.169.254").unwrap(),
                v1_fallback: true,
                zone_url: None,
                id_url: None,
                type_url: None,
            },
            policy: Policy {
                marks_only: false,
                lead_times: usual_lead_times(),
                rebalance: Rebalance::Mark,
                rebalance_marks: Duration::from_hours(1),
            },
            marks: MarkPolicy {
                taint: None,
                exclude_from_load_balancers: false,
                rebalance_mark: RebalanceMark::Cordon,
            },
            load_balancer_hold: Duration::ZERO,
            api_server: ApiServer::Named {
                url: Address::parse("10.96.0.1", 443).unwrap().into(),
                token_file: "/var/run/secrets/kubernetes.io/serviceaccount/token".into(),
                ca_file: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".into(),
                identity: Choice::Auto,
            },
            by_hand: ByHandSettings {
                deadline: Duration::from_mins(2),
                overrides_budgets: false,
                shortens_graces: false,
                output: Output::Text,
            },
            dry_run: false,
            rules: Rules {
                own: OwnPod { namespace: None, name: None, uid: None },
                ignore_daemon_sets: true,
                delete_local_data: true,
                drain_unmanaged: true,
            },
            longest_grace: None,
            budget_override: BudgetOverride::AtDeadline,
            safety_margin: Duration::from_secs(2),
            node_shutdown_grace: Duration::ZERO,
            shutdown_grace: Duration::from_secs(150),
            reporting: Reporting {
                json: false,
                least: Level::Info,
                events: None,
                webhooks: Vec::new(),
                cluster: None,
                metrics: None,
                probes: None,
            },
            given: settings.given.clone(),
            remarks: vec![],
            unusable: vec![],
        }
    );
    let given: Vec<_> = settings.given.iter().map(ToString::to_string).collect();
    assert_eq!(given, ["NODE_NAME=node-1", "KUBERNETES_SERVICE_HOST=10.96.0.1"]);
}

fn usual_lead_times() -> LeadTimes {
    let ten_minutes = Duration::from_mins(10);
    LeadTimes {
        instance_reboot: ten_minutes,
        system_reboot: ten_minutes,
        system_maintenance: ten_minutes,
        instance_retirement: Duration::from_hours(1),
        instance_stop: Duration::from_hours(1),
    }
}

#[test]
fn each_setting_of_the_table_is_asked_for_and_no_other() {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    let _ = read([], &lookup);
    let table = rows().flat_map(|row| row.aliases.iter().chain([&row.variable]));
    let former = FORMER.iter().map(|former| &former.variable);
    let known: BTreeSet<_> = table.chain(former).map(|name| (*name).to_owned()).collect();
    assert_eq!(asked.into_inner(), known);
}

#[test]
fn no_row_lacks_anything() {
    for row in rows() {
        assert_eq!(
            row.flag.to_ascii_uppercase().replace('-', "_"),
            match row.variable {
                "INSTANCE_METADATA_URL" => "METADATA_URL",
                // By hand only: a shell has names of other programs in it.
                variable => variable.strip_prefix("K8S_SPOT_HANDLER_").unwrap_or(variable),
            }
        );
        let (DefaultValue::Is(default) | DefaultValue::Unset(default)) = row.default;
        assert!(![row.flag, row.help, row.valid, default].contains(&""), "{row:?}");
        assert_eq!(row.placeholder.is_none(), ["true", "false", "0"].contains(&default), "{row:?}");
    }
}

#[test]
fn no_name_stands_twice() {
    let former = FORMER.iter().map(|former| former.variable.to_ascii_lowercase().replace('_', "-"));
    let flags: Vec<_> =
        rows().flat_map(table::Row::flags).map(str::to_owned).chain(former).collect();
    assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
    let variables: Vec<_> = rows()
        .flat_map(|row| row.aliases.iter().chain([&row.variable]))
        .chain(FORMER.iter().map(|former| &former.variable))
        .collect();
    assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
}

#[test]
fn nothing_is_polled_more_often_than_the_setting_says() {
    for (interval, calm) in [("1", 5), ("5", 5), ("6", 6), ("20", 20)] {
        let source = good(&["--poll-interval", interval], &[]).source;
        assert_eq!(source.interval.as_secs().to_string(), interval);
        assert_eq!(source.calm_interval.as_secs(), calm);
    }
}

#[test]
fn flag_before_environment_before_default() {
    let interval = |arguments: &[&str], variables: &[(&str, &str)]| {
        good(arguments, variables).source.interval.as_secs()
    };
    assert_eq!(interval(&["--poll-interval=3"], &[("POLL_INTERVAL", "5")]), 3);
    assert_eq!(interval(&[], &[("POLL_INTERVAL", "5")]), 5);
    assert_eq!(interval(&[], &[("POLL_INTERVAL", "")]), 1);
    assert_eq!(interval(&["--poll-interval="], &[("POLL_INTERVAL", "5")]), 5);
}

#[test]
fn a_bad_value_that_is_not_in_force_does_no_harm() {
    let settings = good(&["--safety-margin=5s"], &[("SAFETY_MARGIN", "long")]);
    assert_eq!(settings.safety_margin, Duration::from_secs(5));
}

#[test]
fn every_mistake_is_named_at_once_as_it_was_given() {
    assert_eq!(
        problems(
            &["--shutdown-grace-period=0", "--dry-run=maybe", "--nonsense"],
            &[("POLL_INTERVAL", "soon\n"), ("GRACE_PERIOD", "1.5"), ("SAFETY_MARGIN", "2")],
        ),
        [
            "argument 3 is no flag of this program; it is not shown, because it may hold a secret",
            "POLL_INTERVAL is \"soon\"; valid is a duration from 1s to 1h; a bare number is \
             seconds",
            "--dry-run is \"maybe\"; valid is true or false (also 1, 0, t, f)",
            "GRACE_PERIOD is \"1.5\"; valid is whole seconds, or a duration such as 2m; a \
             negative number means each pod's own",
            "SAFETY_MARGIN is \"2\"; valid is a duration with its unit from 0s to 1h, such as \
             500ms or 2s",
            "--shutdown-grace-period is \"0\"; valid is a duration with its unit from 1s to 168h, \
             such as 150s",
        ]
    );
}

#[test]
fn the_ends_of_each_range_are_valid_and_the_next_values_are_not() {
    for (flag, valid, invalid) in [
        ("poll-interval", &["1", "1s", "1h"][..], &["0", "999ms", "3601"][..]),
        ("node-termination-grace-period", &["3", "168h"], &["0", "604801s", "-1"]),
        ("safety-margin", &["0s", "119s"], &["61m", "2"]),
        ("shutdown-grace-period", &["1s", "168h"], &["0s", "1", "500ms", "169h"]),
        ("load-balancer-hold", &["0s", "1h"], &["15", "3601s", "-1s"]),
        ("rebalance-patience", &["1m", "60s", "168h"], &["30", "59s", "169h"]),
        ("rebalance-mark-duration", &["1m", "168h"], &["60", "59s", "169h"]),
        ("asg-lifecycle-window", &["3s", "168h"], &["0s", "3600", "169h"]),
        ("maintenance-lead-times", &["instance-stop=3s"], &["instance-stop=600", "stop=1h"]),
        ("taint-effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], &["noExecute", "No"]),
        ("rebalance-mark", &["cordon", "soft-taint"], &["Cordon", "taint"]),
        ("cordon-only", &["1", "false"], &["yes", "2"]),
        ("kubernetes-service-port", &["1", "65535"], &["0", "65536", "https"]),
        ("pod-termination-grace-period", &["-1", "0", "4294967295"], &["4294967296"]),
        ("verbose", &["0", "1", "true"], &["-1", "yes", "256"]),
        ("budget-override", &["never", "at-deadline"], &["Never", "always"]),
        ("log-level", &["debug", "INFO", "warn", "error"], &["trace", "2"]),
        ("prometheus-server-port", &["1", "65535"], &["0", "65536"]),
        ("probes-server-endpoint", &["/", "/healthz"], &["healthz", "/a?b", "/readyz", "/metrics"]),
        ("listen-address", &["127.0.0.1", "::", "fd00::1"], &["localhost", "[::]", "0.0.0.0:80"]),
        ("kubernetes-events-extra-annotations", &["a=1,b.c/d=2"], &["a", "b c=1"]),
    ] {
        for value in valid {
            good(&[&format!("--{flag}={value}")], &[]);
        }
        let decides = rows().any(|row| row.flag == flag && row.stakes == Stakes::Pods);
        let wrong = if decides { problems } else { done_without };
        for value in invalid {
            assert_eq!(wrong(&[&format!("--{flag}={value}")], &[]).len(), 1, "{flag} {value}");
        }
    }
}

/// Each setting of the table with a value that none takes.
#[cfg(unix)]
#[test]
fn only_what_decides_about_pods_ends_the_program() {
    use std::os::unix::ffi::OsStringExt;
    for row in rows() {
        let lookup = |name: &str| {
            let of_pod = || POD.iter().find(|(known, _)| *known == name);
            if name == row.variable {
                return Some(OsString::from_vec(b"\xff".to_vec()));
            }
            of_pod().map(|(_, value)| OsString::from(value))
        };
        for (command, ends) in [
            ("run", row.stakes == Stakes::Pods),
            ("drain", !matches!(row.stakes, Stakes::Reports(_))),
            ("plan", !matches!(row.stakes, Stakes::Reports(_))),
        ] {
            let (ended, said): (_, Vec<_>) = match read([command.into()], &lookup) {
                Ok(Invocation::Do(_, settings)) => {
                    (false, settings.unusable.iter().map(ToString::to_string).collect())
                }
                Err(bad) => (true, bad.0.iter().map(ToString::to_string).collect()),
                other => panic!("{other:?}"),
            };
            assert_eq!(ended, ends, "{command} with {}: {said:?}", row.variable);
            let [said] = &said[..] else { panic!("{command} with {}: {said:?}", row.variable) };
            assert!(said.starts_with(row.variable) && said.contains(row.valid), "{said}");
            assert!(ended || said.len() > row.valid.len() + 30, "what holds instead? {said}");
        }
    }
}

/// A setting that decides about pods must not be done without, nor one of reports end the program.
#[test]
fn what_is_at_stake_is_what_the_group_is_about() {
    for group in GROUPS {
        for row in group.rows {
            let expected = match group.title {
                "The log" | "Kubernetes Events" | "Webhooks" | "Metrics and probes" => {
                    matches!(row.stakes, Stakes::Reports(_))
                }
                "By hand" => row.stakes == Stakes::ByHand,
                _ => row.stakes == Stakes::Pods,
            };
            assert!(expected, "{}: {:?}", row.variable, row.stakes);
        }
    }
}

#[test]
fn a_flag_of_a_report_without_its_value_is_done_without() {
    let said = done_without(&["--webhook-url"], &[]);
    assert_eq!(
        said,
        ["--webhook-url came without a value; valid is https://HOST[:PORT]/PATH, or http://; it \
          counts as unset"]
    );
    assert_eq!(problems(&["--safety-margin"], &[]).len(), 1);
}

#[test]
fn with_what_ends_the_program_everything_is_named() {
    let said = problems(
        &["--taint-node=on"],
        &[("LOG_LEVEL", "loud"), ("K8S_SPOT_HANDLER_DEADLINE", "soon")],
    );
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("--taint-node"), "{said:?}");
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_bad() {
    use std::os::unix::ffi::OsStringExt;
    let lookup =
        |name: &str| (name == "NODE_NAME").then(|| OsString::from_vec(b"node-\xff\x1b".to_vec()));
    let bad = read(["--kubernetes-service-host=::1".into()], &lookup).unwrap_err();
    assert_eq!(bad.0.len(), 1);
    assert!(bad.to_string().contains("NODE_NAME is \"node-\u{fffd}\\u{1b}\""), "{bad}");
}

#[test]
fn a_token_in_the_wrong_place_is_not_shown() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2VjcmV0";
    let bad = settled(&["--token-file", token, token], &[("NODE_NAME", token)]).unwrap_err();
    assert_eq!(bad.0.len(), 3);
    assert!(!bad.to_string().contains("eyJ"), "{bad}");
}

#[test]
fn the_query_of_a_notice_url_is_not_shown_whether_it_is_good_or_bad() {
    let good = good(&[], &[("NOTICE_URL", "http://host/notice?key=secret")]);
    let given: Vec<_> = good.given.iter().map(ToString::to_string).collect();
    assert_eq!(given[1], "NOTICE_URL=http://host/notice?…");
    let bad = problems(&[], &[("NOTICE_URL", "host/notice?key=secret")]);
    assert!(bad[0].starts_with("NOTICE_URL is \"host/notice?…\"; "), "{bad:?}");
}

#[test]
fn the_node_is_named_or_found_by_its_pod() {
    let pod = [("NODE_NAME", ""), ("POD_NAME", "me"), ("NAMESPACE", "kube-system")];
    let settings = good(&[], &pod);
    assert_eq!(settings.node, WhichNode::OfOwnPod);
    assert_eq!(settings.rules.own.name.as_deref(), Some("me"));
    assert_eq!(settings.rules.own.namespace.as_deref(), Some("kube-system"));
    let without_namespace = good(&[], &pod[..2]);
    assert_eq!(without_namespace.node, WhichNode::OfOwnPod);
    assert_eq!(without_namespace.rules.own.namespace, None);
    assert_eq!(good(&[], &pod[1..]).node, WhichNode::Named("node-1".into()));
}

#[test]
fn what_is_missing_is_said_with_its_remedy() {
    let nothing = problems(&[], &[("NODE_NAME", ""), ("KUBERNETES_SERVICE_HOST", "")]);
    assert_eq!(nothing.len(), 2);
    assert!(nothing[0].starts_with("neither NODE_NAME nor POD_NAME is set"), "{nothing:?}");
    assert!(nothing[0].contains("spec.nodeName"), "{nothing:?}");
    assert!(nothing[1].starts_with("KUBERNETES_SERVICE_HOST is not set"), "{nothing:?}");
}

#[test]
fn a_bad_value_is_not_called_missing_too() {
    let bad = problems(&["--kubernetes-service-host=a b"], &[("NODE_NAME", ""), ("POD_NAME", "A")]);
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad.iter().all(|problem| problem.contains("valid is")), "{bad:?}");
}

#[test]
fn an_old_name_counts_where_the_new_one_is_unset() {
    let grace = |variables: &[(&str, &str)]| good(&[], variables).longest_grace.map(Grace::get);
    assert_eq!(grace(&[("GRACE_PERIOD", "60")]), Some(60));
    assert_eq!(grace(&[("GRACE_PERIOD", "-1")]), None);
    let both = [("GRACE_PERIOD", "60"), ("POD_TERMINATION_GRACE_PERIOD", "30")];
    assert_eq!(grace(&both), Some(30));
    assert_eq!(
        remarks(&[], &both),
        ["GRACE_PERIOD is set too, but not used: POD_TERMINATION_GRACE_PERIOD comes first."]
    );
    assert_eq!(remarks(&[], &[("GRACE_PERIOD", "30"), both[1]]), [""; 0]);
}

#[test]
fn a_switch_of_another_handler_takes_no_flag_for_its_value() {
    for former in FORMER
        .iter()
        .filter(|former| former.is_switch && former.variable != "ENABLE_SQS_TERMINATION_DRAINING")
    {
        let flag = format!("--{}", former.variable.to_ascii_lowercase().replace('_', "-"));
        assert!(good(&[&flag, "--dry-run"], &[]).dry_run, "{flag}");
    }
    let switches = ["USE_PROVIDER_ID", "CHECK_TAG_BEFORE_DRAINING", "DETACH_ASG"];
    for name in switches {
        assert!(FORMER.iter().any(|former| former.variable == name && former.is_switch), "{name}");
    }
}

#[test]
fn a_grace_of_nought_is_one_and_that_is_said() {
    let settings = good(&["--pod-termination-grace-period=0"], &[]);
    assert_eq!(settings.longest_grace, Some(Grace::MIN));
    assert_eq!(settings.remarks.len(), 1);
    assert!(settings.remarks[0].contains("counts as 1"));
}

#[test]
fn names_without_effect_are_said_once_each() {
    let said = remarks(
        &["--kube-api-qps=9"],
        &[("SPOT_POD_IP", "10.0.0.1"), ("KUBE_API_QPS", "5"), ("METADATA_TRIES", "")],
    );
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("KUBE_API_QPS has no effect: "), "{said:?}");
    assert!(said[1].starts_with("SPOT_POD_IP has no effect: "), "{said:?}");
}

/// As the chart of aws-node-termination-handler sets them where nobody asks for anything.
#[test]
fn what_the_other_handler_does_by_itself_is_not_worth_a_word() {
    let usual = [
        ("TAINT_NODE", "false"),
        ("ENABLE_REBALANCE_DRAINING", "False"),
        ("WEBHOOK_URL", ""),
        ("LOG_LEVEL", "info"),
        ("PROBES_SERVER_PORT", "8080"),
        ("METADATA_TRIES", "3"),
        ("TAINT_EFFECT", "NoSchedule"),
        ("UPTIME_FROM_FILE", "/proc/uptime"),
        ("ENABLE_SQS_TERMINATION_DRAINING", "false"),
    ];
    assert_eq!(remarks(&[], &usual), [""; 0]);
}

#[test]
fn what_would_change_something_is_said_without_its_value() {
    let asked = [
        ("ENABLE_OUT_OF_SERVICE_TAINT", "true"),
        ("DETACH_ASG", "yes"),
        ("HIPCHAT_AUTH_TOKEN", "secret"),
        ("GMAIL_PASS", "secret"),
    ];
    let said = remarks(&[], &asked);
    assert_eq!(said.len(), asked.len(), "{said:?}");
    for (name, _) in asked {
        let beginning = format!("{name} has no effect: ");
        assert!(said.iter().any(|remark| remark.starts_with(&beginning)), "{name}: {said:?}");
    }
    assert!(!said.concat().contains("secret"), "{said:?}");
    let given = good(&[], &asked).given;
    assert_eq!(given.len(), POD.len(), "{given:?}");
}

#[test]
fn the_mode_with_a_queue_is_refused() {
    let queue = problems(&[], &[("ENABLE_SQS_TERMINATION_DRAINING", "true")]);
    assert_eq!(queue.len(), 1);
    assert!(queue[0].contains("there is no queue mode here"), "{queue:?}");
    assert_eq!(problems(&["--enable-sqs-termination-draining"], &[]), queue);
    assert!(settled(&["--enable-sqs-termination-draining=false"], &[]).is_ok());
}

#[test]
fn the_shipped_manifest_sets_what_the_table_knows() {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/daemonset.yaml"));
    let is_variable = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let names = manifest.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
    let variables: Vec<_> = names.filter(is_variable).collect();
    assert!(variables.contains(&"NODE_NAME"), "{variables:?}");
    for variable in variables {
        assert!(rows().any(|row| row.variable == variable), "{variable}");
    }
}

#[test]
fn the_grace_of_the_shipped_manifest_is_the_default() {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/daemonset.yaml"));
    let grace = good(&[], &[]).shutdown_grace.as_secs();
    let line = format!("terminationGracePeriodSeconds: {grace}");
    assert!(manifest.lines().any(|found| found.trim() == line), "{line}");
}
