//! From the cordon to the last accepted eviction, beside the peers and beside
//! the handler with all reports on; with what it took in requests and memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use e2e::workload::Shape;

use super::CROWDS;
use super::compared::Compared;
use crate::goal::Goal;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Course, Stage};
use crate::tool::Tool;

/// What HTTP/1.1 gives: more connections are hardly sooner.
const BARE: Tool = Tool::Bare { connections: 32 };

/// How long the handler may take, compared with the peer whose limit is out of the way, for each crowd.
const BESIDE_THE_PEER: [f64; 2] = [0.65, 0.85];

/// A tool that limits itself takes half a minute for 110 pods, and the same
/// each time.
const SLOW_ROUNDS: usize = 2;

/// Where two drains of the same kind are further apart than this part of one, the
/// machine is too busy to say that something is as fast as something else.
const MOST_APART: f64 = 0.2;

/// Requests besides one for each pod: the Node read and changed at the
/// beginning and at the end, the watch, and one to spare.
pub const BESIDES: usize = 6;

/// Measures and prints.
///
/// # Errors
/// A drain fails.
pub async fn measure(stage: &mut Stage, options: &Options) -> Result<Vec<Goal>> {
    println!("\n### From the cordon to the last accepted eviction\n");
    Compared::print_head();
    let mut all = Vec::new();
    for pods in CROWDS {
        stage.fill(pods, &Shape::default()).await?;
        let compared = compare(stage, pods, options).await?;
        compared.print();
        all.push(compared);
    }
    let mut goals = Vec::new();
    for compared in &all {
        goals.extend(against_others(compared)?);
        goals.extend(against_itself(compared)?);
        goals.extend(compared.against_the_other(""));
    }
    print_requests(&all);
    goals.push(noticing(&all)?);
    Ok(goals)
}

async fn compare(stage: &mut Stage, pods: usize, options: &Options) -> Result<Compared> {
    let mut compared = Compared { pods, rounds: Vec::new() };
    for number in 0..options.rounds {
        let mut tools = if pods == CROWDS[0] { small(number, options) } else { large(options) };
        // Nobody is always the one that comes first.
        if number % 2 == 1 {
            tools.reverse();
        }
        let mut round = Vec::new();
        for tool in tools {
            eprintln!("{pods} pods, round {}: {tool}", number + 1);
            round.push((tool, stage.drain(tool, Course::default()).await?));
        }
        compared.rounds.push(round);
    }
    Ok(compared)
}

fn small(number: usize, options: &Options) -> Vec<Tool> {
    let peer = options.peer.is_some();
    let slow = number < SLOW_ROUNDS;
    let mut tools = vec![Tool::HANDLER];
    tools.extend(options.against.as_ref().map(|_| Tool::OTHER));
    tools.push(BARE);
    tools.extend(peer.then_some(Tool::Peer { unlimited: true }));
    tools.extend(slow.then_some(Tool::Kubectl));
    tools.extend((slow && peer).then_some(Tool::Peer { unlimited: false }));
    tools
}

/// The handler has two turns in each round, which says how far apart two runs of
/// the same thing are.
fn large(options: &Options) -> Vec<Tool> {
    let mut tools = vec![Tool::HANDLER, Tool::REPORTING];
    tools.extend(options.against.as_ref().map(|_| Tool::OTHER));
    tools.push(BARE);
    tools.extend(options.peer.as_ref().map(|_| Tool::Peer { unlimited: true }));
    tools.push(Tool::HANDLER);
    tools
}

