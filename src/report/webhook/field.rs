//! The parts of a message, by the names that templates and JSON have for them.

use std::borrow::Cow;
use std::fmt;

use crate::moment::WallTime;
use crate::notice::Kind;
use crate::report::fact::Level;
use crate::report::json::{Object, list, text};
use crate::report::webhook::message::Message;

/// One part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// What can stand in a sentence.
    Text(Part),
    /// A list or map as JSON: `PodsJSON`, `NodeLabelsJSON`, `OutcomesJSON`.
    Json(Part),
}

/// What a field is about: [`Message`] and [`Instance`](crate::instance::Instance) say more. The first are
/// those of aws-node-termination-handler (its `monitor.InterruptionEvent` and
/// `ec2metadata.NodeMetadata`), the last are this handler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    EventId,
    Kind,
    Monitor,
    Description,
    State,
    NodeName,
    NodeLabels,
    Pods,
    InstanceId,
    ProviderId,
    InstanceType,
    StartTime,
    EndTime,
    AccountId,
    AvailabilityZone,
    Region,
    PublicHostname,
    PublicIp,
    LocalHostname,
    LocalIp,
    InstanceLifeCycle,
    Cluster,
    Stage,
    Summary,
    Outcomes,
    Severity,
    Time,
}

/// Each with its name in templates, and its key in JSON.
pub(super) const PARTS: [(&str, &str, Part); 27] = [
    ("EventID", "event_id", Part::EventId),
    ("Kind", "kind", Part::Kind),
    ("Monitor", "monitor", Part::Monitor),
    ("Description", "description", Part::Description),
    ("State", "state", Part::State),
    ("NodeName", "node_name", Part::NodeName),
    ("NodeLabels", "node_labels", Part::NodeLabels),
    ("Pods", "pods", Part::Pods),
    ("InstanceID", "instance_id", Part::InstanceId),
    ("ProviderID", "provider_id", Part::ProviderId),
    ("InstanceType", "instance_type", Part::InstanceType),
    ("StartTime", "start_time", Part::StartTime),
    ("EndTime", "end_time", Part::EndTime),
    ("AccountId", "account_id", Part::AccountId),
    ("AvailabilityZone", "availability_zone", Part::AvailabilityZone),
    ("Region", "region", Part::Region),
    ("PublicHostname", "public_hostname", Part::PublicHostname),
    ("PublicIP", "public_ip", Part::PublicIp),
    ("LocalHostname", "local_hostname", Part::LocalHostname),
    ("LocalIP", "local_ip", Part::LocalIp),
    ("InstanceLifeCycle", "instance_life_cycle", Part::InstanceLifeCycle),
    ("Cluster", "cluster", Part::Cluster),
    ("Stage", "stage", Part::Stage),
    ("Summary", "summary", Part::Summary),
    ("Outcomes", "outcomes", Part::Outcomes),
    ("Severity", "severity", Part::Severity),
    ("Time", "time", Part::Time),
];

/// At the end of the name of a list or map that is wanted as JSON.
const AS_JSON: &str = "JSON";

impl Field {
    /// The one that a template calls so, without the dot.
    pub(super) fn named(name: &str) -> Option<Self> {
        let part = |name| PARTS.iter().find(|(known, ..)| *known == name).map(|(.., part)| *part);
        let of_many = |name| part(name).filter(|part| part.is_many()).map(Self::Json);
        part(name).map(Self::Text).or_else(|| of_many(name.strip_suffix(AS_JSON)?))
    }

    /// The one whose name differs in capital letters only.
    pub(super) fn nearest(name: &str) -> Option<Self> {
        Self::all().find(|field| field.to_string().eq_ignore_ascii_case(name))
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let parts = || PARTS.iter().map(|(.., part)| *part);
        parts().map(Self::Text).chain(parts().filter(|part| part.is_many()).map(Self::Json))
    }

    /// Whether it is read from the Node.
    pub(super) fn is_of_the_node(self) -> bool {
        let (Self::Text(part) | Self::Json(part)) = self;
        matches!(part, Part::NodeLabels | Part::ProviderId)
    }

    /// What the message has there: empty, if that is not known.
    pub(super) fn in_text(self, message: &Message) -> Cow<'_, str> {
        match self {
            Self::Text(part) => part.in_text(message),
            Self::Json(part) => Cow::Owned(part.in_json(message)),
        }
    }
}

