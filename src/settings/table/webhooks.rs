//! Settings: webhooks.

use std::path::PathBuf;

use crate::settings::table::{
    self, DefaultValue, Group,
    Parse::{Explained, One},
    REPORTS, Row, Secret, Setting, Stakes,
};
use crate::settings::value::{ReadyForm, form, path, proxy, words};
use crate::source::url::NoticeUrl;
use crate::webhook::form::RoutingKey;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{NoProxy, ProxyUrl};
use crate::webhook::url::WebhookUrl;

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "Webhooks",
    rows: &[
        &WEBHOOK_URL.row,
        &WEBHOOK_URL_FILE.row,
        &WEBHOOK_FORM.row,
        &WEBHOOK_TEMPLATE.row,
        &WEBHOOK_TEMPLATE_FILE.row,
        &WEBHOOK_ROUTING_KEY.row,
        &WEBHOOK_HEADERS.row,
        &WEBHOOK_HEADERS_FILE.row,
        &WEBHOOK_PROXY.row,
        &HTTPS_PROXY.row,
        &HTTP_PROXY.row,
        &ALL_PROXY.row,
        &NO_PROXY.row,
        &WEBHOOK_CA_FILE.row,
        &CLUSTER.row,
        &SLACK_URL.row,
        &SLACK_CHANNEL.row,
        &HANGOUTS_URL.row,
        &WECHAT_URL.row,
        &WECHAT_KEY.row,
        &SEMATEXT_URL.row,
        &AZ_URL.row,
        &INSTANCE_ID_URL.row,
        &INSTANCE_TYPE_URL.row,
    ],
};

/// What the URLs of webhooks have in common.
const A_WEBHOOK: Row = Row {
    placeholder: Some("URL"),
    default: DefaultValue::Unset("nothing is sent there"),
    valid: "https://HOST[:PORT]/PATH, or http://",
    secret: Secret::Path,
    ..REPORTS
};

pub(in crate::settings) const WEBHOOK_URL: Setting<WebhookUrl> = Setting {
    row: Row {
        flag: "webhook-url",
        variable: "WEBHOOK_URL",
        help: "where a message is posted when a drain begins, and when it ends",
        ..A_WEBHOOK
    },
    parse: Explained(webhook_url),
};

pub(in crate::settings) const WEBHOOK_URL_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "webhook-url-file",
        variable: "WEBHOOK_URL_FILE",
        help: "a file that holds that URL, read for each message: a Secret that is mounted",
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const WEBHOOK_FORM: Setting<ReadyForm> = Setting {
    row: Row {
        flag: "webhook-form",
        variable: "WEBHOOK_FORM",
        placeholder: Some("FORM"),
        default: DefaultValue::Is("template"),
        valid: "template, slack, teams, discord, pagerduty, google-chat or json",
        help: "the form that the service at that URL wants",
        ..REPORTS
    },
    parse: One(form),
};

pub(in crate::settings) const WEBHOOK_TEMPLATE: Setting<String> = Setting {
    row: Row {
        flag: "webhook-template",
        variable: "WEBHOOK_TEMPLATE",
        placeholder: Some("TEXT"),
        default: DefaultValue::Unset(
            "{\"text\":\"…\"} with the most important fields, as Slack takes it",
        ),
        valid: "text with fields such as {{ .NodeName }} in it; docs/reports.md has all of them",
        help: "the message, with fields in it",
        secret: Secret::Whole,
        stakes: Stakes::Reports("the default message is sent"),
        ..REPORTS
    },
    parse: One(|text| Some(text.to_owned())),
};

pub(in crate::settings) const WEBHOOK_TEMPLATE_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "webhook-template-file",
        variable: "WEBHOOK_TEMPLATE_FILE",
        help: "a file that holds the template, read for each message; it comes before the other",
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const WEBHOOK_ROUTING_KEY: Setting<RoutingKey> = Setting {
    row: Row {
        flag: "webhook-routing-key",
        variable: "WEBHOOK_ROUTING_KEY",
        placeholder: Some("KEY"),
        default: DefaultValue::Unset("needed with WEBHOOK_FORM=pagerduty"),
        valid: "32 letters and digits",
        help: "the integration key of PagerDuty (Events API v2)",
        secret: Secret::Whole,
        stakes: Stakes::Reports("no alert goes to PagerDuty"),
        ..REPORTS
    },
    parse: One(RoutingKey::parse),
};

