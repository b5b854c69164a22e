//! Settings: who is told, besides those who read the log as text.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::report::fact::Level;
use crate::report::server::endpoints::LivePath;
use crate::report::webhook::destination::Destination;
use crate::settings::sources::Sources;
use crate::settings::table;
use crate::settings::webhooks::webhooks;
use crate::source::url::NoticeUrl;

/// Who is told, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporting {
    /// The log.
    pub log: LogStyle,
    /// Kubernetes Events, where they are wanted.
    pub events: Option<Annotations>,
    /// Webhooks.
    pub webhooks: Vec<Destination>,
    /// What the operator calls the cluster.
    pub cluster: Option<String>,
    /// Where facts about the instance stand, if not at the metadata service.
    pub facts: FactUrls,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// Where probes are served, if they are.
    pub probes: Option<Probes>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStyle {
    /// As JSON, one object a line; else as text.
    pub json: bool,
    /// What matters less is left out.
    pub least: Level,
}

/// Where facts about the instance stand, if not at the metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactUrls {
    /// The availability zone.
    pub zone: Option<NoticeUrl>,
    /// Its id.
    pub id: Option<NoticeUrl>,
    /// Its type.
    pub kind: Option<NoticeUrl>,
}

/// Names and values that go with each Event.
pub type Annotations = BTreeMap<String, String>;

/// Where probes are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// At this address.
    pub address: SocketAddr,
    /// The path of the liveness probe.
    pub liveness: LivePath,
}

/// Reads these settings.
pub(super) fn reporting(sources: &mut Sources<'_>) -> Option<Reporting> {
    let log = log(sources);
    let events = events(sources);
    let webhooks = webhooks(sources);
    let cluster = sources.value(&table::CLUSTER);
    let facts = FactUrls {
        zone: sources.value(&table::AZ_URL),
        id: sources.value(&table::INSTANCE_ID_URL),
        kind: sources.value(&table::INSTANCE_TYPE_URL),
    };
    let pages = pages(sources);
    let Pages { metrics, probes } = pages?;
    let log = log?;
    Some(Reporting { log, events, webhooks, cluster, facts, metrics, probes })
}

fn log(sources: &mut Sources<'_>) -> Option<LogStyle> {
    let least = sources.value(&table::LOG_LEVEL);
    let verbose = sources.value(&table::VERBOSE);
    let json = sources.value(&table::JSON_LOGGING);
    let least = if verbose? { Level::Debug } else { least? };
    Some(LogStyle { json: json?, least })
}

/// `None`: they are not wanted.
fn events(sources: &mut Sources<'_>) -> Option<Annotations> {
    let emitted = sources.value(&table::EMIT_KUBERNETES_EVENTS);
    let annotations = sources.value(&table::KUBERNETES_EVENTS_EXTRA_ANNOTATIONS);
    if emitted == Some(false) && annotations.is_some() {
        sources.remark(
            "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS has no effect: EMIT_KUBERNETES_EVENTS is false.",
        );
    }
    emitted?.then(|| annotations.unwrap_or_default())
}

struct Pages {
    metrics: Option<SocketAddr>,
    probes: Option<Probes>,
}

fn pages(sources: &mut Sources<'_>) -> Option<Pages> {
    let metrics = sources.value(&table::ENABLE_PROMETHEUS_SERVER);
    let metrics_port = sources.value(&table::PROMETHEUS_SERVER_PORT);
    let probes = sources.value(&table::ENABLE_PROBES_SERVER);
    let probes_port = sources.value(&table::PROBES_SERVER_PORT);
    let liveness = sources.value(&table::PROBES_SERVER_ENDPOINT);
    let address: Option<IpAddr> = sources.value(&table::LISTEN_ADDRESS);
    let at = |port| Some(SocketAddr::new(address?, port?));
    // Where its probes are not answered, the kubelet starts the handler anew, and nobody hears notices:
    // of what could be meant, what is answered at more places is the safer.
    let probes = probes? || sources.is_bad(&table::ENABLE_PROBES_SERVER.row);
    let is_lost = sources.is_bad(&table::PROBES_SERVER_ENDPOINT.row);
    let liveness = if is_lost { LivePath::anywhere() } else { liveness? };
    // Nobody is shown metrics whom the operator may have meant to keep out.
    let metrics = metrics? && !sources.is_bad(&table::LISTEN_ADDRESS.row);
    let probes_at = Probes { address: at(probes_port)?, liveness };
    let metrics_at = at(metrics_port)?;
    Some(Pages { metrics: metrics.then_some(metrics_at), probes: probes.then_some(probes_at) })
}
