//! Who is told.

use std::net::SocketAddr;

use super::*;
use crate::report::webhook::destination::{Destination, Held, Wanted};
use crate::report::webhook::form::Form;

const URL: &str = "https://hooks.example/services/hush";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn webhooks(variables: &[(&str, &str)]) -> Vec<Destination> {
    good(&[], variables).reporting.webhooks
}

fn forms(variables: &[(&str, &str)]) -> Vec<Form> {
    let forms = webhooks(variables).into_iter().map(|webhook| match webhook.form {
        Wanted::Form(form) => form,
        Wanted::TemplateIn(file) => panic!("a template in {}", file.display()),
    });
    forms.collect()
}

#[test]
fn the_log_says_what_matters_enough() {
    let least = |variables: &[(&str, &str)]| good(&[], variables).reporting.log.least;
    assert_eq!(least(&[]), Level::Info);
    assert_eq!(least(&[("LOG_LEVEL", "ERROR")]), Level::Error);
    assert_eq!(least(&[("LOG_LEVEL", "error"), ("VERBOSE", "1")]), Level::Debug);
}

#[test]
fn metrics_and_probes_have_ports_of_their_own() {
    let at = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
    let on = [("ENABLE_PROMETHEUS_SERVER", "true"), ("ENABLE_PROBES_SERVER", "true")];
    let usual = good(&[], &on).reporting;
    assert_eq!(usual.metrics, at("[::]:9092"));
    assert_eq!(usual.probes.map(|probes| probes.address), at("[::]:8080"));
    let reporting =
        good(&["--listen-address=127.0.0.1", "--probes-server-port=9092"], &on).reporting;
    assert_eq!(reporting.metrics, reporting.probes.map(|probes| probes.address));
    let off = good(&["--listen-address=127.0.0.1"], &[]).reporting;
    assert_eq!((off.metrics, off.probes), (None, None));
}

#[test]
fn a_webhook_has_the_form_that_is_asked_for() {
    for (name, form) in [
        ("slack", Form::Slack { channel: None }),
        ("teams", Form::Teams),
        ("discord", Form::Discord),
        ("google-chat", Form::GoogleChat),
        ("json", Form::Json),
    ] {
        assert_eq!(forms(&[("WEBHOOK_URL", URL), ("WEBHOOK_FORM", name)]), [form]);
    }
    let pager = [("WEBHOOK_URL", URL), ("WEBHOOK_FORM", "pagerduty"), ("WEBHOOK_ROUTING_KEY", KEY)];
    assert!(matches!(forms(&pager)[..], [Form::PagerDuty { .. }]));
    assert!(matches!(forms(&[("WEBHOOK_URL", URL)])[..], [Form::Template(_)]));
    assert_eq!(webhooks(&[]), []);
}

#[test]
fn older_names_have_webhooks_of_their_own_besides() {
    let all = forms(&[
        ("WEBHOOK_URL", URL),
        ("WEBHOOK_FORM", "json"),
        ("SLACK_URL", URL),
        ("SLACK_CHANNEL", "#ops"),
        ("HANGOUTS_URL", URL),
        ("WECHAT_URL", URL),
        ("SEMATEXT_URL", URL),
    ]);
    let slack = Form::Slack { channel: Some("#ops".to_owned()) };
    assert_eq!(all, [Form::Json, slack, Form::GoogleChat, Form::WeChat, Form::Sematext]);
}

#[test]
fn what_stands_in_a_file_comes_first_and_is_read_later() {
    let asked = [
        ("WEBHOOK_URL", URL),
        ("WEBHOOK_URL_FILE", "/run/url"),
        ("WEBHOOK_HEADERS_FILE", "/run/headers"),
        ("WEBHOOK_TEMPLATE", "{}"),
        ("WEBHOOK_TEMPLATE_FILE", "/run/template"),
    ];
    let [webhook] = &webhooks(&asked)[..] else { panic!("not one webhook") };
    assert_eq!(webhook.url, Held::InFile("/run/url".into()));
    assert_eq!(webhook.headers, Held::InFile("/run/headers".into()));
    assert_eq!(webhook.form, Wanted::TemplateIn("/run/template".into()));
    assert_eq!(
        remarks(&[], &asked),
        [
            "WEBHOOK_URL is set too, but not used: WEBHOOK_URL_FILE comes first.",
            "WEBHOOK_TEMPLATE is set too, but not used: WEBHOOK_TEMPLATE_FILE comes first.",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_with_its_remedy() {
    for (variables, expected) in [
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_FORM", "pagerduty")][..],
            "WEBHOOK_FORM is pagerduty, and WEBHOOK_ROUTING_KEY is not set; ",
        ),
        (
            &[("WEBHOOK_FORM", "slack"), ("WEBHOOK_TEMPLATE", "{}")],
            "WEBHOOK_FORM asks for a ready form, and a template is set, too; ",
        ),
        (
            &[("WEBHOOK_TEMPLATE", "{\"a\":\n\"{{ range .Pods }}\"}")],
            "WEBHOOK_TEMPLATE: line 2, column 2: ",
        ),
        (&[("WEBHOOK_HEADERS", "Authorization: hush")], "WEBHOOK_HEADERS: "),
        (&[("WEBHOOK_PROXY", "https://proxy.example:3128")], "WEBHOOK_PROXY: "),
        (&[("WECHAT_KEY", "a&b")], "WECHAT_KEY is \"(not shown)\"; valid is letters"),
    ] {
        let said = problems(&[], variables);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(expected), "{said:?}");
    }
}

/// Good or bad: neither in what is wrong, nor in what is given, nor in what is printed.
#[test]
fn no_secret_of_a_webhook_is_shown() {
    for (name, values) in [
        ("WEBHOOK_URL", [URL, "hooks.example/hush", "ftp://u:hush@hooks.example/"]),
        ("SLACK_URL", [URL, "https:///hush", "https://hooks.example/ hush"]),
        ("WEBHOOK_HEADERS", [r#"{"X-Key":"hush"}"#, "hush", r#"{"X-Key":["hush"]}"#]),
        ("WEBHOOK_TEMPLATE", [r#"{"key":"hush"}"#, "{\"hush", "hush {{ .Nothing }}"]),
        ("WEBHOOK_PROXY", ["http://u:hush@proxy:3128", "u:hush@proxy", "https://u:hush@proxy"]),
        ("WEBHOOK_ROUTING_KEY", ["hush", "hush-hush", KEY]),
        ("WECHAT_KEY", ["hush", "hush&hush", "hush?"]),
    ] {
        for value in values {
            let shown = match settled(&[], &[(name, value)]) {
                Ok(settings) => format!("{:?} {settings:?}", settings.given),
                Err(bad) => format!("{bad} {bad:?}"),
            };
            assert!(!shown.contains("hush") && !shown.contains(KEY), "{name}={value}: {shown}");
        }
    }
}
