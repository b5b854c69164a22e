//! Many nodes with one notice.

use anyhow::{Context, Result};

use crate::crowd::{Crowd, Exodus, Size};
use crate::goal::Goal;
use crate::options::Options;
use crate::series::Series;
use crate::tool::Tool;

/// Each moves a thousand pods: it takes a minute, and is more alike than the others.
const ROUNDS: usize = 3;

/// Measures and prints.
///
/// # Errors
/// A drain fails.
pub async fn measure(crowd: &mut Crowd, options: &Options) -> Result<Vec<Goal>> {
    let Size { nodes, pods } = options.crowd;
    let mut tools = vec![Tool::HANDLER];
    tools.extend(options.against.as_ref().map(|_| Tool::OTHER));
    tools.extend(options.peer.as_ref().map(|_| Tool::Peer { unlimited: true }));
    let mut rows: Vec<(Tool, Vec<Exodus>)> =
        tools.into_iter().map(|tool| (tool, Vec::new())).collect();
    for number in 0..ROUNDS.min(options.rounds) {
        for (tool, row) in &mut rows {
            eprintln!("{nodes} nodes of {pods} pods, round {}: {tool}", number + 1);
            row.push(crowd.drain(*tool).await?);
        }
        rows.reverse();
    }
    rows.sort_by_key(|(tool, _)| *tool != Tool::HANDLER);

    println!("\n### {nodes} nodes of {pods} pods, one notice for all\n");
    println!(
        "| | rounds | seconds: median (min–max) | requests / 429 | connections \
         | API server's CPU, s | all together, MiB: RssAnon | VmHWM | cgroups' peaks |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (tool, row) in &rows {
        let series = |of: &dyn Fn(&Exodus) -> f64| -> Series { row.iter().map(of).collect() };
        let mebibytes = |of: fn(&Exodus) -> u64| series(&|one| of(one) as f64 / 1024.0);
        let charged = row.iter().filter_map(|one| Some(one.charged? as f64 / 1024.0));
        println!(
            "| {tool} | {} | {:.2} | {} / {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            row.len(),
            series(&|one| one.evicting),
            series(&|one| one.requests as f64),
            series(&|one| one.put_off as f64),
            series(&|one| one.connections as f64),
            series(&|one| one.server),
            mebibytes(|one| one.anonymous),
            mebibytes(|one| one.peak),
            charged.collect::<Series>(),
        );
    }

    println!(
        "\nIn the API server's own metrics (FlowSchemas `system-nodes` and `kube-system-service-accounts`):\n"
    );
    println!(
        "| | pods deleted / lost | requests with a seat | refused for want of a seat | wait for a seat, ms: mean \
         | seats in use at most, seen once a second | seats of `system` at most |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (tool, row) in &rows {
        let series = |of: &dyn Fn(&Exodus) -> f64| -> Series { row.iter().map(of).collect() };
        println!(
            "| {tool} | {} / {} | {} | {} | {:.1} | {} | {} |",
            series(&|one| one.deleted as f64),
            series(&|one| one.lost as f64),
            series(&|one| one.seated),
            series(&|one| one.rejected),
            series(&|one| one.waited),
            series(&|one| one.seats),
            series(&|one| one.limit),
        );
    }

    let (_, row) = rows.first().context("no rows")?;
    let series = |of: fn(&Exodus) -> f64| row.iter().map(of).collect::<Series>();
    let [evicting, server] = [series(|one| one.evicting), series(|one| one.server)]
        .map(|series| series.median().unwrap_or(f64::NAN));
    let most = series(|one| one.connections as f64).max().context("no rounds")?;
    let what = |what| format!("{nodes} nodes of {pods} pods: {what}");
    let beside = series(|one| (one.deleted + one.lost) as f64).max().context("no rounds")?;
    let mut goals = vec![Goal::at_most(what("deleted or lost, at most"), 0.0, beside, "", 0)];
    // The others are those of one size.
    if options.crowd != Size::DEFAULT {
        return Ok(goals);
    }
    goals.extend([
        Goal::at_most(what("first cordon → last accepted, median"), 4.5, evicting, " s", 2),
        Goal::at_most(what("the API server's CPU, median"), 9.0, server, " s", 1),
        Goal::at_most(what("connections at once, at most"), 120.0, most, "", 0),
    ]);
    Ok(goals)
}
