//! What the handler is set to do.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::Grace;
use crate::drain::limit::Limit;
use crate::drain::pod::Rules;
use crate::drain::{BudgetOverride, DrainOptions};
use crate::node::MarkPolicy;
use crate::notice::NoticePath;
use crate::plan::Boot;
use crate::plan::kinds::Policy;

/// What the operator wants of the handler, and what it knows from the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its node; `None`: that of its own pod, to be asked for.
    pub node: Option<Arc<str>>,
    /// This boot of the machine.
    pub boot: Boot,
    /// Where notices are looked for.
    pub paths: Vec<NoticePath>,
    /// What is made of notices.
    pub policy: Policy,
    /// How the node is marked.
    pub marks: MarkPolicy,
    /// How long load balancers get to let go of the node before the first eviction, where the
    /// deadline leaves so much.
    pub load_balancer_hold: Duration,
    /// Who goes.
    pub rules: Rules,
    /// The longest grace any pod gets; `None`: each pod's own.
    pub longest_grace: Option<Grace>,
    /// What becomes of a pod that its budget does not let go.
    pub budget_override: BudgetOverride,
    /// How long before the deadline every pod is to have ended.
    pub margin: Duration,
    /// How long after the deadline the kubelet lets pods end, while it shuts the node down gracefully.
    pub node_shutdown: Duration,
    /// How long this process has after SIGTERM, until its own pod was seen.
    pub shutdown_grace: Duration,
    /// Nothing is written.
    pub dry: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Config {
    /// A drain with this limit.
    pub(super) fn drain(&self, limit: Limit) -> DrainOptions {
        let leaves = self.marks.exclude_from_load_balancers;
        DrainOptions {
            limit,
            margin: self.margin,
            node_shutdown: self.node_shutdown,
            rules: self.rules.clone(),
            longest_grace: self.longest_grace,
            budget_override: self.budget_override,
            load_balancer_hold: leaves.then_some(self.load_balancer_hold),
            dry: self.dry,
            seed: self.seed,
        }
    }
}
