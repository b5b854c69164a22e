//! Memory: idle, through a drain of large pods, and after it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::workload::Shape;
use serde_json::json;

use super::CROWDS;
use super::speed::{BESIDES, words};
use crate::goal::Goal;
use crate::memory::Memory;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Afterwards, Course, Stage};
use crate::tool::Tool;

const HANDLER: Tool = Tool::Handler { workers: None };

/// After so many the handler has done all that it does while idle.
const POLLS: usize = 20;
const STARTS: usize = 5;

/// Filler that makes a pod 15 kB long.
const FILLER: usize = 12_900;
const ROUNDS: usize = 3;

/// Measures and prints.
///
/// # Errors
/// A drain fails.
pub async fn measure(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    println!("\n### Memory, KiB\n");
    println!("| | | VmRSS | RssAnon | VmHWM |");
    println!("|---|---|---:|---:|---:|");
    let mut goals = idle(stage, HANDLER).await?;
    if options.peer.is_some() {
        idle(stage, Tool::Peer { unlimited: false }).await?;
    }
    goals.extend(through_a_drain(stage, options).await?);
    Ok(goals)
}

async fn idle(stage: &mut Stage, tool: Tool) -> Result<Vec<Goal>> {
    eprintln!("idle: {tool}");
    let mut all = Vec::new();
    for _ in 0..STARTS {
        all.push(stage.idle(tool).await?);
    }
    let mut memories = Vec::new();
    for (mut running, metadata) in all {
        running.polls(&metadata, POLLS).await?;
        memories.push(Memory::of(running.id()?)?);
        running.end().await?;
    }
    let [resident, anonymous] = print(&format!("{tool} | idle, {STARTS} starts"), &memories);
    Ok(vec![
        Goal::at_most("idle: RssAnon, median", 150.0, anonymous, " KiB", 0),
        Goal::at_most("idle: VmRSS, median", 1280.0, resident, " KiB", 0),
    ])
}

async fn through_a_drain(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    let pods = CROWDS[1];
    let filler = json!({"bench/filler": "x".repeat(FILLER)});
    stage.fill(pods, &Shape { annotations: filler, ..Shape::default() }).await?;
    let size = stage.pod_size().await?;
    ensure!(size > 14_500, "a pod of {size} bytes is too small");

    let mut tools = vec![HANDLER; ROUNDS];
    tools.push(Tool::Kubectl);
    tools.extend(options.peer.as_ref().map(|_| Tool::Peer { unlimited: true }));
    let mut peaks = Series::default();
    for tool in tools {
        eprintln!("{pods} pods of {size} bytes: {tool}");
        let drain = stage.drain(tool, Course::default()).await?;
        if tool == HANDLER {
            peaks.push(drain.peak as f64);
        } else {
            println!("| {tool} | through a drain | – | – | {} |", drain.peak);
        }
    }

    eprintln!("{pods} pods of {size} bytes: {HANDLER}, beyond the announced end");
    let course = Course { ahead: Duration::from_secs(25), stay: true };
    let whole = stage.drain(HANDLER, course).await?;
    peaks.push(whole.peak as f64);
    println!("| {HANDLER} | through a drain, {} rounds | – | – | {peaks} |", peaks.len());
    let Afterwards { emptied, ended } = whole.afterwards.context("nobody looked")?;
    print(&format!("{HANDLER} | 12 s after the last pod, watch still open"), &[emptied]);
    print(&format!("{HANDLER} | 10 s after the announced end"), &[ended]);
    println!("\nThrough a drain: {pods} pods of {size} bytes each.");
    println!("Requests of the last one, its end included: {}.", words(&whole.requests));

    Ok(vec![
        Goal::at_most("10 s after a drain: RssAnon", 150.0, ended.anonymous as f64, " KiB", 0),
        Goal::at_most(
            format!(
                "through a drain of {pods} pods of {:.1} kB: VmHWM, at most",
                size as f64 / 1000.0
            ),
            3072.0,
            peaks.max().context("no rounds")?,
            " KiB",
            0,
        ),
        Goal::at_most(
            format!("{pods} pods: requests in all, the note at the end included"),
            (pods + BESIDES) as f64,
            whole.asked_of_its_own() as f64,
            "",
            0,
        ),
    ])
}

/// Prints the row and gives the medians of what is resident and anonymous.
fn print(title: &str, memories: &[Memory]) -> [f64; 2] {
    let series = |of: fn(&Memory) -> u64| memories.iter().map(|one| of(one) as f64).collect();
    let resident: Series = series(|one| one.resident);
    let anonymous: Series = series(|one| one.anonymous);
    let peak: Series = series(|one| one.peak);
    println!("| {title} | {resident} | {anonymous} | {peak} |");
    [resident, anonymous].map(|series| series.median().unwrap_or(f64::NAN))
}
