//! Settings: who it is.

use crate::settings::table::{DECIDES, DefaultValue, Group, Parse::One, Row, Setting};
use crate::settings::value::{label, subdomain};

/// These settings.
pub(super) const GROUP: Group =
    Group { title: "Who it is", rows: &[&NODE_NAME.row, &POD_NAME.row, &NAMESPACE.row] };

pub(in crate::settings) const NODE_NAME: Setting<String> = Setting {
    row: Row {
        flag: "node-name",
        variable: "NODE_NAME",
        placeholder: Some("NAME"),
        default: DefaultValue::Unset(
            "that of its own pod: from the token's claims, else the pod is read",
        ),
        valid: A_SUBDOMAIN,
        help: "the node that is drained: its own; one of NODE_NAME and POD_NAME is needed",
        ..DECIDES
    },
    parse: One(subdomain),
};

pub(in crate::settings) const POD_NAME: Setting<String> = Setting {
    row: Row {
        flag: "pod-name",
        variable: "POD_NAME",
        placeholder: Some("NAME"),
        default: DefaultValue::Unset(
            "from the token's claims, if NODE_NAME is set; else it is needed",
        ),
        valid: A_SUBDOMAIN,
        help: "this process's own pod: it is never evicted",
        ..DECIDES
    },
    parse: One(subdomain),
};

pub(in crate::settings) const NAMESPACE: Setting<String> = Setting {
    row: Row {
        flag: "namespace",
        flag_aliases: &["pod-namespace"],
        variable: "NAMESPACE",
        is_everyday: true,
        placeholder: Some("NAME"),
        default: DefaultValue::Unset("from the token's claims"),
        valid: "the name of a namespace: at most 63 of a-z, 0-9 and -",
        help: "the namespace of this process's own pod",
        ..DECIDES
    },
    parse: One(label),
};

const A_SUBDOMAIN: &str = "a Kubernetes name: at most 253 of a-z, 0-9, - and .";
