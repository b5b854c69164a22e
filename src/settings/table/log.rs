//! Settings: the log.

use crate::remark::Level;
use crate::settings::table::{DefaultValue, Group, Parse::One, REPORTS, Row, Setting};
use crate::settings::value::{flag_or_count, level, truth};

/// These settings.
pub(super) const GROUP: Group =
    Group { title: "The log", rows: &[&LOG_LEVEL.row, &VERBOSE.row, &JSON_LOGGING.row] };

pub(in crate::settings) const LOG_LEVEL: Setting<Level> = Setting {
    row: Row {
        flag: "log-level",
        variable: "LOG_LEVEL",
        is_everyday: true,
        placeholder: Some("LEVEL"),
        default: DefaultValue::Is("info"),
        valid: "debug, info, warn or error",
        help: "what matters less is not logged",
        ..REPORTS
    },
    parse: One(level),
};

pub(in crate::settings) const VERBOSE: Setting<bool> = Setting {
    row: Row {
        flag: "verbose",
        variable: "VERBOSE",
        is_everyday: true,
        default: DefaultValue::Is("0"),
        valid: "0, or 1 for a log line for each poll",
        help: "say each poll of the metadata service and its status, as LOG_LEVEL=debug does",
        ..REPORTS
    },
    parse: One(flag_or_count),
};

pub(in crate::settings) const JSON_LOGGING: Setting<bool> = Setting {
    row: Row {
        flag: "json-logging",
        variable: "JSON_LOGGING",
        help: "log JSON, one object a line, instead of text",
        ..REPORTS
    },
    parse: One(truth),
};
