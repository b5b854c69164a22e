//! The scenarios. Each is a function over a scene of its own.

mod crowd;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::cluster::{Plan, Release};
use crate::scene::Scene;

/// One scenario.
pub struct Scenario {
    /// Its name: of the node, the namespace and the folder too.
    pub name: &'static str,
    /// On which control plane it plays.
    pub plan: Plan,
    /// What happens.
    pub run: fn(&mut Scene) -> BoxFuture<'_, Result<()>>,
}

/// Where most of them play.
const MAIN: Plan =
    Plan { name: "main", release: Release::V1_37, feature_gates: None, controllers: true };

/// All scenarios; the longest first, since they run side by side.
pub const ALL: &[Scenario] = &[
    Scenario { name: "pods-250", plan: MAIN, run: |scene| crowd::drained(scene, 250).boxed() },
    Scenario { name: "pods-110", plan: MAIN, run: |scene| crowd::drained(scene, 110).boxed() },
];

/// How far ahead a notice lies, in seconds, where nothing else is wanted.
const AHEAD: u32 = 40;
