//! The one table of settings. Help text, parsing and documentation come from it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::settings::value::{
    GraceLimit, at_deadline_or_never, duration, flag_or_count, host, label, number, path,
    pod_grace, seconds, subdomain, truth,
};
use crate::source::url::{MetadataUrl, NoticeUrl};

/// What a setting is called, what it is for, and what it is when nobody says.
#[derive(Debug)]
pub(super) struct Row {
    /// The flag, without its dashes.
    pub(super) flag: &'static str,
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Other environment variables that mean the same, in the order in which they are tried.
    pub(super) aliases: &'static [&'static str],
    /// What stands for the value in the help text. `None` for a switch: `--dry-run` alone means
    /// true.
    pub(super) placeholder: Option<&'static str>,
    /// The value when none is given.
    pub(super) default: DefaultValue,
    /// What would be a good value.
    pub(super) valid: &'static str,
    /// What it is for: one line.
    pub(super) help: &'static str,
}

/// The value of a setting that nobody gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// As if this had been given.
    Is(&'static str),
    /// There is none; what happens then, in words.
    Unset(&'static str),
}

/// A row, and how its value is read.
pub(super) struct Setting<T> {
    pub(super) row: Row,
    /// `None` if the text is not valid.
    pub(super) parse: fn(&str) -> Option<T>,
}

/// Every setting, in the order of the help text.
pub(super) const TABLE: &[&Row] = &[
    &NODE_NAME.row,
    &POD_NAME.row,
    &NAMESPACE.row,
    &METADATA_URL.row,
    &NOTICE_URL.row,
    &POLL_INTERVAL.row,
    &IMDS_V1_FALLBACK.row,
    &KUBERNETES_SERVICE_HOST.row,
    &KUBERNETES_SERVICE_PORT.row,
    &TOKEN_FILE.row,
    &CA_FILE.row,
    &DRY_RUN.row,
    &IGNORE_DAEMON_SETS.row,
    &DELETE_LOCAL_DATA.row,
    &DRAIN_UNMANAGED.row,
    &POD_TERMINATION_GRACE_PERIOD.row,
    &NODE_TERMINATION_GRACE_PERIOD.row,
    &BUDGET_OVERRIDE.row,
    &SAFETY_MARGIN.row,
    &WORKERS.row,
    &SHUTDOWN_GRACE_PERIOD.row,
    &VERBOSE.row,
];

pub(super) const NODE_NAME: Setting<String> = Setting {
    row: Row {
        flag: "node-name",
        variable: "NODE_NAME",
        aliases: &[],
        placeholder: Some("NAME"),
        default: DefaultValue::Unset(
            "that of its own pod: from the token's claims, else the pod is read",
        ),
        valid: A_SUBDOMAIN,
        help: "the node that is drained: its own; one of NODE_NAME and POD_NAME is needed",
    },
    parse: subdomain,
};

pub(super) const POD_NAME: Setting<String> = Setting {
    row: Row {
        flag: "pod-name",
        variable: "POD_NAME",
        aliases: &[],
        placeholder: Some("NAME"),
        default: DefaultValue::Unset(
            "from the token's claims, if NODE_NAME is set; else it is needed",
        ),
        valid: A_SUBDOMAIN,
        help: "this process's own pod: it is never evicted",
    },
    parse: subdomain,
};

pub(super) const NAMESPACE: Setting<String> = Setting {
    row: Row {
        flag: "namespace",
        variable: "NAMESPACE",
        aliases: &[],
        placeholder: Some("NAME"),
        default: DefaultValue::Unset("from the token's claims"),
        valid: "the name of a namespace: at most 63 of a-z, 0-9 and -",
        help: "the namespace of this process's own pod",
    },
    parse: label,
};

pub(super) const METADATA_URL: Setting<MetadataUrl> = Setting {
    row: Row {
        flag: "metadata-url",
        variable: "INSTANCE_METADATA_URL",
        aliases: &[],
        placeholder: Some("URL"),
        default: DefaultValue::Is("http://169.254.169.254"),
        valid: "http://HOST[:PORT], with a name or an IPv4 address; no path, no https",
        help: "where the EC2 instance metadata service is",
    },
    parse: |text| MetadataUrl::parse(text).ok(),
};

pub(super) const NOTICE_URL: Setting<NoticeUrl> = Setting {
    row: Row {
        flag: "notice-url",
        variable: "NOTICE_URL",
        aliases: &[],
        placeholder: Some("URL"),
        default: DefaultValue::Unset("not polled"),
        valid: "http://HOST[:PORT]/PATH, with a name or an IPv4 address; no https",
        help: "polled too; status 200 with an action document or a bare time is a notice",
    },
    parse: |text| NoticeUrl::parse(text).ok(),
};

pub(super) const POLL_INTERVAL: Setting<Duration> = Setting {
    row: Row {
        flag: "poll-interval",
        variable: "POLL_INTERVAL",
        aliases: &[],
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("1s"),
        valid: "a duration from 1s to 1h; a bare number is seconds",
        help: "how often the metadata service is asked",
    },
    parse: |text| seconds(text).filter(|span| (ONE_SECOND..=ONE_HOUR).contains(span)),
};

pub(super) const IMDS_V1_FALLBACK: Setting<bool> = Setting {
    row: Row {
        flag: "imds-v1-fallback",
        variable: "IMDS_V1_FALLBACK",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("true"),
        valid: A_TRUTH,
        help: "ask without a token where the metadata service plainly offers no IMDSv2",
    },
    parse: truth,
};

pub(super) const KUBERNETES_SERVICE_HOST: Setting<String> = Setting {
    row: Row {
        flag: "kubernetes-service-host",
        variable: "KUBERNETES_SERVICE_HOST",
        aliases: &[],
        placeholder: Some("HOST"),
        default: DefaultValue::Unset("must be given; in a pod Kubernetes sets it"),
        valid: "an IPv4 or IPv6 address or a host name, without scheme and port",
        help: "where the API server is",
    },
    parse: host,
};

pub(super) const KUBERNETES_SERVICE_PORT: Setting<u16> = Setting {
    row: Row {
        flag: "kubernetes-service-port",
        variable: "KUBERNETES_SERVICE_PORT",
        aliases: &[],
        placeholder: Some("PORT"),
        default: DefaultValue::Is("443"),
        valid: "a whole number from 1 to 65535",
        help: "its port",
    },
    parse: |text| number(text, 1..=u16::MAX),
};

pub(super) const TOKEN_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "token-file",
        variable: "TOKEN_FILE",
        aliases: &[],
        placeholder: Some("FILE"),
        default: DefaultValue::Is("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        valid: A_PATH,
        help: "the ServiceAccount token; read again whenever a connection is opened",
    },
    parse: path,
};

