//! Messages to a webhook: a real HTTPS server, a real proxy.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::AHEAD;
use crate::observers::{Answer, Proxy, Receiver};
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// What must never be read anywhere: in the path of the URL, and in a header.
const PATH: &str = "/services/T0/hush-path-5f2a";
const KEY: &str = "hush-key-90c1";

/// A template with every kind of field, and what it must become.
const TEMPLATE: &str = r#"{"stage":"{{ .Stage }}","kind":"{{ .Kind }}","node":"{{ .NodeName }}",
    "cluster":"{{.Cluster}}","region":"{{ .Region }}","labels":{{ .NodeLabelsJSON }},
    "pods":{{ .PodsJSON }},"outcomes":{{ .OutcomesJSON }},"text":"{{ .Summary }}"}"#;

/// Over TLS, with a CA of its own; URL and headers from files, as a Secret is
/// mounted, which change in between.
pub async fn secure(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let receiver = Receiver::secure(scene.folder()).await?;
    let authority = receiver.authority().context("no authority")?.to_string_lossy().into_owned();
    let (url, headers) = (scene.folder().join("url"), scene.folder().join("headers"));
    fs::write(&url, format!("{}\n", receiver.url("/before")))?;
    write_headers(&headers)?;
    keep_secrets(scene);
    let cluster = "a \"quoted\" name";
    let environment = [
        ("WEBHOOK_URL_FILE", path(&url)),
        ("WEBHOOK_HEADERS_FILE", path(&headers)),
        ("WEBHOOK_TEMPLATE", TEMPLATE.to_owned()),
        ("WEBHOOK_CA_FILE", authority),
        ("CLUSTER", cluster.to_owned()),
    ];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut handler = scene.polling_handler(&environment).await?;
    fs::write(&url, receiver.url(PATH))?;
    scene.announce(AHEAD).await?;
    let table = handler.verdicts(1, SOON).await?;
    let messages = receiver.received(2, SOON).await?;
    handler.stop(SOON).await?;

    let mut stages = Vec::new();
    for one in &messages {
        ensure!(one.request.target == PATH, "posted to {}", one.request.target);
        ensure!(one.request.header("x-key") == Some(KEY), "without its header");
        let message: Value = serde_json::from_str(&one.request.body).context("no JSON")?;
        ensure!(message["kind"] == "SPOT_ITN" && message["node"] == scene.name(), "{message}");
        ensure!(message["cluster"] == cluster && message["region"] == "us-east-1", "{message}");
        ensure!(message["labels"]["kubernetes.io/hostname"] == scene.name(), "{message}");
        let pods = message["pods"].as_array().map_or(0, Vec::len);
        ensure!(pods == 2, "{pods} of 2 pods in {message}");
        stages.push(message["stage"].clone());
    }
    ensure!(stages == [json!("drain-begins"), json!("drain-ends")], "{stages:?}");
    let last: Value = serde_json::from_str(&messages[1].request.body)?;
    ensure!(last["outcomes"]["evicted"] == 2, "{last} is not {}", table.summary);
    Ok(())
}

/// Through a proxy that wants to know who asks: a tunnel to what speaks TLS,
/// passed on to what does not.
pub async fn through_a_proxy(scene: &mut Scene, tls: bool) -> Result<()> {
    scene.deployment("web", 1, &Shape::default()).await?;
    let folder = scene.folder().to_owned();
    let receiver = if tls { Receiver::secure(&folder).await? } else { Receiver::plain().await? };
    let password = "hush-proxy-77d3";
    let mut proxy = Proxy::start(&folder, receiver.port(), Some(("e2e", password))).await?;
    keep_secrets(scene);
    scene.keep_secret(password);
    let headers = json!({"Content-Type": "application/json", "X-Key": KEY}).to_string();
    let mut environment = vec![
        ("WEBHOOK_URL", receiver.url(PATH)),
        ("WEBHOOK_HEADERS", headers),
        ("WEBHOOK_PROXY", proxy.url()),
        ("WEBHOOK_FORM", "json".to_owned()),
    ];
    if let Some(authority) = receiver.authority() {
        environment.push(("WEBHOOK_CA_FILE", path(authority)));
    }
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut handler = scene.polling_handler(&environment).await?;
    scene.announce(AHEAD).await?;
    handler.verdicts(1, SOON).await?;
    let messages = receiver.received(2, SOON).await?;
    let asked = if tls { "CONNECT" } else { "POST" };
    proxy.says(&[asked, &receiver.port().to_string()], SOON).await?;
    for one in messages {
        let message: Value = serde_json::from_str(&one.request.body)?;
        ensure!(message["node_name"] == scene.name(), "{message}");
        ensure!(one.request.header("proxy-authorization").is_none(), "the server got the password");
    }
    handler.stop(SOON).await
}

