//! Settings that decide about reports.

use crate::level::Level;
use crate::settings::table::{A_FILE, A_PORT, Group, REPORTS, Row, Secret, store, try_store};
use crate::settings::value::{
    FormName, LivePath, annotations, flag_or_count, key, one_of, path, port, proxy, truth, words,
};
use crate::source::url::NoticeUrl;
use crate::webhook::form::RoutingKey;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::NoProxy;
use crate::webhook::url::WebhookUrl;

pub(super) const LOG: Group = Group {
    title: "The log",
    rows: &[
        REPORTS
            .named("log-level", "LOG_LEVEL")
            .everyday()
            .takes("LEVEL", "debug, info, warn or error")
            .default("info")
            .help("what matters less is not logged")
            .read(|v, t| {
                let words = [
                    ("debug", Level::Debug),
                    ("info", Level::Info),
                    ("warn", Level::Warn),
                    ("warning", Level::Warn),
                    ("error", Level::Error),
                ];
                store(&mut v.log_level, one_of(&t.to_ascii_lowercase(), words))
            }),
        REPORTS
            .named("verbose", "VERBOSE")
            .everyday()
            .valid("0, or 1 for a log line for each poll")
            .default("0")
            .help("say each poll of the metadata service and its status, as LOG_LEVEL=debug does")
            .read(|v, t| store(&mut v.verbose, flag_or_count(t))),
        REPORTS
            .named("json-logging", "JSON_LOGGING")
            .help("log JSON, one object a line, instead of text")
            .read(|v, t| store(&mut v.json_logging, truth(t))),
    ],
};

pub(super) const EVENTS: Group = Group {
    title: "Kubernetes Events",
    rows: &[
        REPORTS
            .named("emit-kubernetes-events", "EMIT_KUBERNETES_EVENTS")
            .help("write what happens to the node as Events at the API server")
            .read(|v, t| store(&mut v.emit_kubernetes_events, truth(t))),
        REPORTS
            .named("kubernetes-events-extra-annotations", "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS")
            .takes("LIST", "a list of NAME=VALUE whose names Kubernetes takes for annotations")
            .unset("none")
            .help("annotations of each Event, besides those that tell of the instance")
            .read(|v, t| try_store(&mut v.kubernetes_events_extra_annotations, annotations(t))),
    ],
};