pub(super) const CA_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "ca-file",
        variable: "CA_FILE",
        aliases: &[],
        placeholder: Some("FILE"),
        default: DefaultValue::Is("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
        valid: A_PATH,
        help: "certificates (PEM) that the API server's own must go back to",
    },
    parse: path,
};

pub(super) const DRY_RUN: Setting<bool> = Setting {
    row: Row {
        flag: "dry-run",
        variable: "DRY_RUN",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("false"),
        valid: A_TRUTH,
        help: "write nothing: evictions are asked for, not done",
    },
    parse: truth,
};

pub(super) const IGNORE_DAEMON_SETS: Setting<bool> = Setting {
    row: Row {
        flag: "ignore-daemon-sets",
        variable: "IGNORE_DAEMON_SETS",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("true"),
        valid: A_TRUTH,
        help: "leave the pods of DaemonSets alone",
    },
    parse: truth,
};

pub(super) const DELETE_LOCAL_DATA: Setting<bool> = Setting {
    row: Row {
        flag: "delete-local-data",
        variable: "DELETE_LOCAL_DATA",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("true"),
        valid: A_TRUTH,
        help: "evict pods with an emptyDir volume too; its data ends with them",
    },
    parse: truth,
};

pub(super) const DRAIN_UNMANAGED: Setting<bool> = Setting {
    row: Row {
        flag: "drain-unmanaged",
        variable: "DRAIN_UNMANAGED",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("true"),
        valid: A_TRUTH,
        help: "evict pods without a controller too; nothing starts them elsewhere",
    },
    parse: truth,
};