/// A receiver in trouble gets both messages in the end, in their order; the
/// drain is long over.
pub async fn retried(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 2, &Shape::default()).await?;
    let receiver = Receiver::plain().await?;
    receiver.answer_next([
        Answer::status(503)?,
        Answer::Close,
        Answer::status(429)?.with("Retry-After", "2"),
        Answer::status(200)?,
        Answer::status(500)?,
    ]);
    keep_secrets(scene);
    let url = receiver.url(PATH);
    let environment = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_FORM", "json")];
    let mut handler = scene.polling_handler(&environment).await?;
    scene.announce(AHEAD).await?;
    handler.verdicts(1, SOON).await?;
    let messages = receiver.received(6, SOON).await?;
    let stages: Vec<Value> = messages
        .iter()
        .map(|one| anyhow::Ok(serde_json::from_str::<Value>(&one.request.body)?["stage"].clone()))
        .collect::<Result<_>>()?;
    let (begins, ends) = ("drain-begins", "drain-ends");
    ensure!(stages == [begins, begins, begins, begins, ends, ends], "{stages:?}");
    let pause = messages[3].at.duration_since(messages[2].at).as_secs_f64();
    ensure!(pause >= 2.0, "Retry-After of 2 s, asked again after {pause} s");
    handler.says(&["delivered, after 3 failed tries"], SOON).await?;
    handler.stop(SOON).await
}

/// A receiver that never answers, beside one that does.
pub async fn hanging(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 3, &Shape::default()).await?;
    let (hung, good) = (Receiver::plain().await?, Receiver::plain().await?);
    hung.answer_otherwise(Answer::Hang);
    keep_secrets(scene);
    let (hung_url, good_url) = (hung.url(PATH), good.url(PATH));
    let environment = [("WEBHOOK_URL", hung_url.as_str()), ("SLACK_URL", good_url.as_str())];
    let mut handler = scene.polling_handler(&environment).await?;
    scene.announce(AHEAD).await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == 3, "{evicted} of 3 pods evicted; {}", table.summary);
    hung.received(1, SOON).await?;
    for one in good.received(2, SOON).await? {
        let message: Value = serde_json::from_str(&one.request.body)?;
        let text = message["text"].as_str().unwrap_or_default();
        ensure!(text.contains(scene.name()), "{message}");
    }
    // It does not wait for who does not answer.
    handler.stop(SOON).await
}

/// One that refuses for good is not asked again, and the log says what to do.
pub async fn refused(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", 1, &Shape::default()).await?;
    let receiver = Receiver::plain().await?;
    receiver.answer_otherwise(Answer::status(404)?);
    keep_secrets(scene);
    let url = receiver.url(PATH);
    let mut handler = scene.polling_handler(&[("WEBHOOK_URL", &url)]).await?;
    scene.announce(AHEAD).await?;
    handler.verdicts(1, SOON).await?;
    handler.says(&["refused", "404"], SOON).await?;
    receiver.received(2, SOON).await?;
    handler.stop(SOON).await?;
    ensure!(receiver.all().len() == 2, "asked {} times for two messages", receiver.all().len());
    Ok(())
}

fn keep_secrets(scene: &Scene) {
    scene.keep_secret(PATH);
    scene.keep_secret(KEY);
}

fn write_headers(file: &Path) -> Result<()> {
    let headers = json!({"Content-Type": "application/json", "X-Key": KEY});
    fs::write(file, headers.to_string())?;
    Ok(())
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
