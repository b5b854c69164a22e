//! Settings: how the node is marked.

use std::time::Duration;

use crate::node::{RebalanceMark, TaintEffect};
use crate::settings::table::{
    DECIDES, DefaultValue, Group, ONE_HOUR, ONE_MINUTE, ONE_WEEK, Parse::One, Row, Setting,
};
use crate::settings::value::{duration, rebalance_mark, taint_effect, truth};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "Marks on the node",
    rows: &[
        &TAINT_NODE.row,
        &TAINT_EFFECT.row,
        &EXCLUDE_FROM_LOAD_BALANCERS.row,
        &LOAD_BALANCER_HOLD.row,
        &REBALANCE_MARK.row,
        &REBALANCE_MARK_DURATION.row,
    ],
};

pub(in crate::settings) const TAINT_NODE: Setting<bool> = Setting {
    row: Row {
        flag: "taint-node",
        variable: "TAINT_NODE",
        help: "besides the cordon, set a taint that names the notice",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const TAINT_EFFECT: Setting<TaintEffect> = Setting {
    row: Row {
        flag: "taint-effect",
        variable: "TAINT_EFFECT",
        placeholder: Some("EFFECT"),
        default: DefaultValue::Is("NoSchedule"),
        valid: "NoSchedule, PreferNoSchedule or NoExecute",
        help: "the effect of that taint; NoExecute ends pods past their budgets",
        ..DECIDES
    },
    parse: One(taint_effect),
};

pub(in crate::settings) const EXCLUDE_FROM_LOAD_BALANCERS: Setting<bool> = Setting {
    row: Row {
        flag: "exclude-from-load-balancers",
        variable: "EXCLUDE_FROM_LOAD_BALANCERS",
        help: "set the label that takes the node out of external load balancers",
        ..DECIDES
    },
    parse: One(truth),
};

pub(in crate::settings) const LOAD_BALANCER_HOLD: Setting<Duration> = Setting {
    row: Row {
        flag: "load-balancer-hold",
        variable: "LOAD_BALANCER_HOLD",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("0s"),
        valid: "a duration with its unit from 0s to 1h, such as 15s",
        help: "how long the first eviction waits after that label; the deadline stays",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| *span <= ONE_HOUR)),
};

pub(in crate::settings) const REBALANCE_MARK: Setting<RebalanceMark> = Setting {
    row: Row {
        flag: "rebalance-mark",
        variable: "REBALANCE_MARK",
        placeholder: Some("MARK"),
        default: DefaultValue::Is("cordon"),
        valid: "cordon, or soft-taint for a taint with the effect PreferNoSchedule",
        help: "how the node is marked for a rebalance recommendation that does not drain it",
        ..DECIDES
    },
    parse: One(rebalance_mark),
};

pub(in crate::settings) const REBALANCE_MARK_DURATION: Setting<Duration> = Setting {
    row: Row {
        flag: "rebalance-mark-duration",
        variable: "REBALANCE_MARK_DURATION",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("1h"),
        valid: "a duration with its unit from 1m to 168h, such as 1h",
        help: "when the marks for a rebalance recommendation end, unless an interruption follows",
        ..DECIDES
    },
    parse: One(|text| duration(text).filter(|span| (ONE_MINUTE..=ONE_WEEK).contains(span))),
};