pub(super) const POD_TERMINATION_GRACE_PERIOD: Setting<GraceLimit> = Setting {
    row: Row {
        flag: "pod-termination-grace-period",
        variable: "POD_TERMINATION_GRACE_PERIOD",
        aliases: &["GRACE_PERIOD"],
        placeholder: Some("SECONDS"),
        default: DefaultValue::Is("-1"),
        valid: "whole seconds, or a duration such as 2m; a negative number means each pod's own",
        help: "the longest grace a pod gets; it only shortens the pod's own",
    },
    parse: pod_grace,
};

pub(super) const NODE_TERMINATION_GRACE_PERIOD: Setting<Duration> = Setting {
    row: Row {
        flag: "node-termination-grace-period",
        variable: "NODE_TERMINATION_GRACE_PERIOD",
        aliases: &[],
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("120"),
        valid: "a duration from 1s to 168h; a bare number is seconds",
        help: "the time a drain has after a notice that states no usable time",
    },
    parse: |text| seconds(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span)),
};

pub(super) const BUDGET_OVERRIDE: Setting<BudgetOverride> = Setting {
    row: Row {
        flag: "budget-override",
        variable: "BUDGET_OVERRIDE",
        aliases: &[],
        placeholder: Some("WHEN"),
        default: DefaultValue::Is("at-deadline"),
        valid: "at-deadline or never",
        help: "whether a pod its budget holds back is deleted in time to end cleanly",
    },
    parse: at_deadline_or_never,
};

pub(super) const SAFETY_MARGIN: Setting<Duration> = Setting {
    row: Row {
        flag: "safety-margin",
        variable: "SAFETY_MARGIN",
        aliases: &[],
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("2s"),
        valid: "a duration with its unit from 0s to 1h, such as 500ms or 2s",
        help: "how long before the deadline the last pod is to have ended",
    },
    parse: |text| duration(text).filter(|span| *span <= ONE_HOUR),
};

// One for each pod that is asked at once, and 32 at most. An API server since 1.31 answers an eviction
// at the next of its ticks of 100 ms (it waits until its cache is as new as etcd), so a drain takes
// about pods / workers ticks whatever the machine: with 32, one tick for up to 32 pods, four for
// 110, eight for 250. Each worker is 29 kB at the peak; with 48 a drain of 250 pods needs more than
// 3 MiB in all. `bench/run workers` measures both.
pub(super) const WORKERS: Setting<NonZeroUsize> = Setting {
    row: Row {
        flag: "workers",
        variable: "WORKERS",
        aliases: &[],
        placeholder: Some("NUMBER"),
        default: DefaultValue::Is("32"),
        valid: "a whole number from 1 to 256",
        help: "the most connections to the API server that a drain opens for its requests",
    },
    parse: |text| NonZeroUsize::new(number(text, 1..=256)?),
};

pub(super) const SHUTDOWN_GRACE_PERIOD: Setting<Duration> = Setting {
    row: Row {
        flag: "shutdown-grace-period",
        variable: "SHUTDOWN_GRACE_PERIOD",
        aliases: &[],
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("150s"),
        valid: "a duration from 1s to 168h; a bare number is seconds",
        help: "the time from SIGTERM to SIGKILL, until that of its own pod has been read",
    },
    parse: |text| seconds(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span)),
};

pub(super) const VERBOSE: Setting<bool> = Setting {
    row: Row {
        flag: "verbose",
        variable: "VERBOSE",
        aliases: &[],
        placeholder: None,
        default: DefaultValue::Is("0"),
        valid: "0, or 1 for a log line for each poll",
        help: "say each poll of the metadata service and its status",
    },
    parse: flag_or_count,
};

const A_SUBDOMAIN: &str = "a Kubernetes name: at most 253 of a-z, 0-9, - and .";
const A_TRUTH: &str = "true or false (also 1, 0, t, f)";
const A_PATH: &str = "the path of a file, with at least one /";

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_HOUR: Duration = Duration::from_hours(1);
const ONE_WEEK: Duration = Duration::from_hours(7 * 24);
