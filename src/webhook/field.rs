//! The parts of a message, by their names in templates and in JSON.

use std::fmt;

/// One part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A part as text.
    Text(Part),
    /// A list or map as JSON: `PodsJSON`, `NodeLabelsJSON`, `OutcomesJSON`.
    Json(Part),
}

/// What a field is about. The first are those of aws-node-termination-handler (its
/// `monitor.InterruptionEvent` and `ec2metadata.NodeMetadata`), the last are this handler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
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

/// Each with its name in templates and its key in JSON.
pub(crate) const PARTS: [(&str, &str, Part); 27] = [
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

/// The suffix of the name of a list or map as JSON.
const AS_JSON: &str = "JSON";

impl Field {
    /// The one with this name in templates, without the dot.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let part = |name| PARTS.iter().find(|(known, ..)| *known == name).map(|(.., part)| *part);
        let of_many = |name| part(name).filter(|part| part.is_many()).map(Self::Json);
        part(name).map(Self::Text).or_else(|| of_many(name.strip_suffix(AS_JSON)?))
    }

    /// The one whose name differs in case only.
    pub(crate) fn nearest(name: &str) -> Option<Self> {
        Self::all().find(|field| field.to_string().eq_ignore_ascii_case(name))
    }

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let parts = || PARTS.iter().map(|(.., part)| *part);
        parts().map(Self::Text).chain(parts().filter(|part| part.is_many()).map(Self::Json))
    }

    /// Whether it is read from the Node.
    pub(crate) fn is_of_the_node(self) -> bool {
        let (Self::Text(part) | Self::Json(part)) = self;
        matches!(part, Part::NodeLabels | Part::ProviderId)
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
    pub(crate) fn is_many(self) -> bool {
        matches!(self, Self::Pods | Self::NodeLabels | Self::Outcomes)
    }
}
