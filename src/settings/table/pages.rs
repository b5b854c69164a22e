//! Settings: metrics and probes.

use std::net::IpAddr;

use crate::settings::LivePath;
use crate::settings::table::{DefaultValue, Group, Parse::One, REPORTS, Row, Setting, Stakes};
use crate::settings::value::{number, truth};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "Metrics and probes",
    rows: &[
        &ENABLE_PROMETHEUS_SERVER.row,
        &PROMETHEUS_SERVER_PORT.row,
        &ENABLE_PROBES_SERVER.row,
        &PROBES_SERVER_PORT.row,
        &PROBES_SERVER_ENDPOINT.row,
        &LISTEN_ADDRESS.row,
    ],
};

pub(in crate::settings) const ENABLE_PROMETHEUS_SERVER: Setting<bool> = Setting {
    row: Row {
        flag: "enable-prometheus-server",
        variable: "ENABLE_PROMETHEUS_SERVER",
        help: "serve metrics at /metrics",
        ..REPORTS
    },
    parse: One(truth),
};

pub(in crate::settings) const PROMETHEUS_SERVER_PORT: Setting<u16> = Setting {
    row: Row {
        flag: "prometheus-server-port",
        variable: "PROMETHEUS_SERVER_PORT",
        placeholder: Some("PORT"),
        default: DefaultValue::Is("9092"),
        valid: A_PORT,
        help: "where metrics are served",
        ..REPORTS
    },
    parse: One(port),
};

pub(in crate::settings) const ENABLE_PROBES_SERVER: Setting<bool> = Setting {
    row: Row {
        flag: "enable-probes-server",
        variable: "ENABLE_PROBES_SERVER",
        help: "serve liveness and, at /readyz, readiness",
        stakes: Stakes::Reports(
            "probes are served: a kubelet that asks for them in vain would start the handler anew for ever",
        ),
        ..REPORTS
    },
    parse: One(truth),
};

pub(in crate::settings) const PROBES_SERVER_PORT: Setting<u16> = Setting {
    row: Row {
        flag: "probes-server-port",
        variable: "PROBES_SERVER_PORT",
        placeholder: Some("PORT"),
        default: DefaultValue::Is("8080"),
        valid: A_PORT,
        help: "where probes are served; may be the port of the metrics",
        ..REPORTS
    },
    parse: One(port),
};

pub(in crate::settings) const PROBES_SERVER_ENDPOINT: Setting<LivePath> = Setting {
    row: Row {
        flag: "probes-server-endpoint",
        variable: "PROBES_SERVER_ENDPOINT",
        placeholder: Some("PATH"),
        default: DefaultValue::Is("/healthz"),
        valid: LivePath::VALID,
        help: "the path of the liveness probe",
        stakes: Stakes::Reports("the liveness probe is answered at every path"),
        ..REPORTS
    },
    parse: One(LivePath::parse),
};

pub(in crate::settings) const LISTEN_ADDRESS: Setting<IpAddr> = Setting {
    row: Row {
        flag: "listen-address",
        variable: "LISTEN_ADDRESS",
        placeholder: Some("ADDRESS"),
        default: DefaultValue::Is("::"),
        valid: "an IPv4 or IPv6 address of this machine; :: means all of both kinds",
        help: "the address at which metrics and probes are served",
        stakes: Stakes::Reports("probes are served at every address, metrics at none"),
        ..REPORTS
    },
    parse: One(|text| text.parse().ok()),
};

fn port(text: &str) -> Option<u16> {
    number(text, 1..=u16::MAX)
}

const A_PORT: &str = "a whole number from 1 to 65535";
