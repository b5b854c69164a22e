//! From the cordon to the last accepted eviction, beside the peers; with what
//! it took in requests and memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use e2e::workload::Shape;

use super::CROWDS;
use crate::drain::Drain;
use crate::goal::Goal;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Course, Stage};
use crate::tool::Tool;

const HANDLER: Tool = Tool::Handler { workers: None };
/// What the handler is held against: as many connections as it has at most.
const BARE: Tool = Tool::Bare { connections: 32 };

/// A tool that limits itself takes half a minute for 110 pods, and the same
/// each time.
const SLOW_ROUNDS: usize = 2;

/// Requests besides one for each pod: the Node read and changed at the
/// beginning and at the end, the watch, and one to spare.
pub const BESIDES: usize = 6;

/// All drains with one crowd, by who did them.
struct Compared {
    pods: usize,
    drains: Vec<(Tool, Vec<Drain>)>,
}

/// Measures and prints.
///
/// # Errors
/// A drain fails.
pub async fn measure(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    println!("\n### From the cordon to the last accepted eviction\n");
    println!(
        "| pods | | rounds | seconds: median (min–max) | requests, all / refused | peak VmHWM, KiB |"
    );
    println!("|---:|---|---:|---:|---:|---:|");
    let mut goals = Vec::new();
    let mut noticing = Series::default();
    let mut asked = BTreeMap::new();
    for pods in CROWDS {
        stage.fill(pods, &Shape::default()).await?;
        let compared = compare(stage, pods, options).await?;
        compared.print();
        goals.extend(compared.goals()?);
        for drain in compared.of(HANDLER) {
            drain.noticing.into_iter().for_each(|one| noticing.push(one));
            *asked.entry((pods, words(&drain.requests))).or_insert(0) += 1;
        }
    }
    println!("\nThe handler's requests, until the node was empty:\n");
    for ((pods, requests), times) in asked {
        println!("- {pods} pods, {times} ×: {requests}");
    }
    println!("\nFrom the first poll answered with a notice to the cordon: {noticing:.1} ms.");
    let median = noticing.median().context("no notices")?;
    let what = format!("first poll that sees the notice → cordon, median of {}", noticing.len());
    goals.push(Goal::at_most(what, 100.0, median, " ms", 1));
    Ok(goals)
}

async fn compare(stage: &mut Stage, pods: usize, options: &Options) -> Result<Compared> {
    let peer = options.peer.is_some();
    let mut compared = Compared { pods, drains: Vec::new() };
    for round in 0..options.rounds {
        let slow = pods == CROWDS[0] && round < SLOW_ROUNDS;
        let mut tools = vec![HANDLER, BARE];
        tools.extend(peer.then_some(Tool::Peer { unlimited: true }));
        tools.extend(slow.then_some(Tool::Kubectl));
        tools.extend((slow && peer).then_some(Tool::Peer { unlimited: false }));
        // Nobody is always the one that comes first.
        if round % 2 == 1 {
            tools.reverse();
        }
        for tool in tools {
            eprintln!("{pods} pods, round {}: {tool}", round + 1);
            let drain = stage.drain(tool, Course::default()).await?;
            compared.add(tool, drain);
        }
    }
    Ok(compared)
}

impl Compared {
    fn add(&mut self, tool: Tool, drain: Drain) {
        match self.drains.iter_mut().find(|(known, _)| *known == tool) {
            Some((_, drains)) => drains.push(drain),
            None => self.drains.push((tool, vec![drain])),
        }
    }

    fn of(&self, tool: Tool) -> &[Drain] {
        self.drains.iter().find(|(known, _)| *known == tool).map_or(&[], |(_, drains)| drains)
    }

    fn evicting(&self, tool: Tool) -> Series {
        self.of(tool).iter().map(|drain| drain.evicting).collect()
    }

    fn print(&self) {
        for (tool, drains) in &self.drains {
            let seconds = self.evicting(*tool);
            let asked: Series = drains.iter().map(|drain| drain.asked() as f64).collect();
            let refused: Series = drains.iter().map(|drain| drain.refused as f64).collect();
            let peak: Series = drains.iter().map(|drain| drain.peak as f64).collect();
            println!(
                "| {} | {tool} | {} | {seconds:.3} | {asked} / {refused} | {peak} |",
                self.pods,
                drains.len(),
            );
        }
    }

    fn goals(&self) -> Result<Vec<Goal>> {
        let pods = self.pods;
        let handler = self.evicting(HANDLER).median().context("no rounds")?;
        let mut goals = Vec::new();
        if let Some(kubectl) = self.evicting(Tool::Kubectl).median() {
            let what = format!("{pods} pods: times sooner than kubectl drain");
            goals.push(Goal::at_least(what, 15.0, kubectl / handler, " ×"));
        }
        let held_against = match self.of(Tool::Peer { unlimited: true }) {
            [] => BARE,
            _ => Tool::Peer { unlimited: true },
        };
        if pods == CROWDS[1] {
            // Round by round: the machine's speed drifts.
            let pairs = self.of(HANDLER).iter().zip(self.of(held_against));
            let ratios: Series =
                pairs.map(|(ours, theirs)| ours.evicting / theirs.evicting).collect();
            let what = format!("{pods} pods: time, compared with {held_against}: {ratios:.2}");
            let ratio = ratios.median().context("no rounds")?;
            goals.push(Goal::at_most(what, 1.2, ratio, " ×", 2));
        }
        let granted = self.of(HANDLER).iter().filter(|drain| drain.refused == 0);
        let asked: Series = granted.map(|drain| drain.asked_of_its_own() as f64).collect();
        let most = asked.max().context("every drain had a request refused")?;
        let what = format!("{pods} pods: requests until the node is empty, at most");
        goals.push(Goal::at_most(what, (pods + BESIDES) as f64, most, "", 0));
        Ok(goals)
    }
}

/// `1 get nodes, 110 create pods/eviction …`
pub fn words(requests: &BTreeMap<String, usize>) -> String {
    let words = requests.iter().map(|(what, count)| format!("{count} {what}"));
    words.collect::<Vec<_>>().join(", ")
}
