//! Settings that decide about pods: what is watched, who goes, when, and how the clouds and the API server are
//! reached. Then those of an operator's commands.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::kube::identity::Choice;
use crate::kube::server::ServerUrl;
use crate::node::{RebalanceMark, TaintEffect};
use crate::settings::table::{A_FILE, A_PORT, BY_HAND, DECIDES, Group, Secret, store, try_store};
use crate::settings::value::{
    any_path, duration, host, label, lead_times, one_of, output, path, pod_grace, port, seconds,
    subdomain, truth, within,
};
use crate::source::url::{MetadataUrl, NoticeUrl};

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_HOUR: Duration = Duration::from_hours(1);
const ONE_WEEK: Duration = Duration::from_hours(7 * 24);
const UP_TO_AN_HOUR: RangeInclusive<Duration> = Duration::ZERO..=ONE_HOUR;
const UP_TO_TEN_MINUTES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(10);
const A_SECOND_TO_AN_HOUR: RangeInclusive<Duration> = ONE_SECOND..=ONE_HOUR;
const A_SECOND_TO_A_WEEK: RangeInclusive<Duration> = ONE_SECOND..=ONE_WEEK;
const A_MINUTE_TO_A_WEEK: RangeInclusive<Duration> = Duration::from_mins(1)..=ONE_WEEK;

const A_SUBDOMAIN: &str = "a Kubernetes name: at most 253 of a-z, 0-9, - and .";

pub(super) const WHO: Group = Group {
    title: "Who it is",
    rows: &[
        DECIDES
            .named("node-name", "NODE_NAME")
            .takes("NAME", A_SUBDOMAIN)
            .unset("that of its own pod: from the token's claims, else the pod is read")
            .help("the node that is drained: its own; one of NODE_NAME and POD_NAME is needed")
            .read(|v, t| store(&mut v.node_name, subdomain(t))),
        DECIDES
            .named("pod-name", "POD_NAME")
            .takes("NAME", A_SUBDOMAIN)
            .unset("from the token's claims, if NODE_NAME is set; else it is needed")
            .help("this process's own pod: it is never evicted")
            .read(|v, t| store(&mut v.pod_name, subdomain(t))),
        DECIDES
            .named("namespace", "NAMESPACE")
            .or_flags(&["pod-namespace"])
            .everyday()
            .takes("NAME", "the name of a namespace: at most 63 of a-z, 0-9 and -")
            .unset("from the token's claims")
            .help("the namespace of this process's own pod")
            .read(|v, t| store(&mut v.namespace, label(t))),
    ],
};

pub(super) const CLOUD: Group = Group {
    title: "Where notices come from",
    rows: &[
        DECIDES
            .named("metadata-url", "INSTANCE_METADATA_URL")
            .takes(
                "URL",
                "http://HOST[:PORT], with a name, an IPv4 address or an [IPv6 address]; no path, \
             no https",
            )
            .default("http://169.254.169.254")
            .help("where the EC2 instance metadata service is")
            .secret(Secret::Query)
            .read(|v, t| store(&mut v.metadata_url, MetadataUrl::parse(t))),
        DECIDES
            .named("notice-url", "NOTICE_URL")
            .takes(
                "URL",
                "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no \
             https",
            )
            .unset("not polled")
            .help("polled too; status 200 with an action document or a bare time is a notice")
            .secret(Secret::Query)
            .read(|v, t| store(&mut v.notice_url, NoticeUrl::parse(t))),
        DECIDES
            .named("poll-interval", "POLL_INTERVAL")
            .takes("DURATION", "a duration from 1s to 1h; a bare number is seconds")
            .default("1s")
            .help("how often the metadata service is asked")
            .read(|v, t| store(&mut v.poll_interval, within(A_SECOND_TO_AN_HOUR, seconds(t)))),
        DECIDES
            .named("imds-v1-fallback", "IMDS_V1_FALLBACK")
            .default("true")
            .help("ask without a token where the metadata service plainly offers no IMDSv2")
            .read(|v, t| store(&mut v.imds_v1_fallback, truth(t))),
    ],
};

