//! Settings that decide about reports.

use crate::remark::Level;
use crate::settings::table::DefaultValue::{Is, Unset};
use crate::settings::table::{
    A_FILE, A_PORT, Group, REPORTS, Row, Secret, Stakes, store, try_store,
};
use crate::settings::value::{
    LivePath, ReadyForm, annotations, flag_or_count, key, one_of, path, proxy, truth, within, words,
};
use crate::source::url::NoticeUrl;
use crate::webhook::form::RoutingKey;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::NoProxy;
use crate::webhook::url::WebhookUrl;

pub(super) const LOG: Group = Group {
    title: "The log",
    rows: &[
        Row {
            flag: "log-level",
            variable: "LOG_LEVEL",
            is_everyday: true,
            placeholder: Some("LEVEL"),
            default: Is("info"),
            valid: "debug, info, warn or error",
            help: "what matters less is not logged",
            read: |v, text| {
                store(
                    &mut v.log_level,
                    one_of(
                        &text.to_ascii_lowercase(),
                        [
                            ("debug", Level::Debug),
                            ("info", Level::Info),
                            ("warn", Level::Warn),
                            ("warning", Level::Warn),
                            ("error", Level::Error),
                        ],
                    ),
                )
            },
            ..REPORTS
        },
        Row {
            flag: "verbose",
            variable: "VERBOSE",
            is_everyday: true,
            default: Is("0"),
            valid: "0, or 1 for a log line for each poll",
            help: "say each poll of the metadata service and its status, as LOG_LEVEL=debug does",
            read: |v, text| store(&mut v.verbose, flag_or_count(text)),
            ..REPORTS
        },
        Row {
            flag: "json-logging",
            variable: "JSON_LOGGING",
            help: "log JSON, one object a line, instead of text",
            read: |v, text| store(&mut v.json_logging, truth(text)),
            ..REPORTS
        },
    ],
};

pub(super) const EVENTS: Group = Group {
    title: "Kubernetes Events",
    rows: &[
        Row {
            flag: "emit-kubernetes-events",
            variable: "EMIT_KUBERNETES_EVENTS",
            help: "write what happens to the node as Events at the API server",
            read: |v, text| store(&mut v.emit_kubernetes_events, truth(text)),
            ..REPORTS
        },
        Row {
            flag: "kubernetes-events-extra-annotations",
            variable: "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS",
            placeholder: Some("LIST"),
            default: Unset("none"),
            valid: "a list of NAME=VALUE whose names Kubernetes takes for annotations",
            help: "annotations of each Event, besides those that tell of the instance",
            read: |v, text| {
                try_store(&mut v.kubernetes_events_extra_annotations, annotations(text))
            },
            ..REPORTS
        },
    ],
};

