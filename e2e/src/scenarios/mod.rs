//! The scenarios. Each is a function over a scene of its own.

mod arrivals;
mod budgets;
mod crowd;
mod grace;
mod kinds;
mod marks;
mod notices;
mod outage;
mod restarts;
mod servers;
mod shipped;

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::cluster::{Plan, Release};
use crate::scene::Scene;
use servers::FirstSet;

/// One scenario.
pub struct Scenario {
    /// Its name: of the node, the namespace and the folder too.
    pub name: &'static str,
    /// On which control plane it plays.
    pub plan: Plan,
    /// What happens.
    pub run: fn(&mut Scene) -> BoxFuture<'_, Result<()>>,
}

/// How far ahead a notice lies, in seconds, where nothing else is wanted.
const AHEAD: u32 = 40;

/// What the handler keeps of the time left (`SAFETY_MARGIN`).
const MARGIN: Duration = Duration::from_secs(2);

/// Where most of them play.
const MAIN: Plan =
    Plan { name: "main", release: Release::V1_37, feature_gates: None, controllers: true };

/// Its API server cannot begin a watch with what is there.
const NO_WATCH_LIST: Plan = Plan {
    name: "no-watch-list",
    feature_gates: Some("WatchList=false"),
    controllers: false,
    ..MAIN
};

/// The oldest API server.
const OLDEST: Plan = Plan { name: "oldest", release: Release::V1_34, controllers: false, ..MAIN };

/// Its API server is taken away in the middle.
const OUTAGE: Plan = Plan { name: "outage", controllers: false, ..MAIN };

/// Its API server is taken away when the notice comes.
const OUTAGE_FIRST: Plan = Plan { name: "outage-first", controllers: false, ..MAIN };

/// All scenarios; the longest first, since they run side by side.
pub const ALL: &[Scenario] = &[
    on(MAIN, "grace-300", |scene| grace::longer_than_the_notice(scene).boxed()),
    on(MAIN, "budget-nothing-120", |scene| {
        budgets::nothing_allowed(scene, 120, &[5, 30, 90]).boxed()
    }),
    on(OUTAGE, "outage", |scene| outage::in_the_middle(scene).boxed()),
    on(OUTAGE_FIRST, "outage-first", |scene| outage::from_the_start(scene).boxed()),
    on(MAIN, "token-rotated", |scene| restarts::token_rotated(scene).boxed()),
    on(MAIN, "second-notice", |scene| notices::second(scene).boxed()),
    on(MAIN, "budget-nothing", |scene| budgets::nothing_allowed(scene, AHEAD, &[5, 10]).boxed()),
    on(NO_WATCH_LIST, "no-watch-list", |scene| {
        servers::whole_drain(scene, FirstSet::Listed).boxed()
    }),
    on(OLDEST, "oldest", |scene| servers::whole_drain(scene, FirstSet::Streamed).boxed()),
    on(MAIN, "handed-over", |scene| restarts::handed_over(scene).boxed()),
    on(MAIN, "killed", |scene| restarts::killed(scene).boxed()),
    on(MAIN, "killed-after-the-end", |scene| restarts::killed_after_the_end(scene).boxed()),
    on(MAIN, "terminated-draining", |scene| restarts::terminated_draining(scene).boxed()),
    on(MAIN, "budget-one-at-a-time", |scene| budgets::one_at_a_time(scene).boxed()),
    on(MAIN, "budget-never", |scene| budgets::never_overridden(scene).boxed()),
    on(MAIN, "moved", |scene| notices::moved(scene).boxed()),
    on(MAIN, "changed-action", |scene| notices::changed_action(scene).boxed()),
    on(MAIN, "budget-two", |scene| budgets::two(scene).boxed()),
    on(MAIN, "job", |scene| budgets::job(scene).boxed()),
    on(MAIN, "held", |scene| arrivals::held(scene).boxed()),
    on(MAIN, "dry-run", |scene| marks::dry_run(scene).boxed()),
    on(MAIN, "same-name", |scene| arrivals::same_name(scene).boxed()),
    on(MAIN, "late", |scene| arrivals::late(scene).boxed()),
    on(MAIN, "critical-last", |scene| kinds::critical_last(scene).boxed()),
    on(MAIN, "pods-250", |scene| crowd::drained(scene, 250).boxed()),
    on(MAIN, "pods-110", |scene| crowd::drained(scene, 110).boxed()),
    on(MAIN, "every-kind", |scene| kinds::every_kind(scene).boxed()),
    on(MAIN, "kept-kinds", |scene| kinds::kept_kinds(scene).boxed()),
    on(MAIN, "in-the-past", |scene| notices::in_the_past(scene).boxed()),
    on(MAIN, "bare-time", |scene| notices::bare_time(scene).boxed()),
    on(MAIN, "trailing-newline", |scene| notices::trailing_newline(scene).boxed()),
    on(MAIN, "already-cordoned", |scene| marks::already_cordoned(scene).boxed()),
    on(MAIN, "terminated-idle", |scene| restarts::terminated_idle(scene).boxed()),
    on(MAIN, "everywhere", |scene| shipped::everywhere(scene).boxed()),
];

const fn on(
    plan: Plan,
    name: &'static str,
    run: fn(&mut Scene) -> BoxFuture<'_, Result<()>>,
) -> Scenario {
    Scenario { name, plan, run }
}
