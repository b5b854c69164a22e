//! `promtool`, Prometheus' own judge of what a target serves.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Holds a page of metrics against Prometheus' conventions: names, units, types, help. It reads the
/// text format, not `OpenMetrics`.
///
/// # Errors
/// It breaks one; the message holds what `promtool check metrics` said.
pub async fn check_metrics(text: &str) -> Result<()> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting promtool (is Debian's package prometheus installed?)")?;
    let mut input = child.stdin.take().context("no way to promtool")?;
    // A page that it refuses early is not read to its end.
    let written = input.write_all(text.as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&said));
    Ok(written?)
}
