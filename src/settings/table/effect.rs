//! Settings: what is done about which notice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::notice::Code;
use crate::settings::list::lead_times;
use crate::settings::table::{
    DECIDES, DefaultValue, Group, ONE_MINUTE, ONE_SECOND, ONE_WEEK,
    Parse::{Items, One},
    Row, Setting,
};
use crate::settings::value::{duration, seconds, truth};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "What is done about which notice",
    rows: &[
        &ENABLE_SPOT_INTERRUPTION_DRAINING.row,
        &ENABLE_SCHEDULED_EVENT_DRAINING.row,
        &ENABLE_REBALANCE_MONITORING.row,
        &ENABLE_REBALANCE_DRAINING.row,
        &ENABLE_ASG_LIFECYCLE_DRAINING.row,
        &CORDON_ONLY.row,
        &DRY_RUN.row,
        &NODE_TERMINATION_GRACE_PERIOD.row,
        &MAINTENANCE_LEAD_TIMES.row,
        &REBALANCE_PATIENCE.row,
        &ASG_LIFECYCLE_WINDOW.row,
    ],
};

pub(in crate::settings) const ENABLE_SPOT_INTERRUPTION_DRAINING: Setting<bool> = Setting {
    row: Row {
        flag: "enable-spot-interruption-draining",
        variable: "ENABLE_SPOT_INTERRUPTION_DRAINING",
        default: DefaultValue::Is("true"),
        help: "watch for spot interruptions, and drain the node for one",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const ENABLE_SCHEDULED_EVENT_DRAINING: Setting<bool> = Setting {
    row: Row {
        flag: "enable-scheduled-event-draining",
        variable: "ENABLE_SCHEDULED_EVENT_DRAINING",
        default: DefaultValue::Is("true"),
        help: "watch for scheduled maintenance events, and drain the node before one",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const ENABLE_REBALANCE_MONITORING: Setting<bool> = Setting {
    row: Row {
        flag: "enable-rebalance-monitoring",
        variable: "ENABLE_REBALANCE_MONITORING",
        help: "watch for rebalance recommendations, and mark the node for one",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const ENABLE_REBALANCE_DRAINING: Setting<bool> = Setting {
    row: Row {
        flag: "enable-rebalance-draining",
        variable: "ENABLE_REBALANCE_DRAINING",
        help: "watch for rebalance recommendations, and drain the node for one; wins over monitoring",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const ENABLE_ASG_LIFECYCLE_DRAINING: Setting<bool> = Setting {
    row: Row {
        flag: "enable-asg-lifecycle-draining",
        variable: "ENABLE_ASG_LIFECYCLE_DRAINING",
        help: "watch the Auto Scaling target state, and drain the node when it is Terminated",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const CORDON_ONLY: Setting<bool> = Setting {
    row: Row {
        flag: "cordon-only",
        variable: "CORDON_ONLY",
        help: "mark the node and evict nobody, whatever the notice",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const DRY_RUN: Setting<bool> = Setting {
    row: Row {
        flag: "dry-run",
        variable: "DRY_RUN",
        help: "write nothing: evictions are asked for, not done",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const NODE_TERMINATION_GRACE_PERIOD: Setting<Duration> = Setting {
    row: Row {
        flag: "node-termination-grace-period",
        variable: "NODE_TERMINATION_GRACE_PERIOD",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("120"),
        valid: "a duration from 1s to 168h; a bare number is seconds",
        help: "the time a drain has after a notice that states no usable time; unless it is 120, also \
               the lead time of maintenance that MAINTENANCE_LEAD_TIMES does not name",
        ..DECIDES
    },
    parse: One(|text| seconds(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span))),
};

pub(in crate::settings) const MAINTENANCE_LEAD_TIMES: Setting<BTreeMap<Code, Duration>> = Setting {
    row: Row {
        flag: "maintenance-lead-times",
        variable: "MAINTENANCE_LEAD_TIMES",
        placeholder: Some("LIST"),
        default: DefaultValue::Is(
            "instance-reboot=10m, system-reboot=10m, system-maintenance=10m, \
             instance-retirement=1h, instance-stop=1h",
        ),
        valid: "a list such as instance-stop=2h,system-reboot=5m; the codes are those of the \
                default, the durations have their units, from 1s to 168h",
        help: "how long before scheduled maintenance the drain begins; a code that is not named \
               keeps its default",
        ..DECIDES
    },
    parse: Items(lead_times),
};

pub(in crate::settings) const REBALANCE_PATIENCE: Setting<Duration> = Setting {
    row: Row {
        flag: "rebalance-patience",
        variable: "REBALANCE_PATIENCE",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("30m"),
        valid: "a duration with its unit from 1m to 168h, such as 30m",
        help: "how long a rebalance drain goes on; it never overrides a budget",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| (ONE_MINUTE..=ONE_WEEK).contains(span))),
};

pub(in crate::settings) const ASG_LIFECYCLE_WINDOW: Setting<Duration> = Setting {
    row: Row {
        flag: "asg-lifecycle-window",
        variable: "ASG_LIFECYCLE_WINDOW",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("5m"),
        valid: "a duration with its unit from 1s to 168h, such as 25m",
        help: "the time a drain has from when Terminated is first seen: the time-out of the \
               life-cycle hook, which no metadata service tells, less a margin",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span))),
};
