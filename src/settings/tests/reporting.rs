//! Who is told.

use std::net::SocketAddr;

use super::*;
use crate::settings::LivePath;
use crate::webhook::destination::{Content, Destination, ValueOrFile};
use crate::webhook::form::Form;
use crate::webhook::proxy::{NoProxy, Proxies, ProxyUrl};
use crate::webhook::template::{Language, Template};

const URL: &str = "https://hooks.example/services/hush";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn webhooks(variables: &[(&str, &str)]) -> Vec<Destination> {
    good(&[], variables).reporting.webhooks
}

fn forms(variables: &[(&str, &str)]) -> Vec<Form> {
    let forms = webhooks(variables).into_iter().map(|webhook| match webhook.form {
        Content::Form(form) => form,
        other => panic!("no form yet: {other:?}"),
    });
    forms.collect()
}

#[test]
fn the_log_says_what_matters_enough() {
    let least = |variables: &[(&str, &str)]| good(&[], variables).reporting.least;
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
    assert_eq!(usual.probes.map(|(address, _)| address), at("[::]:8080"));
    let reporting =
        good(&["--listen-address=127.0.0.1", "--probes-server-port=9092"], &on).reporting;
    assert_eq!(reporting.metrics, reporting.probes.map(|(address, _)| address));
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
    assert_eq!(webhook.url, ValueOrFile::File("/run/url".into()));
    assert_eq!(webhook.headers, ValueOrFile::File("/run/headers".into()));
    assert_eq!(webhook.form, Content::TemplateFile("/run/template".into()));
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
    let usual = || Form::Template(Template::usual(Language::Json));
    let slack = || Form::Slack { channel: None };
    for (variables, expected, instead, forms_left) in [
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_FORM", "pagerduty")][..],
            "WEBHOOK_FORM is pagerduty, and WEBHOOK_ROUTING_KEY is not set; ",
            "no alert goes to PagerDuty",
            vec![],
        ),
        (
            &[
                ("WEBHOOK_URL", URL),
                ("WEBHOOK_FORM", "pagerduty"),
                ("WEBHOOK_ROUTING_KEY", "0123"),
                ("SLACK_URL", URL),
            ],
            "WEBHOOK_ROUTING_KEY is \"(not shown)\"; valid is 32 letters",
            "no alert goes to PagerDuty",
            vec![slack()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_FORM", "slack"), ("WEBHOOK_TEMPLATE", "{}")],
            "WEBHOOK_FORM asks for a ready form, and a template is set, too; ",
            "the ready form is sent",
            vec![slack()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_TEMPLATE", "{\"a\":\n\"{{ range .Pods }}\"}")],
            "WEBHOOK_TEMPLATE: line 2, column 2: ",
            "the default message is sent",
            vec![usual()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_TEMPLATE", "{\"a\":\"\n\"}")],
            "WEBHOOK_TEMPLATE: line 1, column 7: ",
            "the default message is sent",
            vec![usual()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_TEMPLATE", "{\"a\":\"{{ .Kind | upper }}\"}")],
            "WEBHOOK_TEMPLATE: line 1, column 7: ",
            "the default message is sent",
            vec![usual()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_FORM", "telegram")],
            "WEBHOOK_FORM is \"telegram\"; valid is template, ",
            "its default, template, is in force",
            vec![usual()],
        ),
        (
            &[("WEBHOOK_URL", URL), ("WEBHOOK_HEADERS", "Authorization: hush")],
            "WEBHOOK_HEADERS: ",
            "is in force",
            vec![usual()],
        ),
        (
            &[("WEBHOOK_URL", "hooks.example"), ("WEBHOOK_FORM", "json"), ("SLACK_URL", URL)],
            "WEBHOOK_URL: ",
            "it counts as unset",
            vec![slack()],
        ),
        (
            &[("SLACK_URL", URL), ("WEBHOOK_PROXY", "https://proxy.example:3128")],
            "WEBHOOK_PROXY: ",
            "no message is sent: none goes past a proxy",
            vec![],
        ),
        (
            &[("WEBHOOK_URL", URL), ("SLACK_URL", URL), ("WEBHOOK_CA_FILE", "ca.crt")],
            "WEBHOOK_CA_FILE is \"(not shown)\"; ",
            "no other CA is believed in its place",
            vec![slack()],
        ),
        (
            &[("WECHAT_URL", URL), ("WECHAT_KEY", "a&b")],
            "WECHAT_KEY is \"(not shown)\"; valid is letters",
            "it counts as unset",
            vec![Form::WeChat],
        ),
    ] {
        let said = done_without(&[], variables);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(expected) && said[0].ends_with(instead), "{said:?}");
        assert_eq!(forms(variables), forms_left, "{said:?}");
        assert_eq!(remarks(&[], variables), [""; 0]);
    }
}

/// The proxies of the first webhook.
fn proxies(arguments: &[&str], variables: &[(&str, &str)]) -> Proxies {
    let variables = [&[("WEBHOOK_URL", URL)], variables].concat();
    good(arguments, &variables).reporting.webhooks[0].proxies.clone()
}