impl fmt::Display for Field {
    /// Its name in templates, without the dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, end) = match self {
            Self::Text(part) => (part, ""),
            Self::Json(part) => (part, AS_JSON),
        };
        let name = PARTS.iter().find(|(.., known)| known == part).map_or("", |(name, ..)| name);
        write!(f, "{name}{end}")
    }
}

impl Part {
    /// Whether it is a list or a map.
    pub(super) fn is_many(self) -> bool {
        matches!(self, Self::Pods | Self::NodeLabels | Self::Outcomes)
    }

    /// As it stands in a sentence. Lists are joined by `, `, and maps are `key=value, key=value`.
    pub(super) fn in_text(self, message: &Message) -> Cow<'_, str> {
        let instance = &message.instance;
        match self {
            Self::EventId => (&message.event_id).into(),
            Self::Kind => message.kind.name().into(),
            Self::Monitor => monitor(message.kind).into(),
            Self::Description => (&message.description).into(),
            Self::State => (&message.state).into(),
            Self::NodeName => (&message.node_name).into(),
            Self::NodeLabels => {
                let labels = message.node_labels.iter();
                joined(labels.map(|(name, value)| format!("{name}={value}"))).into()
            }
            Self::Pods => message.pods.join(", ").into(),
            Self::InstanceId => known(instance.instance_id.as_ref()),
            Self::ProviderId => (&message.provider_id).into(),
            Self::InstanceType => known(instance.instance_type.as_ref()),
            Self::StartTime => time(message.start_time).into(),
            Self::EndTime => time(message.end_time).into(),
            Self::AccountId => known(instance.account_id.as_ref()),
            Self::AvailabilityZone => known(instance.availability_zone.as_ref()),
            Self::Region => known(instance.region.as_ref()),
            Self::PublicHostname => known(instance.public_hostname.as_ref()),
            Self::PublicIp => known(instance.public_ip.as_ref()),
            Self::LocalHostname => known(instance.local_hostname.as_ref()),
            Self::LocalIp => known(instance.local_ip.as_ref()),
            Self::InstanceLifeCycle => known(instance.life_cycle.as_ref()),
            Self::Cluster => (&message.cluster).into(),
            Self::Stage => message.stage.name().into(),
            Self::Summary => (&message.summary).into(),
            Self::Outcomes => {
                let outcomes = message.outcomes.iter();
                joined(outcomes.map(|(outcome, count)| format!("{outcome}={count}"))).into()
            }
            Self::Severity => severity(message.severity).into(),
            Self::Time => time(Some(message.time)).into(),
        }
    }

    /// As a JSON value: a list, an object or a string.
    pub(super) fn in_json(self, message: &Message) -> String {
        match self {
            Self::Pods => list(&message.pods.iter().map(|pod| text(pod)).collect::<Vec<_>>()),
            Self::NodeLabels => {
                let labels = message.node_labels.iter();
                labels.fold(Object::new(), |json, (name, value)| json.text(name, value)).end()
            }
            Self::Outcomes => {
                let outcomes = message.outcomes.iter();
                let counted = outcomes.map(|(outcome, count)| (outcome, count.to_string()));
                counted
                    .fold(Object::new(), |json, (outcome, count)| json.json(outcome, &count))
                    .end()
            }
            _ => text(&self.in_text(message)),
        }
    }
}

/// What in aws-node-termination-handler notices that kind (its `pkg/monitor/*`).
fn monitor(kind: Kind) -> &'static str {
    match kind {
        Kind::SpotItn => "SPOT_ITN_MONITOR",
        Kind::ScheduledEvent => "SCHEDULED_EVENT_MONITOR",
        Kind::RebalanceRecommendation => "REBALANCE_RECOMMENDATION_MONITOR",
        Kind::AsgLifecycle => "ASG_LIFECYCLE_MONITOR",
    }
}

/// The word for it, which PagerDuty and Sematext have, too.
pub(super) fn severity(level: Level) -> &'static str {
    match level {
        Level::Debug | Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
    }
}

fn known(value: Option<&String>) -> Cow<'_, str> {
    value.map_or("", String::as_str).into()
}

fn time(time: Option<WallTime>) -> String {
    time.map_or_else(String::new, |time| time.to_string())
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
