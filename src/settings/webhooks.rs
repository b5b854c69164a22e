//! Settings: where messages go.

use std::path::PathBuf;

use crate::settings::Problem;
use crate::settings::sources::Sources;
use crate::settings::table::{self, Setting};
use crate::settings::value::ReadyForm;
use crate::webhook::destination::{Destination, Held, Roots, Wanted};
use crate::webhook::form::{Form, RoutingKey};
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{Named, Proxies, ProxyUrl};
use crate::webhook::template::{DEFAULT_TEMPLATE, Template};
use crate::webhook::url::WebhookUrl;

/// Reads these settings: the operator's own webhook first, then those of the programs before this one.
/// What cannot be used of them is noted, and messages are sent without it where that gives nothing away.
pub(super) fn webhooks(sources: &mut Sources<'_>) -> Vec<Destination> {
    let way = way(sources);
    let own = own(sources, &way);
    let former = former(sources, &way);
    // Whoever names a proxy may mean that nothing leaves the node past it.
    if sources.is_bad(&table::WEBHOOK_PROXY.row) {
        return Vec::new();
    }
    // Whoever names a CA means that no other is believed.
    let own = own.filter(|_| !sources.is_bad(&table::WEBHOOK_CA_FILE.row));
    let all: Vec<_> = own.into_iter().chain(former).collect();
    if !all.is_empty() {
        way.unused.into_iter().for_each(|why| sources.remark(why));
    }
    all
}

/// How webhooks are reached.
struct Way {
    proxies: Proxies,
    /// Why proxies of the environment are not used, in remarks.
    unused: Vec<String>,
    /// For the operator's own; those of known services have public certificates.
    ca_file: Option<PathBuf>,
}

fn way(sources: &mut Sources<'_>) -> Way {
    let own = sources.value(&table::WEBHOOK_PROXY);
    let (of_environment, unused) = proxies(sources);
    let ca_file = sources.value(&table::WEBHOOK_CA_FILE);
    match own {
        Some(own) => Way { proxies: Proxies::all(own), unused: Vec::new(), ca_file },
        None => Way { proxies: of_environment, unused, ca_file },
    }
}

