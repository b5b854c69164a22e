//! A hundred pods behind one budget that lets all of them go at once. The API server counts each
//! eviction in the budget's status, and those that meet there wait for each other.

use anyhow::{Context, Result};
use e2e::workload::Shape;

use super::compared::Compared;
use crate::goal::Goal;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Course, Stage};
use crate::tool::Tool;

const PODS: usize = 100;

/// Enough to see what it is about: with etcd far away a round takes half a minute.
const ROUNDS: usize = 3;

/// Measures.
///
/// # Errors
/// A drain fails.
pub async fn measure(stage: &mut Stage, options: &Options) -> Result<Compared> {
    stage.fill(PODS, &Shape::default()).await?;
    stage.put_budget().await?;
    let mut compared = Compared { pods: PODS, rounds: Vec::new() };
    for number in 0..ROUNDS.min(options.rounds) {
        let mut tools = vec![Tool::HANDLER];
        tools.extend(options.against.as_ref().map(|_| Tool::OTHER));
        if number % 2 == 1 {
            tools.reverse();
        }
        let mut round = Vec::new();
        for tool in tools {
            eprintln!("{PODS} pods behind a budget, round {}: {tool}", number + 1);
            round.push((tool, stage.drain(tool, Course::default()).await?));
        }
        compared.rounds.push(round);
    }
    Ok(compared)
}

/// Prints what came on both control planes, and gives the goals.
///
/// # Errors
/// There were no rounds.
pub fn print(near: &Compared, far: &Compared) -> Result<Vec<Goal>> {
    println!("\n### One budget that lets all go\n");
    println!(
        "| etcd | | rounds | seconds: median (min–max) | requests, all / refused \
         | evictions for {PODS} pods | deleted |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    let mut goals = Vec::new();
    for (place, compared) in [("beside it", near), ("20 ms away", far)] {
        for tool in compared.tools() {
            let series = |of: &dyn Fn(&crate::drain::Drain) -> usize| -> Series {
                compared.of(tool).map(|drain| of(drain) as f64).collect()
            };
            let asked = series(&|drain| drain.asked());
            let refused = series(&|drain| drain.refused);
            let evictions = series(&|drain| drain.evictions());
            let deleted = series(&|drain| drain.deleted);
            println!(
                "| {place} | {tool} | {} | {:.2} | {asked} / {refused} | {evictions} | {deleted} |",
                compared.of(tool).count(),
                compared.evicting(tool),
            );
            if tool == Tool::HANDLER {
                let most = deleted.max().context("no rounds")?;
                let what = format!("{PODS} pods behind a budget, etcd {place}: deleted, at most");
                goals.push(Goal::at_most(what, 0.0, most, "", 0));
            }
        }
        goals.extend(compared.against_the_other(&format!(" behind a budget, etcd {place}")));
    }
    Ok(goals)
}