pub(super) const WEBHOOKS: Group = Group {
    title: "Webhooks",
    rows: &[
        Row {
            flag: "webhook-url",
            variable: "WEBHOOK_URL",
            help: "where a message is posted when a drain begins, and when it ends",
            read: |v, text| try_store(&mut v.webhook_url, WebhookUrl::parse(text)),
            ..A_WEBHOOK
        },
        Row {
            flag: "webhook-url-file",
            variable: "WEBHOOK_URL_FILE",
            help: "a file that holds that URL, read for each message: a Secret that is mounted",
            read: |v, text| store(&mut v.webhook_url_file, path(text)),
            ..A_REPORT_FILE
        },
        Row {
            flag: "webhook-form",
            variable: "WEBHOOK_FORM",
            placeholder: Some("FORM"),
            default: Is("template"),
            valid: "template, slack, teams, discord, pagerduty, google-chat or json",
            help: "the form that the service at that URL wants",
            read: |v, text| {
                store(
                    &mut v.webhook_form,
                    one_of(
                        text,
                        [
                            ("template", ReadyForm::Template),
                            ("slack", ReadyForm::Slack),
                            ("teams", ReadyForm::Teams),
                            ("discord", ReadyForm::Discord),
                            ("pagerduty", ReadyForm::PagerDuty),
                            ("google-chat", ReadyForm::GoogleChat),
                            ("json", ReadyForm::Json),
                        ],
                    ),
                )
            },
            ..REPORTS
        },
        Row {
            flag: "webhook-template",
            variable: "WEBHOOK_TEMPLATE",
            placeholder: Some("TEXT"),
            default: Unset("{\"text\":\"…\"} with the most important fields, as Slack takes it"),
            valid: "text with fields such as {{ .NodeName }} in it; docs/reports.md has all of them",
            help: "the message, with fields in it",
            secret: Secret::Whole,
            stakes: Stakes::Reports("the default message is sent"),
            read: |v, text| store(&mut v.webhook_template, Some(text.to_owned())),
            ..REPORTS
        },
        Row {
            flag: "webhook-template-file",
            variable: "WEBHOOK_TEMPLATE_FILE",
            help: "a file that holds the template, read for each message; it comes before the other",
            read: |v, text| store(&mut v.webhook_template_file, path(text)),
            ..A_REPORT_FILE
        },
        Row {
            flag: "webhook-routing-key",
            variable: "WEBHOOK_ROUTING_KEY",
            placeholder: Some("KEY"),
            default: Unset("needed with WEBHOOK_FORM=pagerduty"),
            valid: "32 letters and digits",
            help: "the integration key of PagerDuty (Events API v2)",
            secret: Secret::Whole,
            stakes: Stakes::Reports("no alert goes to PagerDuty"),
            read: |v, text| store(&mut v.webhook_routing_key, RoutingKey::parse(text)),
            ..REPORTS
        },
        Row {
            flag: "webhook-headers",
            variable: "WEBHOOK_HEADERS",
            placeholder: Some("JSON"),
            default: Is(r#"{"Content-type":"application/json"}"#),
            valid: r#"a JSON object of strings, such as {"Content-type":"application/json"}"#,
            help: "the headers of each message to that URL",
            secret: Secret::Whole,
            read: |v, text| try_store(&mut v.webhook_headers, Headers::parse(text)),
            ..REPORTS
        },
        Row {
            flag: "webhook-headers-file",
            variable: "WEBHOOK_HEADERS_FILE",
            help: "a file that holds the headers, read for each message; it comes before the other",
            read: |v, text| store(&mut v.webhook_headers_file, path(text)),
            ..A_REPORT_FILE
        },
        Row {
            flag: "webhook-proxy",
            variable: "WEBHOOK_PROXY",
            placeholder: Some("URL"),
            default: Unset("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide"),
            help: "the proxy through which every webhook is reached",
            read: |v, text| try_store(&mut v.webhook_proxy, proxy(text)),
            ..A_PROXY
        },
        Row {
            flag: "https-proxy",
            variable: "HTTPS_PROXY",
            aliases: &["https_proxy"],
            default: Unset("ALL_PROXY"),
            help: "the proxy for webhooks at https://, if WEBHOOK_PROXY is unset",
            read: |v, text| store(&mut v.https_proxy, Some(proxy(text))),
            ..A_PROXY
        },
        Row {
            flag: "http-proxy",
            variable: "HTTP_PROXY",
            aliases: &["http_proxy"],
            default: Unset("ALL_PROXY"),
            help: "the proxy for webhooks at http://, if WEBHOOK_PROXY is unset",
            read: |v, text| store(&mut v.http_proxy, Some(proxy(text))),
            ..A_PROXY
        },
        Row {
            flag: "all-proxy",
            variable: "ALL_PROXY",
            aliases: &["all_proxy"],
            default: Unset("webhooks are reached directly"),
            help: "the proxy for webhooks for which neither of those two is set",
            read: |v, text| store(&mut v.all_proxy, Some(proxy(text))),
            ..A_PROXY
        },
        Row {
            flag: "no-proxy",
            variable: "NO_PROXY",
            aliases: &["no_proxy"],
            placeholder: Some("LIST"),
            default: Unset("this machine alone"),
            valid: "a list of names (and all below them), addresses and networks, each but the last with \
                    :PORT or without, or *",
            help: "hosts that are reached without those three proxies",
            read: |v, text| store(&mut v.no_proxy, Some(NoProxy::parse(text))),
            ..REPORTS
        },
        Row {
            flag: "webhook-ca-file",
            variable: "WEBHOOK_CA_FILE",
            default: Unset("the public ones that Mozilla's browsers believe"),
            help: "certificates (PEM) that the one of WEBHOOK_URL must go back to",
            stakes: Stakes::Reports(
                "no message is sent to WEBHOOK_URL: no other CA is believed in its place",
            ),
            read: |v, text| store(&mut v.webhook_ca_file, path(text)),
            ..A_REPORT_FILE
        },
        Row {
            flag: "cluster",
            variable: "CLUSTER",
            is_everyday: true,
            placeholder: Some("NAME"),
            default: Unset("no name"),
            valid: SOME_WORDS,
            help: "the cluster's name in messages",
            read: |v, text| store(&mut v.cluster, words(text)),
            ..REPORTS
        },
        Row {
            flag: "slack-url",
            variable: "SLACK_URL",
            help: "an incoming webhook of Slack, besides WEBHOOK_URL",
            read: |v, text| try_store(&mut v.slack_url, WebhookUrl::parse(text)),
            ..A_WEBHOOK
        },
        Row {
            flag: "slack-channel",
            variable: "SLACK_CHANNEL",
            placeholder: Some("CHANNEL"),
            default: Unset("the webhook's own"),
            valid: SOME_WORDS,
            help: "the channel, for older webhooks of Slack, which may have several",
            read: |v, text| store(&mut v.slack_channel, words(text)),
            ..REPORTS
        },
        Row {
            flag: "hangouts-url",
            variable: "HANGOUTS_URL",
            help: "a webhook of Google Chat, besides WEBHOOK_URL",
            read: |v, text| try_store(&mut v.hangouts_url, WebhookUrl::parse(text)),
            ..A_WEBHOOK
        },
        Row {
            flag: "wechat-url",
            variable: "WECHAT_URL",
            help: "a webhook of WeCom, besides WEBHOOK_URL",
            read: |v, text| try_store(&mut v.wechat_url, WebhookUrl::parse(text)),
            ..A_WEBHOOK
        },
        Row {
            flag: "wechat-key",
            variable: "WECHAT_KEY",
            placeholder: Some("KEY"),
            default: Unset("none is added to WECHAT_URL"),
            valid: "letters, digits, - and _",
            help: "the key of that webhook, if WECHAT_URL does not hold it already",
            secret: Secret::Whole,
            read: |v, text| store(&mut v.wechat_key, key(text)),
            ..REPORTS
        },
        Row {
            flag: "sematext-url",
            variable: "SEMATEXT_URL",
            help: "where Sematext takes events, besides WEBHOOK_URL",
            read: |v, text| try_store(&mut v.sematext_url, WebhookUrl::parse(text)),
            ..A_WEBHOOK
        },
        Row {
            flag: "az-url",
            variable: "AZ_URL",
            help: "where the availability zone stands, for messages and Events",
            read: |v, text| store(&mut v.az_url, NoticeUrl::parse(text).ok()),
            ..A_FACT
        },
        Row {
            flag: "instance-id-url",
            variable: "INSTANCE_ID_URL",
            help: "where the instance's id stands, for messages and Events",
            read: |v, text| store(&mut v.instance_id_url, NoticeUrl::parse(text).ok()),
            ..A_FACT
        },
        Row {
            flag: "instance-type-url",
            variable: "INSTANCE_TYPE_URL",
            help: "where the instance's type stands, for messages and Events",
            read: |v, text| store(&mut v.instance_type_url, NoticeUrl::parse(text).ok()),
            ..A_FACT
        },
    ],
};

pub(super) const PAGES: Group = Group {
    title: "Metrics and probes",
    rows: &[
        Row {
            flag: "enable-prometheus-server",
            variable: "ENABLE_PROMETHEUS_SERVER",
            help: "serve metrics at /metrics",
            read: |v, text| store(&mut v.enable_prometheus_server, truth(text)),
            ..REPORTS
        },
        Row {
            flag: "prometheus-server-port",
            variable: "PROMETHEUS_SERVER_PORT",
            placeholder: Some("PORT"),
            default: Is("9092"),
            valid: A_PORT,
            help: "where metrics are served",
            read: |v, text| {
                store(&mut v.prometheus_server_port, within(1..=u16::MAX, text.parse().ok()))
            },
            ..REPORTS
        },
        Row {
            flag: "enable-probes-server",
            variable: "ENABLE_PROBES_SERVER",
            help: "serve liveness and, at /readyz, readiness",
            stakes: Stakes::Reports(
                "probes are served: a kubelet that asks for them in vain would start the handler anew for ever",
            ),
            read: |v, text| store(&mut v.enable_probes_server, truth(text)),
            ..REPORTS
        },
        Row {
            flag: "probes-server-port",
            variable: "PROBES_SERVER_PORT",
            placeholder: Some("PORT"),
            default: Is("8080"),
            valid: A_PORT,
            help: "where probes are served; may be the port of the metrics",
            read: |v, text| {
                store(&mut v.probes_server_port, within(1..=u16::MAX, text.parse().ok()))
            },
            ..REPORTS
        },
        Row {
            flag: "probes-server-endpoint",
            variable: "PROBES_SERVER_ENDPOINT",
            placeholder: Some("PATH"),
            default: Is("/healthz"),
            valid: LivePath::VALID,
            help: "the path of the liveness probe",
            stakes: Stakes::Reports("the liveness probe is answered at every path"),
            read: |v, text| store(&mut v.probes_server_endpoint, LivePath::parse(text)),
            ..REPORTS
        },
        Row {
            flag: "listen-address",
            variable: "LISTEN_ADDRESS",
            placeholder: Some("ADDRESS"),
            default: Is("::"),
            valid: "an IPv4 or IPv6 address of this machine; :: means all of both kinds",
            help: "the address at which metrics and probes are served",
            stakes: Stakes::Reports("probes are served at every address, metrics at none"),
            read: |v, text| store(&mut v.listen_address, text.parse().ok()),
            ..REPORTS
        },
    ],
};

/// What the URLs of webhooks have in common.
const A_WEBHOOK: Row = Row {
    placeholder: Some("URL"),
    default: Unset("nothing is sent there"),
    valid: "https://HOST[:PORT]/PATH, or http://",
    secret: Secret::Path,
    ..REPORTS
};

/// What the files of webhooks have in common.
const A_REPORT_FILE: Row = Row { stakes: Stakes::Reports(""), ..A_FILE };

/// What proxies have in common.
const A_PROXY: Row = Row {
    placeholder: Some("URL"),
    valid: "http://[USER:PASSWORD@]HOST:PORT, or HOST:PORT",
    secret: Secret::User,
    stakes: Stakes::Reports("no message is sent: none goes past a proxy"),
    ..REPORTS
};

/// What the addresses of facts about the instance have in common.
const A_FACT: Row = Row {
    placeholder: Some("URL"),
    default: Unset("the metadata service is asked"),
    valid: "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no https",
    secret: Secret::Query,
    ..REPORTS
};

const SOME_WORDS: &str = "at most 256 characters that can be printed";
