//! The table of settings. A setting is one row of it and one field of [`Values`]. The row has its flag and
//! variable, its help, and how a value is parsed and printed; `--help` and docs/settings.md are made from it.

mod drain;
mod report;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::kube::identity::Choice;
use crate::kube::request::Annotations;
use crate::kube::server::ServerUrl;
use crate::level::Level;
use crate::node::{RebalanceMark, TaintEffect};
use crate::notice::Code;
use crate::settings::Output;
use crate::settings::value::{
    FormName, GraceLimit, Invalid, LivePath, NOT_SHOWN, path, proxy, shown, shown_url,
};
use crate::source::url::{MetadataUrl, NoticeUrl};
use crate::webhook::form::RoutingKey;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{NoProxy, ProxyUrl};
use crate::webhook::url::WebhookUrl;

/// Every setting, in the order of the help.
pub(super) const GROUPS: [&Group; 11] = [
    &drain::WHO,
    &drain::CLOUD,
    &drain::NOTICES,
    &drain::MARKS,
    &drain::DRAIN,
    &drain::API_SERVER,
    &report::LOG,
    &report::EVENTS,
    &report::WEBHOOKS,
    &report::PAGES,
    &drain::COMMANDS,
];

/// Every setting, without the headings.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.into_iter().flat_map(|group| group.rows)
}

/// The setting with this variable.
pub(super) fn row(variable: &str) -> Option<&'static Row> {
    rows().find(|row| row.variable == variable)
}

/// The values. `None`: unset, or not valid.
#[derive(Default)]
pub(super) struct Values {
    // Who it is.
    pub(super) node_name: Option<String>,
    pub(super) pod_name: Option<String>,
    pub(super) namespace: Option<String>,
    // Where notices come from.
    pub(super) metadata_url: Option<MetadataUrl>,
    pub(super) notice_url: Option<NoticeUrl>,
    pub(super) poll_interval: Option<Duration>,
    pub(super) imds_v1_fallback: Option<bool>,
    // What is done about which notice.
    pub(super) enable_spot_interruption_draining: Option<bool>,
    pub(super) enable_scheduled_event_draining: Option<bool>,
    pub(super) enable_rebalance_monitoring: Option<bool>,
    pub(super) enable_rebalance_draining: Option<bool>,
    pub(super) enable_asg_lifecycle_draining: Option<bool>,
    pub(super) cordon_only: Option<bool>,
    pub(super) dry_run: Option<bool>,
    pub(super) node_termination_grace_period: Option<Duration>,
    pub(super) maintenance_lead_times: Option<BTreeMap<Code, Duration>>,
    pub(super) rebalance_patience: Option<Duration>,
    pub(super) asg_lifecycle_window: Option<Duration>,
    // Marks on the node.
    pub(super) taint_node: Option<bool>,
    pub(super) taint_effect: Option<TaintEffect>,
    pub(super) exclude_from_load_balancers: Option<bool>,
    pub(super) load_balancer_hold: Option<Duration>,
    pub(super) rebalance_mark: Option<RebalanceMark>,
    pub(super) rebalance_mark_duration: Option<Duration>,
    // The drain.
    pub(super) ignore_daemon_sets: Option<bool>,
    pub(super) delete_local_data: Option<bool>,
    pub(super) drain_unmanaged: Option<bool>,
    pub(super) pod_termination_grace_period: Option<GraceLimit>,
    pub(super) budget_override: Option<BudgetOverride>,
    pub(super) safety_margin: Option<Duration>,
    pub(super) node_shutdown_grace_period: Option<Duration>,
    pub(super) shutdown_grace_period: Option<Duration>,
    // The API server.
    pub(super) kubernetes_service_host: Option<String>,
    pub(super) kubernetes_service_port: Option<u16>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) identity: Option<Choice>,
    pub(super) server: Option<ServerUrl>,
    pub(super) kubeconfig: Option<PathBuf>,
    // By hand.
    pub(super) deadline: Option<Duration>,
    pub(super) output: Option<Output>,
    // The log.
    pub(super) log_level: Option<Level>,
    pub(super) verbose: Option<bool>,
    pub(super) json_logging: Option<bool>,
    // Kubernetes Events.
    pub(super) emit_kubernetes_events: Option<bool>,
    pub(super) kubernetes_events_extra_annotations: Option<Annotations>,
    // Webhooks.
    pub(super) webhook_url: Option<WebhookUrl>,
    pub(super) webhook_url_file: Option<PathBuf>,
    pub(super) webhook_form: Option<FormName>,
    pub(super) webhook_template: Option<String>,
    pub(super) webhook_template_file: Option<PathBuf>,
    pub(super) webhook_routing_key: Option<RoutingKey>,
    pub(super) webhook_headers: Option<Headers>,
    pub(super) webhook_headers_file: Option<PathBuf>,
    pub(super) webhook_proxy: Option<ProxyUrl>,
    pub(super) https_proxy: Option<Result<ProxyUrl, &'static str>>,
    pub(super) http_proxy: Option<Result<ProxyUrl, &'static str>>,
    pub(super) all_proxy: Option<Result<ProxyUrl, &'static str>>,
    pub(super) no_proxy: Option<NoProxy>,
    pub(super) webhook_ca_file: Option<PathBuf>,
    pub(super) cluster: Option<String>,
    pub(super) slack_url: Option<WebhookUrl>,
    pub(super) slack_channel: Option<String>,
    pub(super) hangouts_url: Option<WebhookUrl>,
    pub(super) wechat_url: Option<WebhookUrl>,
    pub(super) wechat_key: Option<String>,
    pub(super) sematext_url: Option<WebhookUrl>,
    pub(super) az_url: Option<NoticeUrl>,
    pub(super) instance_id_url: Option<NoticeUrl>,
    pub(super) instance_type_url: Option<NoticeUrl>,
    // Metrics and probes.
    pub(super) enable_prometheus_server: Option<bool>,
    pub(super) prometheus_server_port: Option<u16>,
    pub(super) enable_probes_server: Option<bool>,
    pub(super) probes_server_port: Option<u16>,
    pub(super) probes_server_endpoint: Option<LivePath>,
    pub(super) listen_address: Option<IpAddr>,
}

