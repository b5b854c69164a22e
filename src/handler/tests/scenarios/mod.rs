//! Named scenarios: what there is, what happens, and what the handler orders and reports (`*`) of it, line by
//! line, at which second. A scenario shows all lines of the topics that it is about, and none of the
//! others; the whole transcript stands once for each kind of notice.
//!
//! Unless a scenario says otherwise: one node, `node-1`; a poll every second; every answer of the
//! API server takes 0.1 s; the margin is 2 s; a pod has a grace of 30 s, of which it needs one;
//! SIGTERM comes at 300 s.

/// The words of the scenarios.
mod prelude {
    pub(super) use std::sync::Arc;

    pub(super) use crate::drain::tests::cluster::{Life, at, ms, pod, secs};
    pub(super) use crate::handler::tests::metadata::calendar;
    pub(super) use crate::handler::tests::script::Says::{
        At, Fails, In, Leaves, Nothing, Recommended, RecommendedAt, RecommendedNow, Soon,
    };
    pub(super) use crate::handler::tests::script::{
        BOOT, Edit, End, Planned, Says, Script, What, With, a_node, interrupted_node, planned,
        reboot,
    };
    pub(super) use crate::handler::tests::timeline::Run;
    pub(super) use crate::node::{RebalanceMark, TaintEffect};
    pub(super) use crate::notice::Action::{Hibernate, Stop, Terminate};
    pub(super) use crate::notice::Code::{InstanceReboot, InstanceRetirement, SystemMaintenance};
    pub(super) use crate::notice::NoticePath::{
        InstanceAction, Lifecycle, Maintenance, NoticeUrl, Rebalance, TerminationTime,
    };
    pub(super) use crate::report::fact::Fact;
}

mod before;
mod cordon;
mod deadlines;
mod end;
mod history;
mod lifecycle;
mod maintenance;
mod marks;
mod no_node;
mod notices;
mod reboot;
mod recommendations;
mod restart;
mod several;
mod sigterm;
