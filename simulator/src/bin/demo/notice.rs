//! The notices that can be played: what the cloud says, and what the handler
//! is told so that it listens for it.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use simulator::{Endpoint, Metadata};

use crate::screen::seconds;

/// How far ahead the end is announced.
const WINDOW: Duration = Duration::from_secs(30);
/// How often the handler asks for what is not an interruption.
const POLL: Duration = Duration::from_secs(5);

/// What the drain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A spot interruption.
    Interruption,
    /// A rebalance recommendation, which marks the node; then the interruption.
    Rebalance,
    /// The instance will be stopped for maintenance.
    Maintenance,
    /// The Auto Scaling group takes the instance out of service.
    Lifecycle,
}

impl FromStr for Notice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "interruption" => Ok(Self::Interruption),
            "rebalance" => Ok(Self::Rebalance),
            "maintenance" => Ok(Self::Maintenance),
            "lifecycle" => Ok(Self::Lifecycle),
            _ => Err("one of interruption, rebalance, maintenance and lifecycle".to_owned()),
        }
    }
}

impl Notice {
    /// What the handler's environment has for it.
    pub(crate) fn settings(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Interruption | Self::Maintenance => Vec::new(),
            Self::Rebalance => vec![("ENABLE_REBALANCE_MONITORING", "true".to_owned())],
            Self::Lifecycle => vec![
                ("ENABLE_ASG_LIFECYCLE_DRAINING", "true".to_owned()),
                ("ASG_LIFECYCLE_WINDOW", format!("{}s", WINDOW.as_secs())),
            ],
        }
    }

    /// How long before the notice the cloud says something else.
    pub(crate) fn prelude(self) -> Duration {
        if self == Self::Rebalance { POLL + Duration::from_secs(2) } else { Duration::ZERO }
    }

    /// Says that; in words. `None`: there is nothing to say.
    pub(crate) fn open(self, cloud: &Metadata) -> Option<String> {
        if self != Self::Rebalance {
            return None;
        }
        cloud.recommend_rebalance(&Metadata::timestamp(SystemTime::now()));
        Some(format!("{}: it may be taken back", Endpoint::Rebalance))
    }

    /// Gives the notice: how far ahead the end is then, and in words.
    pub(crate) fn announce(self, cloud: &Metadata) -> (Duration, String) {
        let now = SystemTime::now();
        match self {
            Self::Interruption | Self::Rebalance => {
                let end = cloud.announce_in(WINDOW);
                let left = end.duration_since(now).unwrap_or(WINDOW);
                let path = Endpoint::InstanceAction;
                (left, format!("{path}: terminate, {} from now", seconds(left)))
            }
            Self::Maintenance => {
                // EC2 writes no parts of a second: less than one is lost.
                cloud.schedule(&[Metadata::event("instance-stop", "demo", now + WINDOW)]);
                let path = Endpoint::Scheduled;
                (WINDOW, format!("{path}: instance-stop, {} from now", seconds(WINDOW)))
            }
            Self::Lifecycle => {
                cloud.target_lifecycle_state("Terminated");
                // It states no time. The handler's own begins when it hears of it.
                let words = format!("{}: Terminated", Endpoint::LifecycleState);
                (WINDOW + POLL + Duration::from_secs(1), words)
            }
        }
    }
}
