//! Pods that want more time than there is.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};

use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// Grace 300 s with 120 s left: the grace is cut so that the kubelet ends the
/// pods, not the power cord; also that of a pod that was ending already.
pub async fn longer_than_the_notice(scene: &mut Scene) -> Result<()> {
    let shape = Shape { grace: 300, exits_after: 300, ..Shape::default() };
    scene.deployment("slow", 3, &shape).await?;
    scene.pod("leaving", &shape).await?;
    let pods: Api<Pod> = Api::namespaced(scene.cluster().client(), scene.name());
    pods.delete("leaving", &DeleteParams::default()).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(120).await?;
    let gone = scene.emptied().await?;

    for pod in gone {
        let last = pod.graces.last().copied().unwrap_or_default();
        // Two seconds of margin; the rest is what a busy machine may take.
        ensure!((100..=118).contains(&last), "{} got {:?} s", pod.name(), pod.graces);
    }
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == 3, "{evicted} of 3 pods evicted; {}", table.summary);
    let leaving = table.of(scene.name(), "leaving")?;
    ensure!(leaving.outcome == "shortened", "leaving: {}", leaving.outcome);
    handler.stop(SOON).await
}