pub(super) const NOTICES: Group = Group {
    title: "What is done about which notice",
    rows: &[
        DECIDES
            .named("enable-spot-interruption-draining", "ENABLE_SPOT_INTERRUPTION_DRAINING")
            .default("true")
            .help("watch for spot interruptions, and drain the node for one")
            .read(|v, t| store(&mut v.enable_spot_interruption_draining, truth(t))),
        DECIDES
            .named("enable-scheduled-event-draining", "ENABLE_SCHEDULED_EVENT_DRAINING")
            .default("true")
            .help("watch for scheduled maintenance events, and drain the node before one")
            .read(|v, t| store(&mut v.enable_scheduled_event_draining, truth(t))),
        DECIDES
            .named("enable-rebalance-monitoring", "ENABLE_REBALANCE_MONITORING")
            .help("watch for rebalance recommendations, and mark the node for one")
            .read(|v, t| store(&mut v.enable_rebalance_monitoring, truth(t))),
        DECIDES
            .named("enable-rebalance-draining", "ENABLE_REBALANCE_DRAINING")
            .help(
                "watch for rebalance recommendations, and drain the node for one; wins over \
             monitoring",
            )
            .read(|v, t| store(&mut v.enable_rebalance_draining, truth(t))),
        DECIDES
            .named("enable-asg-lifecycle-draining", "ENABLE_ASG_LIFECYCLE_DRAINING")
            .help("watch the Auto Scaling target state, and drain the node when it is Terminated")
            .read(|v, t| store(&mut v.enable_asg_lifecycle_draining, truth(t))),
        DECIDES
            .named("cordon-only", "CORDON_ONLY")
            .help("mark the node and evict nobody, whatever the notice")
            .read(|v, t| store(&mut v.cordon_only, truth(t))),
        DECIDES
            .named("dry-run", "DRY_RUN")
            .help("write nothing: evictions are asked for, not done")
            .read(|v, t| store(&mut v.dry_run, truth(t))),
        DECIDES
            .named("node-termination-grace-period", "NODE_TERMINATION_GRACE_PERIOD")
            .takes("DURATION", "a duration from 1s to 168h; a bare number is seconds")
            .default("120")
            .help(
                "the time a drain has after a notice that states no usable time; unless it is 120, \
             also the lead time of maintenance that MAINTENANCE_LEAD_TIMES does not name",
            )
            .read(|v, t| {
                store(&mut v.node_termination_grace_period, within(A_SECOND_TO_A_WEEK, seconds(t)))
            }),
        DECIDES
            .named("maintenance-lead-times", "MAINTENANCE_LEAD_TIMES")
            .takes(
                "LIST",
                "a list such as instance-stop=2h,system-reboot=5m; the codes are those of the \
                    default, the durations have their units, from 1s to 168h",
            )
            .default(
                "instance-reboot=10m, system-reboot=10m, system-maintenance=10m, \
                 instance-retirement=1h, instance-stop=1h",
            )
            .help(
                "how long before scheduled maintenance the drain begins; a code that is not named \
                   keeps its default",
            )
            .read(|v, t| try_store(&mut v.maintenance_lead_times, lead_times(t))),
        DECIDES
            .named("rebalance-patience", "REBALANCE_PATIENCE")
            .takes("DURATION", "a duration with its unit from 1m to 168h, such as 30m")
            .default("30m")
            .help("how long a rebalance drain goes on; it never overrides a budget")
            .read(|v, t| store(&mut v.rebalance_patience, within(A_MINUTE_TO_A_WEEK, duration(t)))),
        DECIDES
            .named("asg-lifecycle-window", "ASG_LIFECYCLE_WINDOW")
            .takes("DURATION", "a duration with its unit from 1s to 168h, such as 25m")
            .default("5m")
            .help(
                "the time a drain has from when Terminated is first seen: the time-out of the \
                   life-cycle hook, which no metadata service tells, less a margin",
            )
            .read(|v, t| {
                store(&mut v.asg_lifecycle_window, within(A_SECOND_TO_A_WEEK, duration(t)))
            }),
    ],
};