/// Stores a value; `None` is not valid.
fn store<T>(field: &mut Option<T>, value: Option<T>) -> Result<(), Invalid> {
    try_store(field, value.ok_or(Invalid::Value))
}

/// Stores a value, or returns why it is not valid.
fn try_store<T, E: Into<Invalid>>(
    field: &mut Option<T>,
    value: Result<T, E>,
) -> Result<(), Invalid> {
    *field = None;
    *field = Some(value.map_err(Into::into)?);
    Ok(())
}

/// Settings on one topic.
#[derive(Debug)]
pub(super) struct Group {
    /// Its heading.
    pub(super) title: &'static str,
    /// Its settings, in the order of the help.
    pub(super) rows: &'static [Row],
}

/// A setting.
#[derive(Debug)]
pub(super) struct Row {
    /// The flag, without dashes.
    pub(super) flag: &'static str,
    /// Other names of the flag, in aws-node-termination-handler.
    pub(super) flag_aliases: &'static [&'static str],
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Other names of the variable, in the order of precedence.
    pub(super) aliases: &'static [&'static str],
    /// Other programs use a variable of that name, too: it is not read from an operator's shell.
    pub(super) is_everyday: bool,
    /// The placeholder for the value in the help. `None` for a switch: `--dry-run` alone means true.
    pub(super) placeholder: Option<&'static str>,
    /// The value if it is unset.
    pub(super) default: DefaultValue,
    /// What is valid, in words.
    pub(super) valid: &'static str,
    /// The help.
    pub(super) help: &'static str,
    /// What of a value must not be printed.
    pub(super) secret: Secret,
    /// What depends on it, and so what a value that is not valid causes.
    pub(super) stakes: Stakes,
    /// Parses a value and stores it in its field.
    pub(super) read: fn(&mut Values, &str) -> Result<(), Invalid>,
}

