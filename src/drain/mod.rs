//! The drain: who goes, in which order, with what grace, and when a refusal becomes a deletion.
//! A state machine without I/O and without a clock.

pub mod ask;
mod budgets;
pub mod forecast;
pub mod limit;
pub mod machine;
mod news;
mod owners;
pub mod pod;
pub mod progress;
mod record;
mod schedule;
pub mod timing;
pub mod verdict;

#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use crate::drain::ask::Grace;
use crate::drain::limit::Limit;
use crate::drain::pod::Rules;
use crate::drain::timing::Timing;
use crate::moment::Moment;

/// What a drain is to do, and by when.
#[derive(Clone, Debug)]
pub struct DrainOptions {
    /// When it ends, and whether the instance goes with it.
    pub limit: Limit,
    /// How long before a deadline every pod is to have ended.
    pub margin: Duration,
    /// How long after a deadline the kubelet lets pods end, while it shuts the node down gracefully.
    pub node_shutdown: Duration,
    /// Who goes.
    pub rules: Rules,
    /// The longest grace any pod gets; `None`: each pod's own.
    pub longest_grace: Option<Grace>,
    /// What becomes of a pod that its budget does not let go.
    pub budget_override: BudgetOverride,
    /// The node is to be taken out of load balancers, and evictions wait so long for that; `None`: it is
    /// not.
    pub load_balancer_hold: Option<Duration>,
    /// Ask only, do nothing.
    pub dry: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

impl DrainOptions {
    fn timing(&self) -> Timing {
        Timing::of(self.limit, self.margin, self.node_shutdown)
    }

    /// The grace period of a pod that asks for so many seconds, if there is time enough.
    fn whole_grace(&self, wanted: u32) -> Grace {
        let grace = Grace::new(wanted).unwrap_or(Grace::MIN);
        self.longest_grace.map_or(grace, |longest| longest.min(grace))
    }

    /// When a pod of this grace is deleted that could not be evicted; `None`: never, as where nothing
    /// happens to the instance.
    fn deletes_at(&self, grace: Grace) -> Option<Moment> {
        match self.budget_override {
            BudgetOverride::AtDeadline => self.timing().own_time(grace),
            BudgetOverride::Never => None,
        }
    }
}

/// What becomes of a pod that could not be evicted when its own time is up, whatever kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetOverride {
    /// It is deleted, with its grace: the alternative is the power cord.
    AtDeadline,
    /// It stays, and ends with the instance.
    Never,
}
