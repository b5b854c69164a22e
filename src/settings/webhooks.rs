//! Webhooks, from the table's values.

use crate::settings::lookup::Lookup;
use crate::settings::table::Values;
use crate::settings::value::FormName;
use crate::webhook::destination::{Content, Destination, ValueOrFile, WebhookRoots};
use crate::webhook::form::Form;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{Named, Proxies, ProxyUrl};
use crate::webhook::template::{DEFAULT_TEMPLATE, Template};

/// The operator's own webhook, then those of older handlers. What cannot be used is recorded, and messages
/// are sent without it unless that could disclose anything.
pub(super) fn webhooks(lookup: &mut Lookup<'_>, values: &Values) -> Vec<Destination> {
    let (proxies, unused) = proxies(lookup, values);
    let own = own(lookup, values, &proxies);
    // Traffic may have to go through the proxy: without a valid one, nothing is sent.
    if lookup.is_bad("WEBHOOK_PROXY") {
        return Vec::new();
    }
    // A CA file means that no other CA is trusted.
    let own = own.filter(|_| !lookup.is_bad("WEBHOOK_CA_FILE"));
    let all: Vec<_> = own.into_iter().chain(former(values, &proxies)).collect();
    if !all.is_empty() {
        for why in unused {
            lookup.remark(why);
        }
    }
    all
}

/// The proxy for webhooks, else those of the environment for all programs, and why some of these cannot
/// be used.
fn proxies(lookup: &Lookup<'_>, values: &Values) -> (Proxies, Vec<String>) {
    if let Some(proxy) = &values.webhook_proxy {
        return (Proxies::all(proxy.clone()), Vec::new());
    }
    let mut unused = Vec::new();
    let mut named = |name: &str, value: &Option<Result<ProxyUrl, &str>>| -> Option<Named> {
        match value.clone()? {
            // In a CGI process it is a client's header ("httpoxy").
            Ok(_) if name == "HTTP_PROXY" && lookup.set("REQUEST_METHOD").is_some() => {
                unused.push(format!(
                    "{name} is not used: REQUEST_METHOD is set, as by a web server."
                ));
                None
            }
            Ok(proxy) => Some(Ok(proxy)),
            Err(why) => {
                unused.push(format!(
                    "{name} cannot be used, so no webhook is reached for which it is the proxy: {why}. \
                     WEBHOOK_PROXY comes before it; for the hosts in NO_PROXY it does not count."
                ));
                Some(Err(format!("{name} cannot be used: {why}")))
            }
        }
    };
    let https = named("HTTPS_PROXY", &values.https_proxy);
    let http = named("HTTP_PROXY", &values.http_proxy);
    let rest = named("ALL_PROXY", &values.all_proxy);
    let except = values.no_proxy.clone().unwrap_or_default();
    (Proxies::by_scheme(https.or_else(|| rest.clone()), http.or(rest), except), unused)
}