pub(super) const MARKS: Group = Group {
    title: "Marks on the node",
    rows: &[
        DECIDES
            .named("taint-node", "TAINT_NODE")
            .help("besides the cordon, set a taint that names the notice")
            .read(|v, t| store(&mut v.taint_node, truth(t))),
        DECIDES
            .named("taint-effect", "TAINT_EFFECT")
            .takes("EFFECT", "NoSchedule, PreferNoSchedule or NoExecute")
            .default("NoSchedule")
            .help("the effect of that taint; NoExecute ends pods past their budgets")
            .read(|v, t| {
                let words = [
                    ("NoSchedule", TaintEffect::NoSchedule),
                    ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
                    ("NoExecute", TaintEffect::NoExecute),
                ];
                store(&mut v.taint_effect, one_of(t, words))
            }),
        DECIDES
            .named("exclude-from-load-balancers", "EXCLUDE_FROM_LOAD_BALANCERS")
            .help("set the label that takes the node out of external load balancers")
            .read(|v, t| store(&mut v.exclude_from_load_balancers, truth(t))),
        DECIDES
            .named("load-balancer-hold", "LOAD_BALANCER_HOLD")
            .takes("DURATION", "a duration with its unit from 0s to 1h, such as 15s")
            .default("0s")
            .help("how long the first eviction waits after that label; the deadline stays")
            .read(|v, t| store(&mut v.load_balancer_hold, within(UP_TO_AN_HOUR, duration(t)))),
        DECIDES
            .named("rebalance-mark", "REBALANCE_MARK")
            .takes("MARK", "cordon, or soft-taint for a taint with the effect PreferNoSchedule")
            .default("cordon")
            .help("how the node is marked for a rebalance recommendation that does not drain it")
            .read(|v, t| {
                let words =
                    [("cordon", RebalanceMark::Cordon), ("soft-taint", RebalanceMark::SoftTaint)];
                store(&mut v.rebalance_mark, one_of(t, words))
            }),
        DECIDES
            .named("rebalance-mark-duration", "REBALANCE_MARK_DURATION")
            .takes("DURATION", "a duration with its unit from 1m to 168h, such as 1h")
            .default("1h")
            .help(
                "when the marks for a rebalance recommendation end, unless an interruption follows",
            )
            .read(|v, t| {
                store(&mut v.rebalance_mark_duration, within(A_MINUTE_TO_A_WEEK, duration(t)))
            }),
    ],
};

pub(super) const DRAIN: Group = Group {
    title: "The drain",
    rows: &[
        DECIDES
            .named("ignore-daemon-sets", "IGNORE_DAEMON_SETS")
            .default("true")
            .help("leave the pods of DaemonSets alone")
            .read(|v, t| store(&mut v.ignore_daemon_sets, truth(t))),
        DECIDES
            .named("delete-local-data", "DELETE_LOCAL_DATA")
            .default("true")
            .help("evict pods with an emptyDir volume too; its data ends with them")
            .read(|v, t| store(&mut v.delete_local_data, truth(t))),
        DECIDES
            .named("drain-unmanaged", "DRAIN_UNMANAGED")
            .default("true")
            .help("evict pods without a controller too; nothing starts them elsewhere")
            .read(|v, t| store(&mut v.drain_unmanaged, truth(t))),
        DECIDES
            .named("pod-termination-grace-period", "POD_TERMINATION_GRACE_PERIOD")
            .or_flags(&["grace-period"])
            .or_variables(&["GRACE_PERIOD"])
            .takes(
                "SECONDS",
                "whole seconds, or a duration such as 2m; a negative number means each pod's own",
            )
            .default("-1")
            .help("the longest grace a pod gets; it only shortens the pod's own")
            .read(|v, t| store(&mut v.pod_termination_grace_period, pod_grace(t))),
        DECIDES
            .named("budget-override", "BUDGET_OVERRIDE")
            .takes("WHEN", "at-deadline or never")
            .default("at-deadline")
            .help("whether a pod that cannot be evicted is deleted in time to end cleanly")
            .read(|v, t| {
                let words =
                    [("at-deadline", BudgetOverride::AtDeadline), ("never", BudgetOverride::Never)];
                store(&mut v.budget_override, one_of(t, words))
            }),
        DECIDES
            .named("safety-margin", "SAFETY_MARGIN")
            .takes("DURATION", "a duration with its unit from 0s to 1h, such as 500ms or 2s")
            .default("2s")
            .help("how long before the deadline the last pod is to have ended")
            .read(|v, t| store(&mut v.safety_margin, within(UP_TO_AN_HOUR, duration(t)))),
        DECIDES
            .named("node-shutdown-grace-period", "NODE_SHUTDOWN_GRACE_PERIOD")
            .takes("DURATION", "a duration with its unit from 0s to 10m, such as 120s")
            .default("0s")
            .help(
                "how long pods may go on ending after the deadline, while the kubelet shuts the node down gracefully",
            )
            .read(|v, text| {
                store(&mut v.node_shutdown_grace_period, within(UP_TO_TEN_MINUTES, duration(text)))
            }),
        DECIDES
            .named("shutdown-grace-period", "SHUTDOWN_GRACE_PERIOD")
            .takes("DURATION", "a duration with its unit from 1s to 168h, such as 150s")
            .default("150s")
            .help("the time from SIGTERM to SIGKILL, until that of its own pod has been read")
            .read(|v, t| {
                store(&mut v.shutdown_grace_period, within(A_SECOND_TO_A_WEEK, duration(t)))
            }),
    ],
};