pub(super) const WEBHOOKS: Group = Group {
    title: "Webhooks",
    rows: &[
        A_WEBHOOK
            .named("webhook-url", "WEBHOOK_URL")
            .help("where a message is posted when a drain begins, and when it ends")
            .read(|v, t| try_store(&mut v.webhook_url, WebhookUrl::parse(t))),
        A_REPORT_FILE
            .named("webhook-url-file", "WEBHOOK_URL_FILE")
            .help("a file that holds that URL, read for each message: a Secret that is mounted")
            .read(|v, t| store(&mut v.webhook_url_file, path(t))),
        REPORTS
            .named("webhook-form", "WEBHOOK_FORM")
            .takes("FORM", "template, slack, teams, discord, pagerduty, google-chat or json")
            .default("template")
            .help("the form that the service at that URL wants")
            .read(|v, t| store(&mut v.webhook_form, one_of(t, FORMS))),
        REPORTS
            .named("webhook-template", "WEBHOOK_TEMPLATE")
            .takes(
                "TEXT",
                "text with fields such as {{ .NodeName }} in it; docs/reports.md has all of \
             them",
            )
            .unset("{\"text\":\"…\"} with the most important fields, as Slack takes it")
            .help("the message, with fields in it")
            .secret(Secret::Whole)
            .instead("the default message is sent")
            .read(|v, t| store(&mut v.webhook_template, Some(t.to_owned()))),
        A_REPORT_FILE
            .named("webhook-template-file", "WEBHOOK_TEMPLATE_FILE")
            .help(
                "a file that holds the template, read for each message; it comes before the other",
            )
            .read(|v, t| store(&mut v.webhook_template_file, path(t))),
        REPORTS
            .named("webhook-routing-key", "WEBHOOK_ROUTING_KEY")
            .takes("KEY", "32 letters and digits")
            .unset("needed with WEBHOOK_FORM=pagerduty")
            .help("the integration key of PagerDuty (Events API v2)")
            .secret(Secret::Whole)
            .instead("no alert goes to PagerDuty")
            .read(|v, t| store(&mut v.webhook_routing_key, RoutingKey::parse(t))),
        REPORTS
            .named("webhook-headers", "WEBHOOK_HEADERS")
            .takes(
                "JSON",
                r#"a JSON object of strings, such as {"Content-type":"application/json"}"#,
            )
            .default(r#"{"Content-type":"application/json"}"#)
            .help("the headers of each message to that URL")
            .secret(Secret::Whole)
            .read(|v, t| try_store(&mut v.webhook_headers, Headers::parse(t))),
        A_REPORT_FILE
            .named("webhook-headers-file", "WEBHOOK_HEADERS_FILE")
            .help("a file that holds the headers, read for each message; it comes before the other")
            .read(|v, t| store(&mut v.webhook_headers_file, path(t))),
        A_PROXY
            .named("webhook-proxy", "WEBHOOK_PROXY")
            .unset("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide")
            .help("the proxy through which every webhook is reached")
            .read(|v, t| try_store(&mut v.webhook_proxy, proxy(t))),
        A_PROXY
            .named("https-proxy", "HTTPS_PROXY")
            .or_variables(&["https_proxy"])
            .unset("ALL_PROXY")
            .help("the proxy for webhooks at https://, if WEBHOOK_PROXY is unset")
            .read(|v, t| store(&mut v.https_proxy, Some(proxy(t)))),
        A_PROXY
            .named("http-proxy", "HTTP_PROXY")
            .or_variables(&["http_proxy"])
            .unset("ALL_PROXY")
            .help("the proxy for webhooks at http://, if WEBHOOK_PROXY is unset")
            .read(|v, t| store(&mut v.http_proxy, Some(proxy(t)))),
        A_PROXY
            .named("all-proxy", "ALL_PROXY")
            .or_variables(&["all_proxy"])
            .unset("webhooks are reached directly")
            .help("the proxy for webhooks for which neither of those two is set")
            .read(|v, t| store(&mut v.all_proxy, Some(proxy(t)))),
        REPORTS
            .named("no-proxy", "NO_PROXY")
            .or_variables(&["no_proxy"])
            .takes(
                "LIST",
                "a list of names (and all below them), addresses and networks, each but the last \
             with :PORT or without, or *",
            )
            .unset("this machine alone")
            .help("hosts that are reached without those three proxies")
            .read(|v, t| store(&mut v.no_proxy, Some(NoProxy::parse(t)))),
        A_REPORT_FILE
            .named("webhook-ca-file", "WEBHOOK_CA_FILE")
            .unset("the public ones that Mozilla's browsers believe")
            .help("certificates (PEM) that the one of WEBHOOK_URL must go back to")
            .instead("no message is sent to WEBHOOK_URL: no other CA is believed in its place")
            .read(|v, t| store(&mut v.webhook_ca_file, path(t))),
        REPORTS
            .named("cluster", "CLUSTER")
            .everyday()
            .takes("NAME", SOME_WORDS)
            .unset("no name")
            .help("the cluster's name in messages")
            .read(|v, t| store(&mut v.cluster, words(t))),
        A_WEBHOOK
            .named("slack-url", "SLACK_URL")
            .help("an incoming webhook of Slack, besides WEBHOOK_URL")
            .read(|v, t| try_store(&mut v.slack_url, WebhookUrl::parse(t))),
        REPORTS
            .named("slack-channel", "SLACK_CHANNEL")
            .takes("CHANNEL", SOME_WORDS)
            .unset("the webhook's own")
            .help("the channel, for older webhooks of Slack, which may have several")
            .read(|v, t| store(&mut v.slack_channel, words(t))),
        A_WEBHOOK
            .named("hangouts-url", "HANGOUTS_URL")
            .help("a webhook of Google Chat, besides WEBHOOK_URL")
            .read(|v, t| try_store(&mut v.hangouts_url, WebhookUrl::parse(t))),
        A_WEBHOOK
            .named("wechat-url", "WECHAT_URL")
            .help("a webhook of WeCom, besides WEBHOOK_URL")
            .read(|v, t| try_store(&mut v.wechat_url, WebhookUrl::parse(t))),
        REPORTS
            .named("wechat-key", "WECHAT_KEY")
            .takes("KEY", "letters, digits, - and _")
            .unset("none is added to WECHAT_URL")
            .help("the key of that webhook, if WECHAT_URL does not hold it already")
            .secret(Secret::Whole)
            .read(|v, t| store(&mut v.wechat_key, key(t))),
        A_WEBHOOK
            .named("sematext-url", "SEMATEXT_URL")
            .help("where Sematext takes events, besides WEBHOOK_URL")
            .read(|v, t| try_store(&mut v.sematext_url, WebhookUrl::parse(t))),
        A_FACT
            .named("az-url", "AZ_URL")
            .help("where the availability zone stands, for messages and Events")
            .read(|v, t| store(&mut v.az_url, NoticeUrl::parse(t))),
        A_FACT
            .named("instance-id-url", "INSTANCE_ID_URL")
            .help("where the instance's id stands, for messages and Events")
            .read(|v, t| store(&mut v.instance_id_url, NoticeUrl::parse(t))),
        A_FACT
            .named("instance-type-url", "INSTANCE_TYPE_URL")
            .help("where the instance's type stands, for messages and Events")
            .read(|v, t| store(&mut v.instance_type_url, NoticeUrl::parse(t))),
    ],
};

pub(super) const PAGES: Group = Group {
    title: "Metrics and probes",
    rows: &[
        REPORTS
            .named("enable-prometheus-server", "ENABLE_PROMETHEUS_SERVER")
            .help("serve metrics at /metrics")
            .read(|v, t| store(&mut v.enable_prometheus_server, truth(t))),
        REPORTS
            .named("prometheus-server-port", "PROMETHEUS_SERVER_PORT")
            .takes("PORT", A_PORT)
            .default("9092")
            .help("where metrics are served")
            .read(|v, t| store(&mut v.prometheus_server_port, port(t))),
        REPORTS
            .named("enable-probes-server", "ENABLE_PROBES_SERVER")
            .help("serve liveness and, at /readyz, readiness")
            .instead(
                "probes are served: a kubelet that asks for them in vain would start the handler \
             anew for ever",
            )
            .read(|v, t| store(&mut v.enable_probes_server, truth(t))),
        REPORTS
            .named("probes-server-port", "PROBES_SERVER_PORT")
            .takes("PORT", A_PORT)
            .default("8080")
            .help("where probes are served; may be the port of the metrics")
            .read(|v, t| store(&mut v.probes_server_port, port(t))),
        REPORTS
            .named("probes-server-endpoint", "PROBES_SERVER_ENDPOINT")
            .takes("PATH", LivePath::VALID)
            .default("/healthz")
            .help("the path of the liveness probe")
            .instead("the liveness probe is answered at every path")
            .read(|v, t| store(&mut v.probes_server_endpoint, LivePath::parse(t))),
        REPORTS
            .named("listen-address", "LISTEN_ADDRESS")
            .takes("ADDRESS", "an IPv4 or IPv6 address of this machine; :: means all of both kinds")
            .default("::")
            .help("the address at which metrics and probes are served")
            .instead("probes are served at every address, metrics at none")
            .read(|v, t| store(&mut v.listen_address, t.parse().ok())),
    ],
};

const FORMS: [(&str, FormName); 7] = [
    ("template", FormName::Template),
    ("slack", FormName::Slack),
    ("teams", FormName::Teams),
    ("discord", FormName::Discord),
    ("pagerduty", FormName::PagerDuty),
    ("google-chat", FormName::GoogleChat),
    ("json", FormName::Json),
];

/// What the URLs of webhooks have in common.
const A_WEBHOOK: Row = REPORTS
    .takes("URL", "https://HOST[:PORT]/PATH, or http://")
    .unset("nothing is sent there")
    .secret(Secret::Path);

/// What the files of webhooks have in common.
const A_REPORT_FILE: Row = A_FILE.instead("");

/// What proxies have in common.
const A_PROXY: Row = REPORTS
    .takes("URL", "http://[USER:PASSWORD@]HOST:PORT, or HOST:PORT")
    .secret(Secret::User)
    .instead("no message is sent: none goes past a proxy");

/// What the addresses of facts about the instance have in common.
const A_FACT: Row = REPORTS
    .takes(
        "URL",
        "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no https",
    )
    .unset("the metadata service is asked")
    .secret(Secret::Query);

const SOME_WORDS: &str = "at most 256 characters that can be printed";
