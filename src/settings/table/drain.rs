//! Settings that decide about pods: what is watched, who goes, when, and how the clouds and the API server are
//! reached. Then those of an operator's commands.

use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::kube::identity::Choice;
use crate::kube::server_url::ServerUrl;
use crate::node::{RebalanceMark, TaintEffect};
use crate::settings::table::DefaultValue::{Is, Unset};
use crate::settings::table::{
    A_FILE, A_PORT, BY_HAND, DECIDES, Group, Row, Secret, store, try_store,
};
use crate::settings::value::{
    any_path, duration, host, label, lead_times, one_of, output, path, pod_grace, seconds,
    subdomain, truth, within,
};
use crate::source::url::{MetadataUrl, NoticeUrl};

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_MINUTE: Duration = Duration::from_mins(1);
const ONE_HOUR: Duration = Duration::from_hours(1);
const ONE_WEEK: Duration = Duration::from_hours(7 * 24);

const A_SUBDOMAIN: &str = "a Kubernetes name: at most 253 of a-z, 0-9, - and .";

pub(super) const WHO: Group = Group {
    title: "Who it is",
    rows: &[
        Row {
            flag: "node-name",
            variable: "NODE_NAME",
            placeholder: Some("NAME"),
            default: Unset("that of its own pod: from the token's claims, else the pod is read"),
            valid: A_SUBDOMAIN,
            help: "the node that is drained: its own; one of NODE_NAME and POD_NAME is needed",
            read: |v, text| store(&mut v.node_name, subdomain(text)),
            ..DECIDES
        },
        Row {
            flag: "pod-name",
            variable: "POD_NAME",
            placeholder: Some("NAME"),
            default: Unset("from the token's claims, if NODE_NAME is set; else it is needed"),
            valid: A_SUBDOMAIN,
            help: "this process's own pod: it is never evicted",
            read: |v, text| store(&mut v.pod_name, subdomain(text)),
            ..DECIDES
        },
        Row {
            flag: "namespace",
            flag_aliases: &["pod-namespace"],
            variable: "NAMESPACE",
            is_everyday: true,
            placeholder: Some("NAME"),
            default: Unset("from the token's claims"),
            valid: "the name of a namespace: at most 63 of a-z, 0-9 and -",
            help: "the namespace of this process's own pod",
            read: |v, text| store(&mut v.namespace, label(text)),
            ..DECIDES
        },
    ],
};

pub(super) const CLOUD: Group = Group {
    title: "Where notices come from",
    rows: &[
        Row {
            flag: "metadata-url",
            variable: "INSTANCE_METADATA_URL",
            placeholder: Some("URL"),
            default: Is("http://169.254.169.254"),
            valid: "http://HOST[:PORT], with a name, an IPv4 address or an [IPv6 address]; no path, no https",
            secret: Secret::Query,
            help: "where the EC2 instance metadata service is",
            read: |v, text| store(&mut v.metadata_url, MetadataUrl::parse(text).ok()),
            ..DECIDES
        },
        Row {
            flag: "notice-url",
            variable: "NOTICE_URL",
            placeholder: Some("URL"),
            default: Unset("not polled"),
            valid: "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no https",
            secret: Secret::Query,
            help: "polled too; status 200 with an action document or a bare time is a notice",
            read: |v, text| store(&mut v.notice_url, NoticeUrl::parse(text).ok()),
            ..DECIDES
        },
        Row {
            flag: "poll-interval",
            variable: "POLL_INTERVAL",
            placeholder: Some("DURATION"),
            default: Is("1s"),
            valid: "a duration from 1s to 1h; a bare number is seconds",
            help: "how often the metadata service is asked",
            read: |v, text| {
                store(&mut v.poll_interval, within(ONE_SECOND..=ONE_HOUR, seconds(text)))
            },
            ..DECIDES
        },
        Row {
            flag: "imds-v1-fallback",
            variable: "IMDS_V1_FALLBACK",
            default: Is("true"),
            help: "ask without a token where the metadata service plainly offers no IMDSv2",
            read: |v, text| store(&mut v.imds_v1_fallback, truth(text)),
            ..DECIDES
        },
    ],
};

