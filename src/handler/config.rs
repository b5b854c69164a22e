//! What the handler is set to do.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::Grace;
use crate::drain::pod::Rules;
use crate::node::Marks;
use crate::notice::NoticeId;

/// What the operator wants of the handler, and what it knows from the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its node; `None`: that of its own pod, to be asked for.
    pub node: Option<Arc<str>>,
    /// This boot of the machine.
    pub boot_id: String,
    /// Who goes.
    pub rules: Rules,
    /// The longest grace any pod gets; `None`: each pod's own.
    pub longest_grace: Option<Grace>,
    /// What becomes of a pod that its budget does not let go.
    pub budget_override: BudgetOverride,
    /// How long before the deadline every pod is to have ended.
    pub margin: Duration,
    /// How long this process has after SIGTERM, until its own pod was seen.
    pub shutdown_grace: Duration,
    /// Nothing is written.
    pub dry: bool,
    /// Every poll is said.
    pub verbose: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Config {
    /// The marks for `notice`; `drained`: its drain has come to its end.
    pub(super) fn marks(&self, notice: NoticeId, drained: bool) -> Marks {
        Marks { notice, boot_id: self.boot_id.clone(), drained }
    }
}
