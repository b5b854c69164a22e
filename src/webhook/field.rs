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

/// An enum with the names of each variant.
macro_rules! parts {
    ($($part:ident $name:literal $key:literal;)*) => {
        /// What a field is about. The first are those of aws-node-termination-handler (its
        /// `monitor.InterruptionEvent` and `ec2metadata.NodeMetadata`), the last are this handler's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Part {
            $($part,)*
        }

        /// Each with its name in templates and its key in JSON.
        pub(crate) const PARTS: &[(&str, &str, Part)] = &[$(($name, $key, Part::$part)),*];
    };
}

parts! {
    EventId "EventID" "event_id";
    Kind "Kind" "kind";
    Monitor "Monitor" "monitor";
    Description "Description" "description";
    State "State" "state";
    NodeName "NodeName" "node_name";
    NodeLabels "NodeLabels" "node_labels";
    Pods "Pods" "pods";
    InstanceId "InstanceID" "instance_id";
    ProviderId "ProviderID" "provider_id";
    InstanceType "InstanceType" "instance_type";
    StartTime "StartTime" "start_time";
    EndTime "EndTime" "end_time";
    AccountId "AccountId" "account_id";
    AvailabilityZone "AvailabilityZone" "availability_zone";
    Region "Region" "region";
    PublicHostname "PublicHostname" "public_hostname";
    PublicIp "PublicIP" "public_ip";
    LocalHostname "LocalHostname" "local_hostname";
    LocalIp "LocalIP" "local_ip";
    InstanceLifeCycle "InstanceLifeCycle" "instance_life_cycle";
    Cluster "Cluster" "cluster";
    Stage "Stage" "stage";
    Summary "Summary" "summary";
    Outcomes "Outcomes" "outcomes";
    Severity "Severity" "severity";
    Time "Time" "time";
}

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