pub(super) const NOTICES: Group = Group {
    title: "What is done about which notice",
    rows: &[
        Row {
            flag: "enable-spot-interruption-draining",
            variable: "ENABLE_SPOT_INTERRUPTION_DRAINING",
            default: Is("true"),
            help: "watch for spot interruptions, and drain the node for one",
            read: |v, text| store(&mut v.enable_spot_interruption_draining, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "enable-scheduled-event-draining",
            variable: "ENABLE_SCHEDULED_EVENT_DRAINING",
            default: Is("true"),
            help: "watch for scheduled maintenance events, and drain the node before one",
            read: |v, text| store(&mut v.enable_scheduled_event_draining, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "enable-rebalance-monitoring",
            variable: "ENABLE_REBALANCE_MONITORING",
            help: "watch for rebalance recommendations, and mark the node for one",
            read: |v, text| store(&mut v.enable_rebalance_monitoring, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "enable-rebalance-draining",
            variable: "ENABLE_REBALANCE_DRAINING",
            help: "watch for rebalance recommendations, and drain the node for one; wins over monitoring",
            read: |v, text| store(&mut v.enable_rebalance_draining, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "enable-asg-lifecycle-draining",
            variable: "ENABLE_ASG_LIFECYCLE_DRAINING",
            help: "watch the Auto Scaling target state, and drain the node when it is Terminated",
            read: |v, text| store(&mut v.enable_asg_lifecycle_draining, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "cordon-only",
            variable: "CORDON_ONLY",
            help: "mark the node and evict nobody, whatever the notice",
            read: |v, text| store(&mut v.cordon_only, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "dry-run",
            variable: "DRY_RUN",
            help: "write nothing: evictions are asked for, not done",
            read: |v, text| store(&mut v.dry_run, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "node-termination-grace-period",
            variable: "NODE_TERMINATION_GRACE_PERIOD",
            placeholder: Some("DURATION"),
            default: Is("120"),
            valid: "a duration from 1s to 168h; a bare number is seconds",
            help: "the time a drain has after a notice that states no usable time; unless it is 120, also \
                   the lead time of maintenance that MAINTENANCE_LEAD_TIMES does not name",
            read: |v, text| {
                store(
                    &mut v.node_termination_grace_period,
                    within(ONE_SECOND..=ONE_WEEK, seconds(text)),
                )
            },
            ..DECIDES
        },
        Row {
            flag: "maintenance-lead-times",
            variable: "MAINTENANCE_LEAD_TIMES",
            placeholder: Some("LIST"),
            default: Is("instance-reboot=10m, system-reboot=10m, system-maintenance=10m, \
                 instance-retirement=1h, instance-stop=1h"),
            valid: "a list such as instance-stop=2h,system-reboot=5m; the codes are those of the \
                    default, the durations have their units, from 1s to 168h",
            help: "how long before scheduled maintenance the drain begins; a code that is not named \
                   keeps its default",
            read: |v, text| try_store(&mut v.maintenance_lead_times, lead_times(text)),
            ..DECIDES
        },
        Row {
            flag: "rebalance-patience",
            variable: "REBALANCE_PATIENCE",
            placeholder: Some("DURATION"),
            default: Is("30m"),
            valid: "a duration with its unit from 1m to 168h, such as 30m",
            help: "how long a rebalance drain goes on; it never overrides a budget",
            read: |v, text| {
                store(&mut v.rebalance_patience, within(ONE_MINUTE..=ONE_WEEK, duration(text)))
            },
            ..DECIDES
        },
        Row {
            flag: "asg-lifecycle-window",
            variable: "ASG_LIFECYCLE_WINDOW",
            placeholder: Some("DURATION"),
            default: Is("5m"),
            valid: "a duration with its unit from 1s to 168h, such as 25m",
            help: "the time a drain has from when Terminated is first seen: the time-out of the \
                   life-cycle hook, which no metadata service tells, less a margin",
            read: |v, text| {
                store(&mut v.asg_lifecycle_window, within(ONE_SECOND..=ONE_WEEK, duration(text)))
            },
            ..DECIDES
        },
    ],
};

pub(super) const MARKS: Group = Group {
    title: "Marks on the node",
    rows: &[
        Row {
            flag: "taint-node",
            variable: "TAINT_NODE",
            help: "besides the cordon, set a taint that names the notice",
            read: |v, text| store(&mut v.taint_node, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "taint-effect",
            variable: "TAINT_EFFECT",
            placeholder: Some("EFFECT"),
            default: Is("NoSchedule"),
            valid: "NoSchedule, PreferNoSchedule or NoExecute",
            help: "the effect of that taint; NoExecute ends pods past their budgets",
            read: |v, text| {
                store(
                    &mut v.taint_effect,
                    one_of(
                        text,
                        [
                            ("NoSchedule", TaintEffect::NoSchedule),
                            ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
                            ("NoExecute", TaintEffect::NoExecute),
                        ],
                    ),
                )
            },
            ..DECIDES
        },
        Row {
            flag: "exclude-from-load-balancers",
            variable: "EXCLUDE_FROM_LOAD_BALANCERS",
            help: "set the label that takes the node out of external load balancers",
            read: |v, text| store(&mut v.exclude_from_load_balancers, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "load-balancer-hold",
            variable: "LOAD_BALANCER_HOLD",
            placeholder: Some("DURATION"),
            default: Is("0s"),
            valid: "a duration with its unit from 0s to 1h, such as 15s",
            help: "how long the first eviction waits after that label; the deadline stays",
            read: |v, text| {
                store(&mut v.load_balancer_hold, within(Duration::ZERO..=ONE_HOUR, duration(text)))
            },
            ..DECIDES
        },
        Row {
            flag: "rebalance-mark",
            variable: "REBALANCE_MARK",
            placeholder: Some("MARK"),
            default: Is("cordon"),
            valid: "cordon, or soft-taint for a taint with the effect PreferNoSchedule",
            help: "how the node is marked for a rebalance recommendation that does not drain it",
            read: |v, text| {
                store(
                    &mut v.rebalance_mark,
                    one_of(
                        text,
                        [
                            ("cordon", RebalanceMark::Cordon),
                            ("soft-taint", RebalanceMark::SoftTaint),
                        ],
                    ),
                )
            },
            ..DECIDES
        },
        Row {
            flag: "rebalance-mark-duration",
            variable: "REBALANCE_MARK_DURATION",
            placeholder: Some("DURATION"),
            default: Is("1h"),
            valid: "a duration with its unit from 1m to 168h, such as 1h",
            help: "when the marks for a rebalance recommendation end, unless an interruption follows",
            read: |v, text| {
                store(&mut v.rebalance_mark_duration, within(ONE_MINUTE..=ONE_WEEK, duration(text)))
            },
            ..DECIDES
        },
    ],
};

pub(super) const DRAIN: Group = Group {
    title: "The drain",
    rows: &[
        Row {
            flag: "ignore-daemon-sets",
            variable: "IGNORE_DAEMON_SETS",
            default: Is("true"),
            help: "leave the pods of DaemonSets alone",
            read: |v, text| store(&mut v.ignore_daemon_sets, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "delete-local-data",
            variable: "DELETE_LOCAL_DATA",
            default: Is("true"),
            help: "evict pods with an emptyDir volume too; its data ends with them",
            read: |v, text| store(&mut v.delete_local_data, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "drain-unmanaged",
            variable: "DRAIN_UNMANAGED",
            default: Is("true"),
            help: "evict pods without a controller too; nothing starts them elsewhere",
            read: |v, text| store(&mut v.drain_unmanaged, truth(text)),
            ..DECIDES
        },
        Row {
            flag: "pod-termination-grace-period",
            flag_aliases: &["grace-period"],
            variable: "POD_TERMINATION_GRACE_PERIOD",
            aliases: &["GRACE_PERIOD"],
            placeholder: Some("SECONDS"),
            default: Is("-1"),
            valid: "whole seconds, or a duration such as 2m; a negative number means each pod's own",
            help: "the longest grace a pod gets; it only shortens the pod's own",
            read: |v, text| store(&mut v.pod_termination_grace_period, pod_grace(text)),
            ..DECIDES
        },
        Row {
            flag: "budget-override",
            variable: "BUDGET_OVERRIDE",
            placeholder: Some("WHEN"),
            default: Is("at-deadline"),
            valid: "at-deadline or never",
            help: "whether a pod that cannot be evicted is deleted in time to end cleanly",
            read: |v, text| {
                store(
                    &mut v.budget_override,
                    one_of(
                        text,
                        [
                            ("at-deadline", BudgetOverride::AtDeadline),
                            ("never", BudgetOverride::Never),
                        ],
                    ),
                )
            },
            ..DECIDES
        },
        Row {
            flag: "safety-margin",
            variable: "SAFETY_MARGIN",
            placeholder: Some("DURATION"),
            default: Is("2s"),
            valid: "a duration with its unit from 0s to 1h, such as 500ms or 2s",
            help: "how long before the deadline the last pod is to have ended",
            read: |v, text| {
                store(&mut v.safety_margin, within(Duration::ZERO..=ONE_HOUR, duration(text)))
            },
            ..DECIDES
        },
        Row {
            flag: "shutdown-grace-period",
            variable: "SHUTDOWN_GRACE_PERIOD",
            placeholder: Some("DURATION"),
            default: Is("150s"),
            valid: "a duration with its unit from 1s to 168h, such as 150s",
            help: "the time from SIGTERM to SIGKILL, until that of its own pod has been read",
            read: |v, text| {
                store(&mut v.shutdown_grace_period, within(ONE_SECOND..=ONE_WEEK, duration(text)))
            },
            ..DECIDES
        },
    ],
};

pub(super) const API_SERVER: Group = Group {
    title: "The API server",
    rows: &[
        Row {
            flag: "kubernetes-service-host",
            variable: "KUBERNETES_SERVICE_HOST",
            placeholder: Some("HOST"),
            default: Unset("must be given; in a pod Kubernetes sets it"),
            valid: "an IPv4 or IPv6 address or a host name, without scheme and port",
            help: "where the API server is",
            read: |v, text| store(&mut v.kubernetes_service_host, host(text)),
            ..DECIDES
        },
        Row {
            flag: "kubernetes-service-port",
            variable: "KUBERNETES_SERVICE_PORT",
            placeholder: Some("PORT"),
            default: Is("443"),
            valid: A_PORT,
            help: "its port",
            read: |v, text| {
                store(&mut v.kubernetes_service_port, within(1..=u16::MAX, text.parse().ok()))
            },
            ..DECIDES
        },
        Row {
            flag: "token-file",
            variable: "TOKEN_FILE",
            default: Is("/var/run/secrets/kubernetes.io/serviceaccount/token"),
            help: "the ServiceAccount token; read again whenever a connection is opened",
            read: |v, text| store(&mut v.token_file, path(text)),
            ..A_FILE
        },
        Row {
            flag: "ca-file",
            variable: "CA_FILE",
            default: Is("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
            help: "certificates (PEM) that the API server's own must go back to",
            read: |v, text| store(&mut v.ca_file, path(text)),
            ..A_FILE
        },
        Row {
            flag: "identity",
            variable: "IDENTITY",
            is_everyday: true,
            placeholder: Some("WHO"),
            default: Is("auto"),
            valid: "auto, node or service-account",
            help: "in whose name requests are made; auto: the node's where the server lets it",
            read: |v, text| {
                store(
                    &mut v.identity,
                    one_of(
                        text,
                        [Choice::Auto, Choice::Node, Choice::ServiceAccount]
                            .map(|choice| (choice.word(), choice)),
                    ),
                )
            },
            ..DECIDES
        },
        Row {
            flag: "server",
            variable: "K8S_SPOT_HANDLER_SERVER",
            placeholder: Some("URL"),
            default: Unset("by the two above"),
            valid: "https://HOST:PORT",
            secret: Secret::Query,
            help: "where the API server is, from outside the cluster",
            read: |v, text| store(&mut v.server, ServerUrl::parse(text).ok()),
            ..DECIDES
        },
        Row {
            flag: "kubeconfig",
            variable: "KUBECONFIG",
            default: Unset("none; where it is given, what is above is not asked"),
            valid: "the path of a file, with at least one /",
            help: "address, CA and credentials: kubectl config view --minify --flatten --raw -o json",
            secret: Secret::Nothing,
            read: |v, text| store(&mut v.kubeconfig, any_path(text)),
            ..A_FILE
        },
    ],
};

pub(super) const COMMANDS: Group = Group {
    title: "By hand",
    rows: &[
        Row {
            flag: "deadline",
            variable: "K8S_SPOT_HANDLER_DEADLINE",
            placeholder: Some("DURATION"),
            default: Unset("NODE_TERMINATION_GRACE_PERIOD"),
            valid: "a duration from 1s to 168h, such as 2m",
            help: "how long drain has, or plan is to think of; those two commands only",
            read: |v, text| store(&mut v.deadline, within(ONE_SECOND..=ONE_WEEK, duration(text))),
            ..BY_HAND
        },
        Row {
            flag: "output",
            variable: "K8S_SPOT_HANDLER_OUTPUT",
            placeholder: Some("FORM"),
            default: Is("text"),
            valid: "text or json",
            help: "how check and plan print what they found",
            read: |v, text| store(&mut v.output, output(text)),
            ..BY_HAND
        },
    ],
};