#[test]
fn proxies_are_those_of_the_environment_unless_there_is_one_for_webhooks() {
    let proxy = |text: &str| Some(Ok(ProxyUrl::parse(text).unwrap()));
    let (a, b, c) = ("http://u:p@a.example:1", "http://b.example:2", "http://c.example:3");
    let except = |text: &str| NoProxy::parse(text);
    for (variables, expected) in [
        (&[][..], Proxies::by_scheme(None, None, except(""))),
        (&[("HTTPS_PROXY", a)], Proxies::by_scheme(proxy(a), None, except(""))),
        (&[("https_proxy", a)], Proxies::by_scheme(proxy(a), None, except(""))),
        (&[("HTTP_PROXY", a)], Proxies::by_scheme(None, proxy(a), except(""))),
        (&[("http_proxy", a)], Proxies::by_scheme(None, proxy(a), except(""))),
        (&[("ALL_PROXY", a)], Proxies::by_scheme(proxy(a), proxy(a), except(""))),
        (&[("all_proxy", a)], Proxies::by_scheme(proxy(a), proxy(a), except(""))),
        (
            &[("ALL_PROXY", a), ("HTTPS_PROXY", b), ("HTTP_PROXY", c)],
            Proxies::by_scheme(proxy(b), proxy(c), except("")),
        ),
        (
            &[("HTTPS_PROXY", a), ("NO_PROXY", "a.example, 10.0.0.0/8")],
            Proxies::by_scheme(proxy(a), None, except("a.example,10.0.0.0/8")),
        ),
        (&[("HTTPS_PROXY", a), ("no_proxy", "*")], Proxies::by_scheme(proxy(a), None, except("*"))),
        // Without a scheme, as curl and Go take it.
        (&[("HTTPS_PROXY", "b.example:2\n")], Proxies::by_scheme(proxy(b), None, except(""))),
        (
            &[("WEBHOOK_PROXY", c), ("HTTPS_PROXY", a), ("HTTP_PROXY", b), ("NO_PROXY", "*")],
            Proxies::all(ProxyUrl::parse(c).unwrap()),
        ),
        // As the help of aws-node-termination-handler advises.
        (&[("WEBHOOK_PROXY", "tcp://c.example:3")], Proxies::all(ProxyUrl::parse(c).unwrap())),
    ] {
        assert_eq!(proxies(&[], variables), expected, "{variables:?}");
    }
    let by_flags = ["--https-proxy=http://b.example:2", "-no-proxy", "x.example"];
    let expected = Proxies::by_scheme(proxy(b), None, except("x.example"));
    assert_eq!(proxies(&by_flags, &[("HTTPS_PROXY", a)]), expected);
}

#[test]
fn of_two_spellings_that_differ_the_one_in_capitals_counts_and_that_is_said() {
    let (a, b) = ("http://a.example:1", "http://b.example:2");
    let variables = [("HTTPS_PROXY", a), ("https_proxy", b)];
    let expected =
        Proxies::by_scheme(Some(Ok(ProxyUrl::parse(a).unwrap())), None, NoProxy::default());
    assert_eq!(proxies(&[], &variables), expected);
    assert_eq!(
        remarks(&[], &variables),
        ["https_proxy is set too, but not used: HTTPS_PROXY comes first."]
    );
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_stops_nothing_and_is_said() {
    for (name, bad, why) in [
        ("HTTPS_PROXY", "https://u:hush@proxy.example:3128", "a proxy is spoken to over http://"),
        ("ALL_PROXY", "socks5://u:hush@proxy.example:1080", "it must be http://"),
        ("http_proxy", "http://proxy..example:hush", "its "),
    ] {
        let shown = format!("{:?}", proxies(&[], &[(name, bad)]));
        assert!(shown.contains("cannot be used: ") && !shown.contains("hush"), "{shown}");
        let said = remarks(&[], &[("SLACK_URL", URL), (name, bad)]);
        let name = name.to_uppercase();
        let beginning = format!("{name} cannot be used, so no webhook is reached for which it is");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(&beginning) && said[0].contains(why) && !said[0].contains("hush"),
            "{said:?}"
        );
        // Where nothing is posted it is nobody's business.
        assert_eq!(remarks(&[], &[(&name, bad)]), [""; 0]);
        let own = [("WEBHOOK_URL", URL), ("WEBHOOK_PROXY", "http://p:1"), (&*name, bad)];
        assert_eq!(remarks(&[], &own), [""; 0]);
    }
}

#[test]
fn under_a_web_server_its_clients_do_not_choose_the_proxy() {
    let proxy = "http://a.example:1";
    let cgi = ("REQUEST_METHOD", "GET");
    let direct = Proxies::by_scheme(None, None, NoProxy::default());
    assert_eq!(proxies(&[], &[("HTTP_PROXY", proxy), cgi]), direct);
    let said = remarks(&[], &[("SLACK_URL", URL), ("HTTP_PROXY", proxy), cgi]);
    assert_eq!(said, ["HTTP_PROXY is not used: REQUEST_METHOD is set, as by a web server."]);
}

