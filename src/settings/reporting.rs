//! Settings: who is told, besides those who read the log as text.

use std::net::{IpAddr, SocketAddr};

use crate::kube::event::Annotations;
use crate::remark::Level;
use crate::settings::sources::Sources;
use crate::settings::table;
use crate::settings::webhooks::webhooks;
use crate::source::url::NoticeUrl;
use crate::webhook::destination::Destination;

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

/// Where probes are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// At this address.
    pub address: SocketAddr,
    /// The path of the liveness probe.
    pub liveness: LivePath,
}

/// The path at which it is told whether this process is alive: `/healthz`, unless it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePath(Option<String>);

impl Default for LivePath {
    fn default() -> Self {
        Self(Some("/healthz".to_owned()))
    }
}

impl LivePath {
    /// What is [`LivePath::parse`]d, for people.
    pub const VALID: &str = "a path such as /healthz, of visible ASCII characters, without ? and #; not /metrics or /readyz";

    /// `None` if it is not [`LivePath::VALID`].
    pub fn parse(text: &str) -> Option<Self> {
        let is_path = text.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#');
        let is_free = text != METRICS && text != READY;
        (is_path && is_free).then(|| Self(Some(text.to_owned())))
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, path: &str) -> bool {
        self.0.as_deref().is_none_or(|live| path == live)
    }

    /// Every path that is not another page's: for whoever is asked at one that is not known.
    pub fn anywhere() -> Self {
        Self(None)
    }
}

/// Where metrics are served.
pub const METRICS: &str = "/metrics";
/// Where the readiness probe is answered.
pub const READY: &str = "/readyz";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_for_liveness_is_one_that_can_be_asked_for_and_is_not_taken() {
        for path in ["/healthz", "/", "/a/b%20c", "/live;v=1"] {
            assert!(LivePath::parse(path).is_some(), "{path}");
        }
        for path in ["", "healthz", "/a b", "/a?b", "/a#b", "/é", "/a\r\nb", "/metrics", "/readyz"]
        {
            assert_eq!(LivePath::parse(path), None, "{path}");
        }
        assert_eq!(LivePath::parse("/healthz"), Some(LivePath::default()));
    }
}