pub(super) const API_SERVER: Group = Group {
    title: "The API server",
    rows: &[
        DECIDES
            .named("kubernetes-service-host", "KUBERNETES_SERVICE_HOST")
            .takes("HOST", "an IPv4 or IPv6 address or a host name, without scheme and port")
            .unset("must be given; in a pod Kubernetes sets it")
            .help("where the API server is")
            .read(|v, t| store(&mut v.kubernetes_service_host, host(t))),
        DECIDES
            .named("kubernetes-service-port", "KUBERNETES_SERVICE_PORT")
            .takes("PORT", A_PORT)
            .default("443")
            .help("its port")
            .read(|v, t| store(&mut v.kubernetes_service_port, port(t))),
        A_FILE
            .named("token-file", "TOKEN_FILE")
            .default("/var/run/secrets/kubernetes.io/serviceaccount/token")
            .help("the ServiceAccount token; read again whenever a connection is opened")
            .read(|v, t| store(&mut v.token_file, path(t))),
        A_FILE
            .named("ca-file", "CA_FILE")
            .default("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
            .help("certificates (PEM) that the API server's own must go back to")
            .read(|v, t| store(&mut v.ca_file, path(t))),
        DECIDES
            .named("identity", "IDENTITY")
            .everyday()
            .takes("WHO", "auto, node or service-account")
            .default("auto")
            .help("in whose name requests are made; auto: the node's where the server lets it")
            .read(|v, t| {
                let choices = [Choice::Auto, Choice::Node, Choice::ServiceAccount];
                let words = choices.map(|choice| (choice.word(), choice));
                store(&mut v.identity, one_of(t, words))
            }),
        DECIDES
            .named("server", "K8S_SPOT_HANDLER_SERVER")
            .takes("URL", "https://HOST:PORT")
            .unset("by the two above")
            .help("where the API server is, from outside the cluster")
            .secret(Secret::Query)
            .read(|v, t| store(&mut v.server, ServerUrl::parse(t).ok())),
        A_FILE
            .named("kubeconfig", "KUBECONFIG")
            .valid("the path of a file, with at least one /")
            .unset("none; where it is given, what is above is not asked")
            .help(
                "address, CA and credentials: kubectl config view --minify --flatten --raw -o json",
            )
            .secret(Secret::Nothing)
            .read(|v, t| store(&mut v.kubeconfig, any_path(t))),
    ],
};

pub(super) const COMMANDS: Group = Group {
    title: "By hand",
    rows: &[
        BY_HAND
            .named("deadline", "K8S_SPOT_HANDLER_DEADLINE")
            .takes("DURATION", "a duration from 1s to 168h, such as 2m")
            .unset("NODE_TERMINATION_GRACE_PERIOD")
            .help("how long drain has, or plan is to think of; those two commands only")
            .read(|v, t| store(&mut v.deadline, within(A_SECOND_TO_A_WEEK, duration(t)))),
        BY_HAND
            .named("output", "K8S_SPOT_HANDLER_OUTPUT")
            .takes("FORM", "text or json")
            .default("text")
            .help("how check and plan print what they found")
            .read(|v, t| store(&mut v.output, output(t))),
    ],
};
