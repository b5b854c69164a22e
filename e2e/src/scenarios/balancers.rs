//! Time for load balancers to let go of the node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::marks::is_patch_with;
use crate::cluster::audit::Exchange;
use crate::diary::EXCLUSION;
use crate::gate::Side;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

const HOLD: Duration = Duration::from_secs(15);

/// Evictions wait after the label is set, but for a pod that needs the time
/// for its grace.
pub async fn hold(scene: &mut Scene) -> Result<()> {
    scene.pods("web", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.pod("needy", &Shape { grace: 33, ..Shape::default() }).await?;
    let settings = [("EXCLUDE_FROM_LOAD_BALANCERS", "true"), ("LOAD_BALANCER_HOLD", "15s")];
    let mut handler = scene.polling_handler(&settings).await?;
    scene.announce(40).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    ensure!(table.count(scene.name(), "evicted") == 4, "{}", table.summary);

    let exchanges = scene.exchanges()?;
    let labelled = exchanges.iter().find(|one| labels(one)).context("no label")?;
    // That it is done is noted a moment after the answer.
    let held = labelled.received.checked_add(HOLD)?;
    let evictions = |name: &'static str| {
        exchanges.iter().filter(move |one| one.is_eviction() && one.name.starts_with(name))
    };
    let first = evictions("web").map(|one| one.received).min().context("web was not evicted")?;
    ensure!(first >= held, "evicted {} after the label", first.duration_since(labelled.received));
    let needy = evictions("needy").map(|one| one.received).min().context("needy stays")?;
    ensure!(needy < first, "needy was held, too");
    handler.stop(SOON).await
}

/// The same when the answer to the patch that sets the label is lost: it was
/// set, and load balancers need their time.
pub async fn hold_cut(scene: &mut Scene) -> Result<()> {
    scene.pods("web", 3, &Shape { grace: 5, ..Shape::default() }).await?;
    let (gate, port) = scene.gate().await?;
    let settings = [
        ("EXCLUDE_FROM_LOAD_BALANCERS", "true"),
        ("LOAD_BALANCER_HOLD", "15s"),
        ("KUBERNETES_SERVICE_PORT", &*port),
    ];
    let mut handler = scene.polling_handler(&settings).await?;
    let mut patch = gate.stop(Side::After, |one| is_patch_with(one, EXCLUSION));
    scene.announce(40).await?;
    patch.reached().await?;
    drop(patch);
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    let exchanges = scene.exchanges()?;
    let labelled = exchanges.iter().find(|one| labels(one)).context("no label")?;
    let held = labelled.received.checked_add(HOLD)?;
    for one in exchanges.iter().filter(|one| one.is_eviction()) {
        ensure!(one.received >= held, "evicted before {held}: {one}");
    }
    handler.stop(SOON).await
}

fn labels(one: &Exchange) -> bool {
    one.is_node_patch() && one.body["metadata"]["labels"][EXCLUSION].is_string()
}