pub(in crate::settings) const WEBHOOK_HEADERS: Setting<Headers> = Setting {
    row: Row {
        flag: "webhook-headers",
        variable: "WEBHOOK_HEADERS",
        placeholder: Some("JSON"),
        default: DefaultValue::Is(r#"{"Content-type":"application/json"}"#),
        valid: r#"a JSON object of strings, such as {"Content-type":"application/json"}"#,
        help: "the headers of each message to that URL",
        secret: Secret::Whole,
        ..REPORTS
    },
    parse: Explained(Headers::parse),
};

pub(in crate::settings) const WEBHOOK_HEADERS_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "webhook-headers-file",
        variable: "WEBHOOK_HEADERS_FILE",
        help: "a file that holds the headers, read for each message; it comes before the other",
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const WEBHOOK_PROXY: Setting<ProxyUrl> = Setting {
    row: Row {
        flag: "webhook-proxy",
        variable: "WEBHOOK_PROXY",
        placeholder: Some("URL"),
        default: DefaultValue::Unset("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide"),
        help: "the proxy through which every webhook is reached",
        ..A_PROXY
    },
    parse: Explained(|text| proxy(text).map_err(str::to_owned)),
};

/// What proxies have in common.
const A_PROXY: Row = Row {
    placeholder: Some("URL"),
    valid: "http://[USER:PASSWORD@]HOST:PORT, or HOST:PORT",
    secret: Secret::User,
    stakes: Stakes::Reports("no message is sent: none goes past a proxy"),
    ..REPORTS
};

pub(in crate::settings) const HTTPS_PROXY: Setting<Result<ProxyUrl, &str>> = Setting {
    row: Row {
        flag: "https-proxy",
        variable: "HTTPS_PROXY",
        aliases: &["https_proxy"],
        default: DefaultValue::Unset("ALL_PROXY"),
        help: "the proxy for webhooks at https://, if WEBHOOK_PROXY is unset",
        ..A_PROXY
    },
    parse: One(|text| Some(proxy(text))),
};

pub(in crate::settings) const HTTP_PROXY: Setting<Result<ProxyUrl, &str>> = Setting {
    row: Row {
        flag: "http-proxy",
        variable: "HTTP_PROXY",
        aliases: &["http_proxy"],
        default: DefaultValue::Unset("ALL_PROXY"),
        help: "the proxy for webhooks at http://, if WEBHOOK_PROXY is unset",
        ..A_PROXY
    },
    parse: One(|text| Some(proxy(text))),
};

pub(in crate::settings) const ALL_PROXY: Setting<Result<ProxyUrl, &str>> = Setting {
    row: Row {
        flag: "all-proxy",
        variable: "ALL_PROXY",
        aliases: &["all_proxy"],
        default: DefaultValue::Unset("webhooks are reached directly"),
        help: "the proxy for webhooks for which neither of those two is set",
        ..A_PROXY
    },
    parse: One(|text| Some(proxy(text))),
};

pub(in crate::settings) const NO_PROXY: Setting<NoProxy> = Setting {
    row: Row {
        flag: "no-proxy",
        variable: "NO_PROXY",
        aliases: &["no_proxy"],
        placeholder: Some("LIST"),
        default: DefaultValue::Unset("this machine alone"),
        valid: "a list of names (and all below them), addresses and networks, each but the last with \
                :PORT or without, or *",
        help: "hosts that are reached without those three proxies",
        ..REPORTS
    },
    parse: One(|text| Some(NoProxy::parse(text))),
};

pub(in crate::settings) const WEBHOOK_CA_FILE: Setting<PathBuf> = Setting {
    row: Row {
        flag: "webhook-ca-file",
        variable: "WEBHOOK_CA_FILE",
        default: DefaultValue::Unset("the public ones that Mozilla's browsers believe"),
        help: "certificates (PEM) that the one of WEBHOOK_URL must go back to",
        stakes: Stakes::Reports(
            "no message is sent to WEBHOOK_URL: no other CA is believed in its place",
        ),
        ..A_FILE
    },
    parse: One(path),
};

pub(in crate::settings) const CLUSTER: Setting<String> = Setting {
    row: Row {
        flag: "cluster",
        variable: "CLUSTER",
        is_everyday: true,
        placeholder: Some("NAME"),
        default: DefaultValue::Unset("no name"),
        valid: SOME_WORDS,
        help: "the cluster's name in messages",
        ..REPORTS
    },
    parse: One(words),
};

pub(in crate::settings) const SLACK_URL: Setting<WebhookUrl> = Setting {
    row: Row {
        flag: "slack-url",
        variable: "SLACK_URL",
        help: "an incoming webhook of Slack, besides WEBHOOK_URL",
        ..A_WEBHOOK
    },
    parse: Explained(webhook_url),
};

pub(in crate::settings) const SLACK_CHANNEL: Setting<String> = Setting {
    row: Row {
        flag: "slack-channel",
        variable: "SLACK_CHANNEL",
        placeholder: Some("CHANNEL"),
        default: DefaultValue::Unset("the webhook's own"),
        valid: SOME_WORDS,
        help: "the channel, for older webhooks of Slack, which may have several",
        ..REPORTS
    },
    parse: One(words),
};

pub(in crate::settings) const HANGOUTS_URL: Setting<WebhookUrl> = Setting {
    row: Row {
        flag: "hangouts-url",
        variable: "HANGOUTS_URL",
        help: "a webhook of Google Chat, besides WEBHOOK_URL",
        ..A_WEBHOOK
    },
    parse: Explained(webhook_url),
};

pub(in crate::settings) const WECHAT_URL: Setting<WebhookUrl> = Setting {
    row: Row {
        flag: "wechat-url",
        variable: "WECHAT_URL",
        help: "a webhook of WeCom, besides WEBHOOK_URL",
        ..A_WEBHOOK
    },
    parse: Explained(webhook_url),
};

pub(in crate::settings) const WECHAT_KEY: Setting<String> = Setting {
    row: Row {
        flag: "wechat-key",
        variable: "WECHAT_KEY",
        placeholder: Some("KEY"),
        default: DefaultValue::Unset("none is added to WECHAT_URL"),
        valid: "letters, digits, - and _",
        help: "the key of that webhook, if WECHAT_URL does not hold it already",
        secret: Secret::Whole,
        ..REPORTS
    },
    parse: One(|text| {
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.bytes().all(is_key).then(|| text.to_owned())
    }),
};

pub(in crate::settings) const SEMATEXT_URL: Setting<WebhookUrl> = Setting {
    row: Row {
        flag: "sematext-url",
        variable: "SEMATEXT_URL",
        help: "where Sematext takes events, besides WEBHOOK_URL",
        ..A_WEBHOOK
    },
    parse: Explained(webhook_url),
};

/// What the addresses of facts about the instance have in common.
const A_FACT: Row = Row {
    placeholder: Some("URL"),
    default: DefaultValue::Unset("the metadata service is asked"),
    valid: "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no https",
    secret: Secret::Query,
    ..REPORTS
};

pub(in crate::settings) const AZ_URL: Setting<NoticeUrl> = Setting {
    row: Row {
        flag: "az-url",
        variable: "AZ_URL",
        help: "where the availability zone stands, for messages and Events",
        ..A_FACT
    },
    parse: One(|text| NoticeUrl::parse(text).ok()),
};

pub(in crate::settings) const INSTANCE_ID_URL: Setting<NoticeUrl> = Setting {
    row: Row {
        flag: "instance-id-url",
        variable: "INSTANCE_ID_URL",
        help: "where the instance's id stands, for messages and Events",
        ..A_FACT
    },
    parse: One(|text| NoticeUrl::parse(text).ok()),
};

pub(in crate::settings) const INSTANCE_TYPE_URL: Setting<NoticeUrl> = Setting {
    row: Row {
        flag: "instance-type-url",
        variable: "INSTANCE_TYPE_URL",
        help: "where the instance's type stands, for messages and Events",
        ..A_FACT
    },
    parse: One(|text| NoticeUrl::parse(text).ok()),
};

/// What the files of webhooks have in common.
const A_FILE: Row = Row { stakes: Stakes::Reports(""), ..table::A_FILE };

const SOME_WORDS: &str = "at most 256 characters that can be printed";

fn webhook_url(text: &str) -> Result<WebhookUrl, String> {
    WebhookUrl::parse(text).map_err(str::to_owned)
}
