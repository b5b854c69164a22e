//! Killed at every step of the way: the next process takes it up from there.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::marks::is_patch_with;
use crate::diary::{has_noted, is_cordoned, note};
use crate::gate::{Gate, Held, Passing, Side};
use crate::handler::Handler;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// At which request it is killed: before the API server has seen it, or before
/// the answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The patch that marks the node.
    Cordon(Side),
    /// The third eviction.
    Eviction(Side),
    /// The deletion of a pod whose budget has refused.
    Deletion(Side),
    /// None: the table has been told.
    Table,
    /// The patch that notes the drain's end.
    Note(Side),
    /// The Node is read, to take the marks back.
    Reading(Side),
    /// The patch that takes them back.
    Back(Side),
}

const CODE: &str = "system-maintenance";

/// Pods leave, marks stand as long as the event, and nothing is left behind;
/// whatever the step.
pub async fn killed_at(scene: &mut Scene, step: Step) -> Result<()> {
    let shape = Shape { grace: 5, exits_after: 2, ..Shape::default() };
    scene.pods("web", 6, &shape).await?;
    scene.pods("guarded", 2, &Shape { grace: 3, ..shape }).await?;
    scene.budget("guarded", json!({"minAvailable": 2})).await?;
    let mut run = Run::start(scene).await?;

    let early = run.stop(step, &[Step::Cordon, Step::Eviction, Step::Deletion]);
    let from = scene.schedule(CODE, 25).await?;
    run.killed(scene, early).await?;
    scene.emptied().await?;
    if step == Step::Table {
        run.handler.verdicts(1, SOON).await?;
        run.restart(scene).await?;
    }
    let end = run.stop(step, &[Step::Note]);
    let unnoted = step == Step::Note(Side::Before);
    run.killed(scene, end).await?;

    sleep(scene.time_left() + Duration::from_secs(1)).await;
    if !unnoted {
        let noted = |node: &_| has_noted(node, "drained");
        scene.node_is("the end of the drain is noted", noted).await?;
    }
    let node = scene.node_is("the node is cordoned", is_cordoned).await?;
    ensure!(note(&node).is_some_and(|note| note.contains("\"cordoned\":true")), "not remembered");

    let back = run.stop(step, &[Step::Reading, Step::Back]);
    scene.metadata.schedule(CODE, "completed", from).await?;
    run.killed(scene, back).await?;
    scene.given_back().await?;
    let ended = scene.sightings().iter().all(|pod| pod.gone.is_some());
    ensure!(ended, "a pod of the scene is still there");
    run.handler.stop(SOON).await
}

/// The handler behind its gate.
struct Run {
    gate: Gate,
    port: String,
    handler: Handler,
}

impl Run {
    async fn start(scene: &mut Scene) -> Result<Self> {
        let (gate, port) = scene.gate().await?;
        let handler = scene.polling_handler(&settings(&port)).await?;
        Ok(Self { gate, port, handler })
    }

    /// Stops the step's request, if the step is one of these.
    fn stop(&self, step: Step, among: &[fn(Side) -> Step]) -> Option<Held> {
        let side = step.side()?;
        let here = among.iter().any(|kind| kind(side) == step);
        let skip = if let Step::Eviction(_) = step { 2 } else { 0 };
        here.then(|| self.gate.stop_after(skip, side, move |request| step.is(request)))
    }

    /// Waits for the request that is stopped, kills the handler, and starts the
    /// next.
    async fn killed(&mut self, scene: &mut Scene, held: Option<Held>) -> Result<()> {
        let Some(mut held) = held else { return Ok(()) };
        held.reached().await?;
        self.restart(scene).await
    }

    async fn restart(&mut self, scene: &mut Scene) -> Result<()> {
        self.handler.kill().await?;
        self.handler = scene.handler(&settings(&self.port))?;
        Ok(())
    }
}

fn settings(port: &str) -> [(&str, &str); 3] {
    [
        ("TAINT_NODE", "true"),
        ("EXCLUDE_FROM_LOAD_BALANCERS", "true"),
        ("KUBERNETES_SERVICE_PORT", port),
    ]
}

impl Step {
    fn side(self) -> Option<Side> {
        match self {
            Self::Table => None,
            Self::Cordon(side)
            | Self::Eviction(side)
            | Self::Deletion(side)
            | Self::Note(side)
            | Self::Reading(side)
            | Self::Back(side) => Some(side),
        }
    }

    fn is(self, request: &Passing) -> bool {
        match self {
            Self::Cordon(_) => is_patch_with(request, "\"unschedulable\":true"),
            Self::Eviction(_) => request.line.ends_with("/eviction"),
            Self::Deletion(_) => request.line.starts_with("DELETE "),
            Self::Table => false,
            Self::Note(_) => is_patch_with(request, "\\\"progress\\\":\\\"drained\\\""),
            Self::Reading(_) => request.line.starts_with("GET /api/v1/nodes/"),
            Self::Back(_) => is_patch_with(request, "\"unschedulable\":null"),
        }
    }
}
