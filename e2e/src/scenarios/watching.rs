//! Metrics, as a real Prometheus has them, and probes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cluster::GLANCE;
use crate::cluster::port;
use crate::observers::{Format, Prometheus, Scrape, check_metrics};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// A drain with budgets in the way, and what Prometheus then knows of it.
pub async fn scraped(scene: &mut Scene, format: Format) -> Result<()> {
    scene.deployment("free", 2, &Shape::default()).await?;
    scene.deployment("guarded", 1, &Shape { grace: 5, ..Shape::default() }).await?;
    scene.budget("guarded", serde_json::json!({"minAvailable": "100%"})).await?;
    let port = port::free()?;
    let (text, address) = (port.to_string(), format!("127.0.0.1:{port}"));
    let environment = [
        ("ENABLE_PROMETHEUS_SERVER", "true"),
        ("PROMETHEUS_SERVER_PORT", text.as_str()),
        ("LISTEN_ADDRESS", "127.0.0.1"),
        ("EMIT_KUBERNETES_EVENTS", "true"),
    ];
    let mut handler = scene.polling_handler(&environment).await?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring/rules.yaml");
    let scrape = Scrape {
        target: &address,
        node: scene.name(),
        format,
        rules: std::slice::from_ref(&rules),
    };
    let prometheus = Prometheus::start(scene.folder(), scrape).await?;
    prometheus.scrapes(SOON).await?;
    let page = get(port, "/metrics").await?;
    check_metrics(body(&page)).await.context("promtool on the page for the classic scraper")?;

    scene.announce(25).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    for (expression, wanted) in [
        ("k8s_spot_handler_notices_total{kind=\"spot_interruption\"}", 1.0),
        ("k8s_spot_handler_pods_total{outcome=\"evicted\"}", 2.0),
        ("k8s_spot_handler_pods_total{outcome=\"deleted\"}", 1.0),
        ("k8s_spot_handler_drains_total{outcome=\"complete\"}", 1.0),
        ("k8s_spot_handler_drain_duration_seconds_count", 1.0),
        ("k8s_spot_handler_drain_pods_left", 0.0),
        ("k8s_spot_handler_api_requests_total{verb=\"delete\",code=\"200\"}", 1.0),
        ("k8s_spot_handler_api_requests_total{verb=\"evict\",code=\"201\"}", 2.0),
        ("k8s_spot_handler_retries_total{reason=\"budget\"} > bool 0", 1.0),
        ("k8s_spot_handler_kubernetes_events_total{outcome=\"written\"} > bool 4", 1.0),
        ("time() - k8s_spot_handler_last_good_poll_timestamp_seconds < bool 10", 1.0),
        ("sum(k8s_spot_handler_metadata_requests_total{code=\"200\"}) > bool 0", 1.0),
        ("count(k8s_spot_handler_build_info)", 1.0),
        // The shipped alert, on what the shipped program says.
        ("ALERTS{alertname=\"K8sSpotHandlerPodsDeleted\",alertstate=\"firing\"}", 1.0),
    ] {
        prometheus
            .until(
                expression,
                |found| found.iter().any(|one| (one.value - wanted).abs() < 1e-9),
                SOON,
            )
            .await?;
    }
    handler.stop(SOON).await
}

/// Alive from the start, ready once both services have answered; a slow client
/// holds up nobody.
pub async fn probed(scene: &mut Scene) -> Result<()> {
    let port = port::free()?;
    let text = port.to_string();
    let environment = [
        ("ENABLE_PROBES_SERVER", "true"),
        ("PROBES_SERVER_PORT", text.as_str()),
        ("LISTEN_ADDRESS", "127.0.0.1"),
    ];
    let handler = scene.polling_handler(&environment).await?;
    // More than it serves at once, none of which says anything.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await?);
    }
    let page = get(port, "/healthz").await?;
    ensure!(page.starts_with("HTTP/1.1 200 "), "{page}");
    let waiting = async {
        while !get(port, "/readyz").await?.starts_with("HTTP/1.1 200 ") {
            sleep(GLANCE).await;
        }
        anyhow::Ok(())
    };
    timeout(SOON, waiting).await.context("not ready within a minute")??;
    let elsewhere = get(port, "/metrics").await?;
    ensure!(elsewhere.starts_with("HTTP/1.1 404 "), "metrics, though switched off: {elsewhere}");
    handler.stop(SOON).await
}

/// Another process has the port: that is said, the node is drained all the same, and the port served
/// once it is free.
pub async fn port_taken(scene: &mut Scene) -> Result<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = taken.local_addr()?.port().to_string();
    let environment = [
        ("ENABLE_PROMETHEUS_SERVER", "true"),
        ("PROMETHEUS_SERVER_PORT", port.as_str()),
        ("LISTEN_ADDRESS", "127.0.0.1"),
    ];
    scene.deployment("free", 1, &Shape::default()).await?;
    let mut handler = scene.polling_handler(&environment).await?;
    let address = format!("127.0.0.1:{port}");
    handler.says(&[" ERROR ", &address, "PROMETHEUS_SERVER_PORT"], SOON).await?;
    scene.announce(25).await?;
    scene.emptied().await?;
    handler.verdicts(1, SOON).await?;
    drop(taken);
    handler.says(&[&address, "serves metrics now"], SOON).await?;
    handler.stop(SOON).await
}

/// One page, as it comes.
pub(super) async fn get(port: u16, path: &str) -> Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    timeout(Duration::from_secs(20), asking).await.with_context(|| format!("no {path}"))?
}

pub(super) fn body(page: &str) -> &str {
    page.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
