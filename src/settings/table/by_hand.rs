//! Settings: of the commands that an operator gives.

use std::time::Duration;

use crate::settings::Output;
use crate::settings::table::{
    BY_HAND, DefaultValue, Group, ONE_SECOND, ONE_WEEK, Parse::One, Row, Setting,
};
use crate::settings::value::{duration, output};

/// These settings.
pub(super) const GROUP: Group = Group { title: "By hand", rows: &[&DEADLINE.row, &OUTPUT.row] };

pub(in crate::settings) const DEADLINE: Setting<Duration> = Setting {
    row: Row {
        flag: "deadline",
        variable: "K8S_SPOT_HANDLER_DEADLINE",
        placeholder: Some("DURATION"),
        default: DefaultValue::Unset("NODE_TERMINATION_GRACE_PERIOD"),
        valid: "a duration from 1s to 168h, such as 2m",
        help: "how long drain has, or plan is to think of; those two commands only",
        ..BY_HAND
    },
    parse: One(|text| duration(text).filter(|span| (ONE_SECOND..=ONE_WEEK).contains(span))),
};

pub(in crate::settings) const OUTPUT: Setting<Output> = Setting {
    row: Row {
        flag: "output",
        variable: "K8S_SPOT_HANDLER_OUTPUT",
        placeholder: Some("FORM"),
        default: DefaultValue::Is("text"),
        valid: "text or json",
        help: "how check and plan print what they found",
        ..BY_HAND
    },
    parse: One(output),
};
