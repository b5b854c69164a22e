//! The handler is told another name for its node than the Node has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use super::watching::get;
use crate::cluster::port;
use crate::observers::Receiver;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// The name of the machine in the place of the Node's: there is no such Node, and so no pods on it.
/// Nothing is drained, and whoever asks is told so.
pub async fn no_such_node(scene: &mut Scene) -> Result<()> {
    scene.expect_refusals();
    scene.pods("web", 2, &Shape::default()).await?;
    let receiver = Receiver::plain().await?;
    let (metrics, probes) = (port::free()?, port::free()?);
    let (metrics_text, probes_text) = (metrics.to_string(), probes.to_string());
    let node = format!("{}.ec2.internal", scene.name());
    let url = receiver.url("/");
    let environment = [
        ("NODE_NAME", node.as_str()),
        ("ENABLE_PROMETHEUS_SERVER", "true"),
        ("PROMETHEUS_SERVER_PORT", metrics_text.as_str()),
        ("ENABLE_PROBES_SERVER", "true"),
        ("PROBES_SERVER_PORT", probes_text.as_str()),
        ("LISTEN_ADDRESS", "127.0.0.1"),
        ("WEBHOOK_URL", url.as_str()),
        ("WEBHOOK_FORM", "json"),
    ];
    let handler = scene.polling_handler(&environment).await?;
    scene.announce(12).await?;
    sleep(scene.time_left() + Duration::from_secs(2)).await;

    let messages = receiver.received(2, SOON).await?;
    let last = messages.last().context("no message")?;
    let message: Value = serde_json::from_str(&last.request.body)?;
    ensure!(message["stage"] == "drain-ends" && message["severity"] == "error", "{message}");
    let page = get(metrics, "/metrics").await?;
    let count = |outcome: &str| {
        let name = format!("k8s_spot_handler_drains_total{{outcome=\"{outcome}\"}}");
        let line = page.lines().find(|line| line.starts_with(&name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
    let counts = (count("complete"), count("incomplete"));
    ensure!(counts == (0.0, 1.0), "drains complete and incomplete: {counts:?}");
    let ready = get(probes, "/readyz").await?;
    ensure!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let log = handler.log()?;
    let said = log.lines().any(|line| line.contains("ERROR") && line.contains(&node));
    ensure!(said, "no error names the Node that there is not");
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    handler.stop(SOON).await
}
