//! Settings: the API server.

use std::path::PathBuf;

use crate::kube::identity::Choice;
use crate::kube::server::ServerUrl;
use crate::settings::table::{
    A_FILE, DECIDES, DefaultValue, Group, Parse::One, Row, Secret, Setting,
};
use crate::settings::value::{any_path, host, identity, number, path, server_url};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "The API server",
    rows: &[
        &KUBERNETES_SERVICE_HOST.row,
        &KUBERNETES_SERVICE_PORT.row,
        &TOKEN_FILE.row,
        &CA_FILE.row,
        &IDENTITY.row,
        &SERVER.row,
        &KUBECONFIG.row,
    ],
};

pub(in crate::settings) const KUBERNETES_SERVICE_HOST: Setting<String> = Setting {
    row: Row {
        flag: "kubernetes-service-host",
        variable: "KUBERNETES_SERVICE_HOST",
        placeholder: Some("HOST"),
        default: DefaultValue::Unset("must be given; in a pod Kubernetes sets it"),
        valid: "an IPv4 or IPv6 address or a host name, without scheme and port",
        help: "where the API server is",
        ..DECIDES
    },
    parse: One(host),
};

pub(in crate::settings) const KUBERNETES_SERVICE_PORT: Setting<u16> = Setting {
    row: Row {
        flag: "kubernetes-service-port",
        variable: "KUBERNETES_SERVICE_PORT",
        placeholder: Some("PORT"),
        default: DefaultValue::Is("443"),
        valid: "a whole number from 1 to 65535",
        help: "its port",
        ..DECIDES
    },
    parse: One(|text| number(text, 1..=u16::MAX)),
};

pub(in crate::settings) const TOKEN_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "token-file",
        variable: "TOKEN_FILE",
        default: DefaultValue::Is("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        help: "the ServiceAccount token; read again whenever a connection is opened",
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const CA_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "ca-file",
        variable: "CA_FILE",
        default: DefaultValue::Is("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
        help: "certificates (PEM) that the API server's own must go back to",
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const IDENTITY: Setting<Choice> = Setting {
    row: Row {
        flag: "identity",
        variable: "IDENTITY",
        is_everyday: true,
        placeholder: Some("WHO"),
        default: DefaultValue::Is("auto"),
        valid: "auto, node or service-account",
        help: "in whose name requests are made; auto: the node's where the server lets it",
        ..DECIDES
    },
    parse: One(identity),
};

pub(in crate::settings) const SERVER: Setting<ServerUrl> = Setting {
    row: Row {
        flag: "server",
        variable: "K8S_SPOT_HANDLER_SERVER",
        placeholder: Some("URL"),
        default: DefaultValue::Unset("by the two above"),
        valid: "https://HOST:PORT",
        secret: Secret::Query,
        help: "where the API server is, from outside the cluster",
        ..DECIDES
    },
    parse: One(server_url),
};

pub(in crate::settings) const KUBECONFIG: Setting<PathBuf> = Setting {
    row: Row {
        flag: "kubeconfig",
        variable: "KUBECONFIG",
        default: DefaultValue::Unset("none; where it is given, what is above is not asked"),
        valid: "the path of a file, with at least one /",
        help: "address, CA and credentials: kubectl config view --minify --flatten --raw -o json",
        secret: Secret::Nothing,
        ..A_FILE
    },
    parse: One(any_path),
};
