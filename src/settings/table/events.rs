//! Settings: Kubernetes Events.

use std::collections::BTreeMap;

use crate::settings::list::annotations;
use crate::settings::table::{DefaultValue, Group, Parse, REPORTS, Row, Setting};
use crate::settings::value::truth;

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "Kubernetes Events",
    rows: &[&EMIT_KUBERNETES_EVENTS.row, &KUBERNETES_EVENTS_EXTRA_ANNOTATIONS.row],
};

pub(in crate::settings) const EMIT_KUBERNETES_EVENTS: Setting<bool> = Setting {
    row: Row {
        flag: "emit-kubernetes-events",
        variable: "EMIT_KUBERNETES_EVENTS",
        help: "write what happens to the node as Events at the API server",
        ..REPORTS
    },
    parse: Parse::One(truth),
};

pub(in crate::settings) const KUBERNETES_EVENTS_EXTRA_ANNOTATIONS: Setting<
    BTreeMap<String, String>,
> = Setting {
    row: Row {
        flag: "kubernetes-events-extra-annotations",
        variable: "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS",
        placeholder: Some("LIST"),
        default: DefaultValue::Unset("none"),
        valid: "a list of NAME=VALUE whose names Kubernetes takes for annotations",
        help: "annotations of each Event, besides those that tell of the instance",
        ..REPORTS
    },
    parse: Parse::Items(annotations),
};
