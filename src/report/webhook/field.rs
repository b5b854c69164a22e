//! What a message has for each field.

use std::borrow::Cow;

use crate::json::{Object, list, text};
use crate::level::Level;
use crate::moment::WallTime;
use crate::notice::Kind;
use crate::report::webhook::message::Message;
use crate::webhook::field::{Field, Part};
use crate::webhook::template::Template;

impl Template {
    /// The text with the message in it.
    pub fn fill(&self, message: &Message) -> String {
        self.fill_with(&|field| field.in_text(message))
    }
}

impl Field {
    /// What the message has there: empty, if that is not known.
    pub(super) fn in_text(self, message: &Message) -> Cow<'_, str> {
        match self {
            Self::Text(part) => part.in_text(message),
            Self::Json(part) => Cow::Owned(part.in_json(message)),
        }
    }
}

impl Part {
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

#[cfg(test)]
mod tests;