/// What depends on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stakes {
    /// Pods: which node, which pods, when, with what grace period, the marks, how the metadata service and the
    /// API server are reached. A value that is not valid ends the program before it does anything.
    Pods,
    /// A command of an operator: a value that is not valid ends that; `run` does not use it.
    ByHand,
    /// Reports only. The handler runs without it, and logs what applies instead: this clause.
    /// Empty: the default.
    Reports(&'static str),
}

/// What of a value must not be printed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Secret {
    /// Nothing.
    Nothing,
    /// Query and user of a URL.
    Query,
    /// Path and query of a webhook's URL.
    Path,
    /// A proxy's URL except host and port.
    User,
    /// Anything that is no path: it may be the content of the file.
    NoPath,
    /// The whole value.
    Whole,
}

impl Row {
    const fn named(self, flag: &'static str, variable: &'static str) -> Self {
        Self { flag, variable, ..self }
    }

    const fn or_flags(self, flag_aliases: &'static [&'static str]) -> Self {
        Self { flag_aliases, ..self }
    }

    const fn or_variables(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn everyday(self) -> Self {
        Self { is_everyday: true, ..self }
    }

    const fn takes(self, placeholder: &'static str, valid: &'static str) -> Self {
        Self { placeholder: Some(placeholder), valid, ..self }
    }

    const fn valid(self, valid: &'static str) -> Self {
        Self { valid, ..self }
    }

    const fn default(self, value: &'static str) -> Self {
        Self { default: DefaultValue::Is(value), ..self }
    }

    const fn unset(self, words: &'static str) -> Self {
        Self { default: DefaultValue::Unset(words), ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    const fn secret(self, secret: Secret) -> Self {
        Self { secret, ..self }
    }

    const fn instead(self, clause: &'static str) -> Self {
        Self { stakes: Stakes::Reports(clause), ..self }
    }

    const fn read(self, read: fn(&mut Values, &str) -> Result<(), Invalid>) -> Self {
        Self { read, ..self }
    }

    /// All names of the flag.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.flag).chain(self.flag_aliases.iter().copied())
    }

    /// A value, valid or not, as it may be printed.
    pub(super) fn shown(&self, value: &OsStr) -> String {
        let text = value.to_string_lossy();
        let known = match self.secret {
            Secret::Nothing => Some(shown(value)),
            Secret::Query => Some(shown_url(value)),
            Secret::Path => WebhookUrl::parse(&text).ok().map(|url| url.to_string()),
            Secret::User => proxy(&text).ok().map(|proxy| proxy.to_string()),
            Secret::NoPath => path(&text).map(|_| shown(value)),
            // A default is no secret.
            Secret::Whole => match self.default {
                DefaultValue::Is(default) if default == text => Some(default.to_owned()),
                _ => None,
            },
        };
        known.unwrap_or_else(|| NOT_SHOWN.to_owned())
    }
}

/// The value of a setting that is unset.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// This one.
    Is(&'static str),
    /// None; what happens then, in words.
    Unset(&'static str),
}

// What most settings have in common; a test holds that each row has the rest. A row begins with one of
// these three, which decides what a value that is not valid causes.

/// A setting that decides about pods.
const DECIDES: Row = Row {
    flag: "",
    flag_aliases: &[],
    variable: "",
    aliases: &[],
    is_everyday: false,
    placeholder: None,
    default: DefaultValue::Is("false"),
    valid: "true or false (also 1, 0, t, f)",
    help: "",
    secret: Secret::Nothing,
    stakes: Stakes::Pods,
    read: |_, _| Err(Invalid::Value),
};

/// A setting of an operator's commands.
const BY_HAND: Row = Row { stakes: Stakes::ByHand, ..DECIDES };

/// A setting that decides about reports.
const REPORTS: Row = Row { stakes: Stakes::Reports(""), ..DECIDES };

/// A file. The API server's end the program if they are not valid, others do not.
const A_FILE: Row = Row {
    placeholder: Some("FILE"),
    default: DefaultValue::Unset("none"),
    valid: "the path of a file, which begins with /, ./ or ../",
    secret: Secret::NoPath,
    ..DECIDES
};

const A_PORT: &str = "a whole number from 1 to 65535";