fn against_others(compared: &Compared) -> Result<Vec<Goal>> {
    let pods = compared.pods;
    let handler = compared.evicting(Tool::HANDLER).median().context("no rounds")?;
    let mut goals = Vec::new();
    if let Some(kubectl) = compared.evicting(Tool::Kubectl).median() {
        let what = format!("{pods} pods: times sooner than kubectl drain");
        goals.push(Goal::at_least(what, 15.0, kubectl / handler, " ×"));
    }
    for (crowd, aim) in CROWDS.into_iter().zip(BESIDE_THE_PEER) {
        let peer = Tool::Peer { unlimited: true };
        let ratios = compared.ratios(Tool::HANDLER, peer);
        if let Some(ratio) = ratios.median().filter(|_| crowd == pods) {
            let what = format!("{pods} pods: time, compared with {peer}: {ratios:.2}");
            goals.push(Goal::at_most(what, aim, ratio, " ×", 2));
        }
    }
    let connections = compared.of(Tool::HANDLER).map(|drain| drain.connections as f64);
    let most = connections.collect::<Series>().max().context("no rounds")?;
    let what = format!("{pods} pods: connections to the API server at once, at most");
    goals.push(Goal::at_most(what, 3.0, most, "", 0));
    for tool in [Tool::HANDLER, Tool::REPORTING] {
        if compared.of(tool).next().is_none() {
            continue;
        }
        let granted = compared.of(tool).filter(|drain| drain.refused == 0);
        let asked: Series = granted.map(|drain| drain.asked_of_its_own() as f64).collect();
        let most = asked.max().context("every drain had a request refused")?;
        let what = format!("{pods} pods: requests of {tool} until the node is empty, at most");
        goals.push(Goal::at_most(what, (pods + BESIDES) as f64, most, "", 0));
    }
    Ok(goals)
}

/// With all reports on, and without.
fn against_itself(compared: &Compared) -> Result<Option<Goal>> {
    let paired = compared.paired(Tool::REPORTING, Tool::HANDLER);
    let Some(longer) = paired.longer.median() else { return Ok(None) };
    let pods = compared.pods;
    println!("\nA drain of {pods} pods with all reports on, in milliseconds:\n");
    println!("- longer than without: {}, median (min–max) of the rounds;", paired.longer);
    if let Some([least, most]) = paired.longer.median_within() {
        println!("- that is from {least:.0} to {most:.0}, with a confidence of 95 %;");
    }
    println!("- slower than without in {} of {} rounds;", paired.slower_in(), paired.longer.len());
    println!("- two drains without, of the same round, are apart by {}.", paired.apart);
    let apart = paired.apart.median().context("no rounds")?;
    let whole = compared.evicting(Tool::HANDLER).median().context("no rounds")? * 1000.0;
    let what = format!("{pods} pods: longer with all reports on than without, median");
    let aim = apart.min(whole * MOST_APART).round();
    Ok(Some(Goal::at_most(what, aim, longer, " ms", 0)))
}

fn print_requests(all: &[Compared]) {
    let mut asked = BTreeMap::new();
    for compared in all {
        for tool in [Tool::HANDLER, Tool::REPORTING] {
            for drain in compared.of(tool) {
                let key = (compared.pods, tool.to_string(), words(&drain.requests));
                *asked.entry(key).or_insert(0_usize) += 1;
            }
        }
    }
    println!("\nThe handler's requests, until the node was empty:\n");
    for ((pods, tool, requests), times) in asked {
        println!("- {pods} pods, {tool}, {times} ×: {requests}");
    }
}

fn noticing(all: &[Compared]) -> Result<Goal> {
    let of = |tool| -> Series {
        let drains = all.iter().flat_map(|compared| compared.of(tool));
        drains.filter_map(|drain| drain.noticing).collect()
    };
    let (handler, reporting) = (of(Tool::HANDLER), of(Tool::REPORTING));
    println!(
        "\nFrom the first poll answered with a notice to the cordon: {handler:.1} ms; with all \
         reports on: {reporting:.1} ms."
    );
    let median = handler.median().context("no notices")?;
    let what = format!("first poll that sees the notice → cordon, median of {}", handler.len());
    Ok(Goal::at_most(what, 100.0, median, " ms", 1))
}

/// `1 get nodes, 110 create pods/eviction …`
pub fn words(requests: &BTreeMap<String, usize>) -> String {
    let words = requests.iter().map(|(what, count)| format!("{count} {what}"));
    words.collect::<Vec<_>>().join(", ")
}
