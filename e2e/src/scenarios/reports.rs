//! What operators see besides the log.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// The node tells of notice, cordon, beginning and end; the owner of a pod that
/// was deleted finds budget and notice.
pub async fn kubernetes_events(scene: &mut Scene) -> Result<()> {
    scene.deployment("free", 2, &Shape::default()).await?;
    scene.deployment("guarded", 2, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", json!({"minAvailable": "100%"})).await?;
    let wanted = [
        ("EMIT_KUBERNETES_EVENTS", "true"),
        ("KUBERNETES_EVENTS_EXTRA_ANNOTATIONS", "team=platform"),
    ];
    let mut handler = scene.polling_handler(&wanted).await?;
    scene.announce(20).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    // Everything is written before it ends.
    handler.stop(SOON).await?;

    let of_node =
        events(scene, "default", &format!("involvedObject.name={}", scene.name())).await?;
    for reason in ["SpotInterruption", "Cordon", "PreDrain", "CordonAndDrain"] {
        let event = of_node.iter().find(|event| event["reason"] == reason);
        let Some(event) = event else { anyhow::bail!("no {reason} on the node: {of_node:?}") };
        ensure!(event["reportingComponent"] == "k8s-spot-handler", "{event}");
        ensure!(event["metadata"]["annotations"]["team"] == "platform", "{event}");
        ensure!(event["metadata"]["annotations"]["region"] == "us-east-1", "{event}");
    }
    let end = of_node.iter().find(|event| event["reason"] == "CordonAndDrain");
    let message = end.and_then(|event| event["message"].as_str()).unwrap_or_default();
    ensure!(message.ends_with(&table.summary), "{message:?} is not {:?}", table.summary);
    let described = scene.kubectl_says("describe node NODE").await?;
    ensure!(described.contains("PreDrain"), "describe node shows no Events: {described}");

    let of_pods = events(scene, scene.name(), "reason=DeletedAgainstBudget").await?;
    ensure!(of_pods.len() == 2, "{} Events for 2 pods", of_pods.len());
    for event in of_pods {
        let message = event["message"].as_str().unwrap_or_default();
        let budget = format!("disruption budget {}/guarded", scene.name());
        ensure!(message.contains(&budget) && message.contains("spot interruption"), "{message}");
        let uid = &event["involvedObject"]["uid"];
        ensure!(scene.of("guarded").iter().any(|pod| *uid == json!(pod.uid())), "{event}");
    }
    Ok(())
}

/// What `kubectl get events` knows.
pub(super) async fn events(scene: &Scene, namespace: &str, selector: &str) -> Result<Vec<Value>> {
    let words = format!("get events --namespace {namespace} --field-selector {selector} -o json");
    let list: Value = serde_json::from_str(&scene.kubectl_says(&words).await?)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}
