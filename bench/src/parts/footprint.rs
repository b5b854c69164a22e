//! Memory: idle, through a drain of large pods, and after it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::workload::Shape;
use serde_json::json;

use super::CROWDS;
use super::speed::{BESIDES, words};
use crate::goal::Goal;
use crate::group::{Charged, Group};
use crate::memory::Memory;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Afterwards, Course, Stage};
use crate::tool::{Taken, Tool};

/// After so many the handler has done all that it does while idle.
const POLLS: usize = 20;
/// Its pages have been asked for that often by then, if it has any: for 15 s.
const SCRAPES: usize = 15;
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
    println!("| | | VmRSS | RssAnon | VmHWM | cgroup | its peak |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let mut goals = while_idle(stage, options).await?;
    if options.peer.is_some() {
        let peer = Tool::Peer { unlimited: false };
        let [memories] = idle(stage, [peer]).await?;
        print_idle(peer, &memories);
    }
    goals.extend(through_a_drain(stage, options).await?);
    if Group::make().is_none() {
        println!("\nThis machine lets no cgroup be made: what it would be charged is not known.");
    }
    Ok(goals)
}

async fn while_idle(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    let [handler, serving] = idle(stage, [Tool::HANDLER, Tool::SERVING]).await?;
    print_idle(Tool::HANDLER, &handler);
    print_idle(Tool::SERVING, &serving);
    if options.against.is_some() {
        let [other] = idle(stage, [Tool::OTHER]).await?;
        print_idle(Tool::OTHER, &other);
    }
    let anonymous = median(&handler, |one| one.anonymous)?;
    let with_pages = median(&serving, |one| one.anonymous)?;
    let mut goals = vec![
        Goal::at_most("idle: RssAnon, median", 150.0, anonymous, " KiB", 0),
        Goal::at_most(
            "idle with metrics and probes on: RssAnon more than without, medians",
            60.0,
            with_pages - anonymous,
            " KiB",
            0,
        ),
    ];
    if let Some(charged) = charged(&handler, |charged| charged.current).median() {
        goals.push(Goal::at_most("idle: cgroup, median", 732.0, charged, " KiB", 0));
    }
    Ok(goals)
}

/// All at the same time.
async fn idle<const TOOLS: usize>(
    stage: &mut Stage,
    tools: [Tool; TOOLS],
) -> Result<[Vec<Memory>; TOOLS]> {
    let mut all = Vec::new();
    for _ in 0..STARTS {
        for (place, tool) in tools.into_iter().enumerate() {
            eprintln!("idle: {tool}");
            all.push((place, stage.idle(tool).await?));
        }
    }
    let mut memories = tools.map(|_| Vec::new());
    for (place, (mut running, metadata)) in all {
        running.polls(&metadata, POLLS).await?;
        let scraped = running.scraped();
        let serves = tools.get(place) == Some(&Tool::SERVING);
        ensure!(!serves || scraped >= SCRAPES, "its pages were asked for {scraped} times only");
        memories.get_mut(place).context("no such place")?.push(running.memory()?);
        running.end().await?;
    }
    Ok(memories)
}

fn print_idle(tool: Tool, memories: &[Memory]) {
    print(&format!("{tool} | idle, {STARTS} starts"), memories);
}

async fn through_a_drain(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    let pods = CROWDS[1];
    let filler = json!({"bench/filler": "x".repeat(FILLER)});
    stage.fill(pods, &Shape { annotations: filler, ..Shape::default() }).await?;
    let size = stage.pod_size().await?;
    ensure!(size > 14_500, "a pod of {size} bytes is too small");

    let mut tools: Vec<_> = [Tool::HANDLER, Tool::REPORTING].repeat(ROUNDS);
    tools.extend(options.against.as_ref().map(|_| Tool::OTHER));
    tools.push(Tool::Kubectl);
    tools.extend(options.peer.as_ref().map(|_| Tool::Peer { unlimited: true }));
    let (mut taken, mut reporting) = (Vec::new(), Vec::new());
    for tool in tools {
        eprintln!("{pods} pods of {size} bytes: {tool}");
        let its = stage.drain(tool, Course::default()).await?.taken;
        match tool {
            Tool::HANDLER => taken.push(its),
            Tool::REPORTING => reporting.push(its),
            _ => {
                print_peaks(tool, &[its]);
            }
        }
    }

    eprintln!("{pods} pods of {size} bytes: {}, beyond the announced end", Tool::HANDLER);
    let course = Course { ahead: Duration::from_secs(25), stay: true };
    let whole = stage.drain(Tool::HANDLER, course).await?;
    taken.push(whole.taken);
    let [peaks, charged] = print_peaks(Tool::HANDLER, &taken);
    print_peaks(Tool::REPORTING, &reporting);
    let handler = Tool::HANDLER;
    let Afterwards { emptied, ended } = whole.afterwards.context("nobody looked")?;
    print(&format!("{handler} | 12 s after the last pod, watch still open"), &[emptied]);
    print(&format!("{handler} | 10 s after the announced end"), &[ended]);
    println!("\nThrough a drain: {pods} pods of {size} bytes each.");
    println!("Requests of the last one, its end included: {}.", words(&whole.requests));

    let through = format!("through a drain of {pods} pods of {:.1} kB", size as f64 / 1000.0);
    let mut goals = vec![
        Goal::at_most("10 s after a drain: RssAnon", 160.0, ended.anonymous as f64, " KiB", 0),
        Goal::at_most(
            format!("{through}: VmHWM, at most"),
            2048.0,
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
    ];
    if let Some(charged) = charged.median() {
        let what = format!("{through}: the cgroup's peak, median");
        goals.push(Goal::at_most(what, 1945.0, charged, " KiB", 0));
    }
    Ok(goals)
}

/// Prints the row and gives the peaks, of the process and of its cgroup.
fn print_peaks(tool: Tool, taken: &[Taken]) -> [Series; 2] {
    let peaks: Series = taken.iter().map(|one| one.peak as f64).collect();
    let charged: Series = taken.iter().filter_map(|one| Some(one.charged? as f64)).collect();
    let rounds = taken.len();
    println!("| {tool} | through a drain, rounds: {rounds} | – | – | {peaks} | – | {charged} |");
    [peaks, charged]
}

fn print(title: &str, memories: &[Memory]) {
    let series =
        |of: fn(&Memory) -> u64| memories.iter().map(|one| of(one) as f64).collect::<Series>();
    let resident = series(|one| one.resident);
    let anonymous = series(|one| one.anonymous);
    let peak = series(|one| one.peak);
    let current = charged(memories, |charged| charged.current);
    let highest = charged(memories, |charged| charged.peak);
    println!("| {title} | {resident} | {anonymous} | {peak} | {current} | {highest} |");
}

fn median(memories: &[Memory], of: fn(&Memory) -> u64) -> Result<f64> {
    let series: Series = memories.iter().map(|one| of(one) as f64).collect();
    series.median().context("nobody looked")
}

/// Of those that have a cgroup.
fn charged(memories: &[Memory], of: fn(&Charged) -> u64) -> Series {
    memories.iter().filter_map(|one| Some(of(&one.charged?) as f64)).collect()
}
