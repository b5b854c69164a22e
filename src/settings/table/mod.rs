//! The one table of settings. A setting is one row of it, and one field of [`Values`]: of the row come its flag
//! and variable, its help, its entry in the documentation, and how a value is read and shown.

mod drain;
mod report;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::kube::event::Annotations;
use crate::kube::identity::Choice;
use crate::kube::server_url::ServerUrl;
use crate::node::{RebalanceMark, TaintEffect};
use crate::notice::Code;
use crate::remark::Level;
use crate::settings::Output;
use crate::settings::value::{
    FormName, GraceLimit, Invalid, LivePath, NOT_SHOWN, path, proxy, shown, shown_url,
};
use crate::source::url::{MetadataUrl, NoticeUrl};
use crate::webhook::form::RoutingKey;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{NoProxy, ProxyUrl};
use crate::webhook::url::WebhookUrl;

/// Every setting, in the order in which they are shown.
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

/// The setting of this variable.
pub(super) fn row(variable: &str) -> Option<&'static Row> {
    rows().find(|row| row.variable == variable)
}

/// What was read. `None`: it is unset, or not valid.
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

/// Puts a value where it belongs, if there is one.
fn store<T>(field: &mut Option<T>, value: Option<T>) -> Result<(), Invalid> {
    try_store(field, value.ok_or(Invalid::Value))
}

/// The same, of a value of which is said why there is none.
fn try_store<T, E: Into<Invalid>>(
    field: &mut Option<T>,
    value: Result<T, E>,
) -> Result<(), Invalid> {
    *field = None;
    *field = Some(value.map_err(Into::into)?);
    Ok(())
}

/// Settings with one theme.
#[derive(Debug)]
pub(super) struct Group {
    /// Its heading.
    pub(super) title: &'static str,
    /// Its settings, in the order in which they are shown.
    pub(super) rows: &'static [Row],
}

/// What a setting is called, what it is for, and what it is when nobody says.
#[derive(Debug)]
pub(super) struct Row {
    /// The flag, without its dashes.
    pub(super) flag: &'static str,
    /// Other flags that mean the same: those of aws-node-termination-handler.
    pub(super) flag_aliases: &'static [&'static str],
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Other environment variables that mean the same, in the order in which they are tried.
    pub(super) aliases: &'static [&'static str],
    /// Other programs have variables of that name, too: from the shell of whoever gives a command by
    /// hand they are not read.
    pub(super) is_everyday: bool,
    /// What stands for the value in the help text. `None` for a switch: `--dry-run` alone means
    /// true.
    pub(super) placeholder: Option<&'static str>,
    /// The value when none is given.
    pub(super) default: DefaultValue,
    /// What would be a good value.
    pub(super) valid: &'static str,
    /// What it is for: one line.
    pub(super) help: &'static str,
    /// What of a value is not to be shown.
    pub(super) secret: Secret,
    /// What depends on it, and so what a value that is not valid leads to.
    pub(super) stakes: Stakes,
    /// Reads a value, and puts it where it belongs.
    pub(super) read: fn(&mut Values, &str) -> Result<(), Invalid>,
}

/// What depends on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stakes {
    /// Pods: which node, who goes, when, with what grace, the marks, how the metadata service and the
    /// API server are reached. A value that is not valid ends the program before it does anything.
    Pods,
    /// A command that an operator gives: that ends. `run` does not use it, and goes on.
    ByHand,
    /// Reports only. The handler runs without it, and says so; what holds in its place, as a clause.
    /// Empty: its default.
    Reports(&'static str),
}

/// What of a value is not to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Secret {
    /// Nothing, as far as the table knows.
    Nothing,
    /// The query of a URL: it may be what opens the door there. A user, too.
    Query,
    /// The path of a webhook's URL, and its query.
    Path,
    /// All of a proxy's URL but host and port.
    User,
    /// What is no path: the content of the file may have been put in its place.
    NoPath,
    /// All of it.
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

    /// The flag, and then the others that mean the same.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.flag).chain(self.flag_aliases.iter().copied())
    }

    /// A value, good or bad, as it may be shown.
    pub(super) fn shown(&self, value: &OsStr) -> String {
        let text = value.to_string_lossy();
        let known = match self.secret {
            Secret::Nothing => Some(shown(value)),
            Secret::Query => Some(shown_url(value)),
            Secret::Path => WebhookUrl::parse(&text).ok().map(|url| url.to_string()),
            Secret::User => proxy(&text).ok().map(|proxy| proxy.to_string()),
            Secret::NoPath => path(&text).map(|_| shown(value)),
            // What everybody knows is no secret.
            Secret::Whole => match self.default {
                DefaultValue::Is(default) if default == text => Some(default.to_owned()),
                _ => None,
            },
        };
        known.unwrap_or_else(|| NOT_SHOWN.to_owned())
    }
}

/// The value of a setting that nobody gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// As if this had been given.
    Is(&'static str),
    /// There is none; what happens then, in words.
    Unset(&'static str),
}

// What most settings have in common; a test holds that each has its own of the rest. A row begins with
// one of these three, so whoever adds one chooses what a bad value of it costs.

/// Of a setting that decides about pods.
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

/// Of a setting that only commands of an operator use.
const BY_HAND: Row = Row { stakes: Stakes::ByHand, ..DECIDES };

/// Of a setting that decides about reports.
const REPORTS: Row = Row { stakes: Stakes::Reports(""), ..DECIDES };

/// What files have in common; that a bad one ends the program, only those of the API server.
const A_FILE: Row = Row {
    placeholder: Some("FILE"),
    default: DefaultValue::Unset("none"),
    valid: "the path of a file, which begins with /, ./ or ../",
    secret: Secret::NoPath,
    ..DECIDES
};

const A_PORT: &str = "a whole number from 1 to 65535";
