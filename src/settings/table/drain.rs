//! Settings: the drain.

use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::settings::table::{
    DECIDES, DefaultValue, Group, ONE_HOUR, ONE_SECOND, ONE_WEEK, Parse::One, Row, Setting,
};
use crate::settings::value::{GraceLimit, at_deadline_or_never, duration, pod_grace, truth};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "The drain",
    rows: &[
        &IGNORE_DAEMON_SETS.row,
        &DELETE_LOCAL_DATA.row,
        &DRAIN_UNMANAGED.row,
        &POD_TERMINATION_GRACE_PERIOD.row,
        &BUDGET_OVERRIDE.row,
        &SAFETY_MARGIN.row,
        &SHUTDOWN_GRACE_PERIOD.row,
    ],
};

pub(in crate::settings) const IGNORE_DAEMON_SETS: Setting<bool> = Setting {
    row: Row {
        flag: "ignore-daemon-sets",
        variable: "IGNORE_DAEMON_SETS",
        default: DefaultValue::Is("true"),
        help: "leave the pods of DaemonSets alone",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const DELETE_LOCAL_DATA: Setting<bool> = Setting {
    row: Row {
        flag: "delete-local-data",
        variable: "DELETE_LOCAL_DATA",
        default: DefaultValue::Is("true"),
        help: "evict pods with an emptyDir volume too; its data ends with them",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const DRAIN_UNMANAGED: Setting<bool> = Setting {
    row: Row {
        flag: "drain-unmanaged",
        variable: "DRAIN_UNMANAGED",
        default: DefaultValue::Is("true"),
        help: "evict pods without a controller too; nothing starts them elsewhere",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const POD_TERMINATION_GRACE_PERIOD: Setting<GraceLimit> = Setting {
    row: Row {
        flag: "pod-termination-grace-period",
        flag_aliases: &["grace-period"],
        variable: "POD_TERMINATION_GRACE_PERIOD",
        aliases: &["GRACE_PERIOD"],
        placeholder: Some("SECONDS"),
        default: DefaultValue::Is("-1"),
        valid: "whole seconds, or a duration such as 2m; a negative number means each pod's own",
        help: "the longest grace a pod gets; it only shortens the pod's own",
        ..DECIDES
    },
    parse: One(pod_grace),
};

pub(in crate::settings) const BUDGET_OVERRIDE: Setting<BudgetOverride> = Setting {
    row: Row {
        flag: "budget-override",
        variable: "BUDGET_OVERRIDE",
        placeholder: Some("WHEN"),
        default: DefaultValue::Is("at-deadline"),
        valid: "at-deadline or never",
        help: "whether a pod that cannot be evicted is deleted in time to end cleanly",
        ..DECIDES
    },
    parse: One(at_deadline_or_never),
};

pub(in crate::settings) const SAFETY_MARGIN: Setting<Duration> = Setting {
    row: Row {
        flag: "safety-margin",
        variable: "SAFETY_MARGIN",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("2s"),
        valid: "a duration with its unit from 0s to 1h, such as 500ms or 2s",
        help: "how long before the deadline the last pod is to have ended",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| *span <= ONE_HOUR)),
};

pub(in crate::settings) const SHUTDOWN_GRACE_PERIOD: Setting<Duration> = Setting {
    row: Row {
        flag: "shutdown-grace-period",
        variable: "SHUTDOWN_GRACE_PERIOD",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("150s"),
        valid: "a duration with its unit from 1s to 168h, such as 150s",
        help: "the time from SIGTERM to SIGKILL, until that of its own pod has been read",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span))),
};