/// The proxies that the environment names for all programs, and why some cannot be used.
fn proxies(sources: &mut Sources<'_>) -> (Proxies, Vec<String>) {
    let mut unused = Vec::new();
    let mut named = |setting: &Setting<Result<ProxyUrl, &str>>| -> Option<Named> {
        let name = setting.row.variable;
        match sources.value(setting)? {
            // To a web server's child it may have come from whoever asks the server ("httpoxy").
            Ok(_) if name == "HTTP_PROXY" && sources.is_set("REQUEST_METHOD") => {
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
    let https = named(&table::HTTPS_PROXY);
    let http = named(&table::HTTP_PROXY);
    let rest = named(&table::ALL_PROXY);
    let except = sources.value(&table::NO_PROXY).unwrap_or_default();
    (Proxies::by_scheme(https.or_else(|| rest.clone()), http.or(rest), except), unused)
}

fn own(sources: &mut Sources<'_>, way: &Way) -> Option<Destination> {
    let url = sources.value(&table::WEBHOOK_URL);
    let url_file = sources.value(&table::WEBHOOK_URL_FILE);
    let ready = sources.value(&table::WEBHOOK_FORM);
    let template = sources.value(&table::WEBHOOK_TEMPLATE);
    let template_file = sources.value(&table::WEBHOOK_TEMPLATE_FILE);
    let key = sources.value(&table::WEBHOOK_ROUTING_KEY);
    let headers = sources.value(&table::WEBHOOK_HEADERS);
    let headers_file = sources.value(&table::WEBHOOK_HEADERS_FILE);

    for (both, which, instead) in [
        (url.is_some() && url_file.is_some(), "WEBHOOK_URL", "WEBHOOK_URL_FILE"),
        (
            template.is_some() && template_file.is_some(),
            "WEBHOOK_TEMPLATE",
            "WEBHOOK_TEMPLATE_FILE",
        ),
    ] {
        if both {
            sources.remark(format!("{which} is set too, but not used: {instead} comes first."));
        }
    }
    let headers = headers_file.map_or(Held::Here(headers?), Held::InFile);
    let is_own = template.is_some() || template_file.is_some();
    let ready = ready?;
    let Some(url) = url_file.map(Held::InFile).or(url.map(Held::Here)) else {
        let is_named = [&table::WEBHOOK_URL.row, &table::WEBHOOK_URL_FILE.row];
        let is_named = is_named.into_iter().any(|row| sources.is_bad(row));
        if !is_named && (is_own || ready != ReadyForm::Template) {
            sources.remark("The webhook's form has no effect: no WEBHOOK_URL is set.");
        }
        return None;
    };
    let form = match (ready, template_file) {
        (ReadyForm::Template, Some(file)) => Wanted::TemplateIn(file),
        (ReadyForm::Template, None) => {
            let text = template.unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned());
            own_template(sources, text, &headers)
        }
        (ready, _) => Wanted::Form(ready_form(sources, ready, key, is_own)?),
    };
    let roots = way.ca_file.clone().map_or(Roots::Public, Roots::File);
    Some(Destination { url, headers, form, proxies: way.proxies.clone(), roots })
}

/// What the template is written in, the headers say.
fn own_template(sources: &mut Sources<'_>, text: String, headers: &Held<Headers>) -> Wanted {
    let Held::Here(headers) = headers else { return Wanted::Template(text) };
    match Template::parse(&text, headers.language()) {
        Ok(template) => Wanted::Form(Form::Template(template)),
        Err(why) => {
            let given_as = "WEBHOOK_TEMPLATE".to_owned();
            let row = &table::WEBHOOK_TEMPLATE.row;
            sources.wrong(row, Problem::Explained { given_as, why });
            Wanted::Form(Form::Template(Template::usual(headers.language())))
        }
    }
}

fn ready_form(
    sources: &mut Sources<'_>,
    ready: ReadyForm,
    key: Option<RoutingKey>,
    is_own: bool,
) -> Option<Form> {
    if is_own {
        let words =
            "WEBHOOK_FORM asks for a ready form, and a template is set, too; unset one of them";
        sources.done_without(Problem::Contradiction(words.to_owned()), "the ready form is sent");
    }
    let is_missing = key.is_none() && !sources.is_bad(&table::WEBHOOK_ROUTING_KEY.row);
    if ready == ReadyForm::PagerDuty && is_missing {
        sources.missing(&table::WEBHOOK_ROUTING_KEY.row, NO_KEY);
    }
    match ready {
        ReadyForm::Slack => Some(Form::Slack { channel: None }),
        ReadyForm::Teams => Some(Form::Teams),
        ReadyForm::Discord => Some(Form::Discord),
        ReadyForm::GoogleChat => Some(Form::GoogleChat),
        ReadyForm::PagerDuty => key.map(|routing_key| Form::PagerDuty { routing_key }),
        ReadyForm::Template | ReadyForm::Json => Some(Form::Json),
    }
}

const NO_KEY: &str = "WEBHOOK_FORM is pagerduty, and WEBHOOK_ROUTING_KEY is not set; give the integration \
    key of the service (Events API v2), and WEBHOOK_URL=https://events.pagerduty.com/v2/enqueue";

/// What older handlers posted to.
fn former(sources: &mut Sources<'_>, way: &Way) -> Vec<Destination> {
    let slack = sources.value(&table::SLACK_URL);
    let channel = sources.value(&table::SLACK_CHANNEL);
    let hangouts = sources.value(&table::HANGOUTS_URL);
    let wechat = sources.value(&table::WECHAT_URL);
    let key = sources.value(&table::WECHAT_KEY);
    let sematext = sources.value(&table::SEMATEXT_URL);
    let wechat = wechat.and_then(|url| match key {
        Some(key) => url.with_query("key", &key),
        None => Some(url),
    });
    let each: [(Option<WebhookUrl>, Form); 4] = [
        (slack, Form::Slack { channel }),
        (hangouts, Form::GoogleChat),
        (wechat, Form::WeChat),
        (sematext, Form::Sematext),
    ];
    let set = each.into_iter().filter_map(|(url, form)| Some((url?, form)));
    let destination = |(url, form)| Destination {
        url: Held::Here(url),
        headers: Held::Here(Headers::default()),
        form: Wanted::Form(form),
        proxies: way.proxies.clone(),
        roots: Roots::Public,
    };
    set.map(destination).collect()
}