fn own(lookup: &mut Lookup<'_>, values: &Values, proxies: &Proxies) -> Option<Destination> {
    let Values { webhook_url: url, webhook_url_file: url_file, .. } = values;
    let Values { webhook_template: template, webhook_template_file: template_file, .. } = values;
    for (both, which, instead) in [
        (url.is_some() && url_file.is_some(), "WEBHOOK_URL", "WEBHOOK_URL_FILE"),
        (
            template.is_some() && template_file.is_some(),
            "WEBHOOK_TEMPLATE",
            "WEBHOOK_TEMPLATE_FILE",
        ),
    ] {
        if both {
            lookup.remark(format!("{which} is set too, but not used: {instead} comes first."));
        }
    }
    let headers = match &values.webhook_headers_file {
        Some(file) => ValueOrFile::File(file.clone()),
        None => ValueOrFile::Value(values.webhook_headers.clone()?),
    };
    let has_template = template.is_some() || template_file.is_some();
    let form = values.webhook_form?;
    let url =
        url_file.clone().map(ValueOrFile::File).or_else(|| url.clone().map(ValueOrFile::Value));
    let Some(url) = url else {
        let is_named = lookup.is_bad("WEBHOOK_URL") || lookup.is_bad("WEBHOOK_URL_FILE");
        if !is_named && (has_template || form != FormName::Template) {
            lookup.remark("The webhook's form has no effect: no WEBHOOK_URL is set.");
        }
        return None;
    };
    let form = match (form, template_file) {
        (FormName::Template, Some(file)) => Content::TemplateFile(file.clone()),
        (FormName::Template, None) => own_template(lookup, template.as_deref(), &headers),
        (form, _) => Content::Form(ready_form(lookup, values, form, has_template)?),
    };
    // The other webhooks are services with public certificates.
    let roots = values.webhook_ca_file.clone().map_or(WebhookRoots::Public, WebhookRoots::File);
    Some(Destination { url, headers, form, proxies: proxies.clone(), roots })
}

/// The template, escaped for the content type in the headers.
fn own_template(
    lookup: &mut Lookup<'_>,
    text: Option<&str>,
    headers: &ValueOrFile<Headers>,
) -> Content {
    let text = text.unwrap_or(DEFAULT_TEMPLATE);
    let ValueOrFile::Value(headers) = headers else { return Content::Template(text.to_owned()) };
    let template = Template::parse(text, headers.language()).unwrap_or_else(|why| {
        lookup.wrong_in("WEBHOOK_TEMPLATE", format!("WEBHOOK_TEMPLATE: {why}"));
        Template::usual(headers.language())
    });
    Content::Form(Form::Template(template))
}

fn ready_form(
    lookup: &mut Lookup<'_>,
    values: &Values,
    form: FormName,
    has_template: bool,
) -> Option<Form> {
    if has_template {
        let words =
            "WEBHOOK_FORM asks for a ready form, and a template is set, too; unset one of them";
        lookup.done_without(words, "the ready form is sent");
    }
    let key = values.webhook_routing_key.clone();
    let is_missing = key.is_none() && !lookup.is_bad("WEBHOOK_ROUTING_KEY");
    if form == FormName::PagerDuty && is_missing {
        lookup.missing("WEBHOOK_ROUTING_KEY", NO_KEY);
    }
    match form {
        FormName::Slack => Some(Form::Slack { channel: None }),
        FormName::Teams => Some(Form::Teams),
        FormName::Discord => Some(Form::Discord),
        FormName::GoogleChat => Some(Form::GoogleChat),
        FormName::PagerDuty => key.map(|routing_key| Form::PagerDuty { routing_key }),
        FormName::Template | FormName::Json => Some(Form::Json),
    }
}

const NO_KEY: &str = "WEBHOOK_FORM is pagerduty, and WEBHOOK_ROUTING_KEY is not set; give the integration \
    key of the service (Events API v2), and WEBHOOK_URL=https://events.pagerduty.com/v2/enqueue";

/// The webhooks of older handlers.
fn former(values: &Values, proxies: &Proxies) -> impl Iterator<Item = Destination> {
    let wechat = values.wechat_url.clone().and_then(|url| match &values.wechat_key {
        Some(key) => url.with_query("key", key),
        None => Some(url),
    });
    let each = [
        (values.slack_url.clone(), Form::Slack { channel: values.slack_channel.clone() }),
        (values.hangouts_url.clone(), Form::GoogleChat),
        (wechat, Form::WeChat),
        (values.sematext_url.clone(), Form::Sematext),
    ];
    each.into_iter().filter_map(|(url, form)| {
        Some(Destination {
            url: ValueOrFile::Value(url?),
            headers: ValueOrFile::Value(Headers::default()),
            form: Content::Form(form),
            proxies: proxies.clone(),
            roots: WebhookRoots::Public,
        })
    })
}