/// A kubelet that asks for probes in vain starts the handler anew for ever.
#[test]
fn probes_are_served_whatever_is_wrong_with_their_settings() {
    let on = ("ENABLE_PROBES_SERVER", "true");
    for (variables, at, path) in [
        (&[("ENABLE_PROBES_SERVER", "yes")][..], "[::]:8080", LivePath::default()),
        (&[on, ("PROBES_SERVER_PORT", "65536")], "[::]:8080", LivePath::default()),
        (&[on, ("PROBES_SERVER_ENDPOINT", "healthz")], "[::]:8080", LivePath::anywhere()),
        (&[on, ("LISTEN_ADDRESS", "localhost")], "[::]:8080", LivePath::default()),
    ] {
        let (address, liveness) = good(&[], variables).reporting.probes.unwrap();
        assert_eq!((address.to_string().as_str(), liveness), (at, path));
        assert_eq!(done_without(&[], variables).len(), 1);
    }
    // Whoever was to be kept out is.
    let metrics = [("ENABLE_PROMETHEUS_SERVER", "true"), ("LISTEN_ADDRESS", "localhost")];
    assert_eq!(good(&[], &metrics).reporting.metrics, None);
    assert_eq!(good(&[], &[("ENABLE_PROMETHEUS_SERVER", "yes")]).reporting.metrics, None);
}

#[test]
fn without_a_url_a_template_is_worth_a_word_and_no_more() {
    let asked = [("WEBHOOK_URL", ""), ("WEBHOOK_TEMPLATE", "{{ range .Pods }}{{ . }}{{ end }}")];
    assert_eq!(webhooks(&asked), []);
    let said = "The webhook's form has no effect: no WEBHOOK_URL is set.";
    assert_eq!(remarks(&[], &asked), [said]);
}

#[test]
fn a_template_is_written_in_what_the_headers_say() {
    let plain = r#"{"Content-Type":"text/plain"}"#;
    let of = |more: &[(&str, &str)]| {
        let mut all = vec![("WEBHOOK_URL", URL), ("WEBHOOK_TEMPLATE", "node {{ .NodeName }}")];
        all.extend(more);
        settled(&[], &all).map(|settings| settings.reporting.webhooks[0].form.clone())
    };
    let usual = |language| Content::Form(Form::Template(Template::usual(language)));
    let good = of(&[("WEBHOOK_HEADERS", plain)]).unwrap();
    assert!(matches!(good, Content::Form(Form::Template(_))) && good != usual(Language::Plain));
    for json in [&[][..], &[("WEBHOOK_HEADERS", r#"{"X-Key":"1"}"#)]] {
        assert_eq!(of(json).unwrap(), usual(Language::Json), "{json:?}");
    }
    // Nobody knows yet.
    let later = of(&[("WEBHOOK_HEADERS_FILE", "/run/headers")]);
    assert!(matches!(later, Ok(Content::Template(_))), "{later:?}");
}

/// Good or bad: neither in what is wrong, nor in what is given, nor in what is printed.
#[test]
fn no_secret_of_a_webhook_is_shown() {
    for (name, values) in [
        ("WEBHOOK_URL", [URL, "hooks.example/hush", "ftp://u:hush@hooks.example/"]),
        ("SLACK_URL", [URL, "https:///hush", "https://hooks.example/ hush"]),
        ("WEBHOOK_HEADERS", [r#"{"X-Key":"hush"}"#, r#"{"Bearer hush":"X"}"#, r#"{"X":["hush"]}"#]),
        ("WEBHOOK_TEMPLATE", ["{\"hush", "hush {{ .Nothing }}", "{{ .Kind } hush {{ .X }}"]),
        ("WEBHOOK_PROXY", ["http://u:hush@proxy:3128", "u:hush@proxy", "https://u:hush@proxy"]),
        ("WEBHOOK_ROUTING_KEY", ["hush", "hush-hush", KEY]),
        ("WECHAT_KEY", ["hush", "hush&hush", "hush?"]),
        ("WEBHOOK_URL_FILE", ["https://a/hush", "http://hush/", "https://a.example/b/hush"]),
        ("WEBHOOK_CA_FILE", ["https://a/hush", "http://hush/", "https://a.example/b/hush"]),
        ("WEBHOOK_FORM", ["https://a/hush", "http://hush/", "https://a.example/b/hush"]),
        ("SLACK_CHANNEL", ["https://a/hush", "http://hush/", "https://a.example/b/hush"]),
    ] {
        for value in values {
            let mut asked = vec![(name, value)];
            if name == "WEBHOOK_TEMPLATE" {
                asked.push(("WEBHOOK_URL", "https://hooks.example/"));
            }
            let shown = match settled(&[], &asked) {
                // The channel itself is part of the form, which nothing prints.
                Ok(settings) if name == "SLACK_CHANNEL" => {
                    format!("{:?} {:?}", settings.given, settings.unusable)
                }
                Ok(settings) => format!("{:?} {settings:?}", settings.given),
                Err(bad) => format!("{bad} {bad:?}"),
            };
            assert!(!shown.contains("hush") && !shown.contains(KEY), "{name}={value}: {shown}");
        }
    }
}
