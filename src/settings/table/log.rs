//! Settings: the log.

use crate::settings::table::{DefaultValue, Group, Parse::One, Row, Setting, USUAL};
use crate::settings::value::flag_or_count;

/// These settings.
pub(super) const GROUP: Group = Group { title: "The log", rows: &[&VERBOSE.row] };

pub(in crate::settings) const VERBOSE: Setting<bool> = Setting {
    row: Row {
        flag: "verbose",
        variable: "VERBOSE",
        default: DefaultValue::Is("0"),
        valid: "0, or 1 for a log line for each poll",
        help: "say each poll of the metadata service and its status",
        ..USUAL
    },
    parse: One(flag_or_count),
};
