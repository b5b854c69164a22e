//! The matrix of faults: each at each step, once, for ten seconds and for ever, between the handler and a real API
//! server, and between it and a stand-in for the metadata service. Many cells side by side, each with a node, a
//! namespace, pods, a handler and relays of its own, on one control plane.

mod cell;
mod judge;
mod pace;
pub mod page;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::audit::{self, Exchange};
use crate::cluster::{Binaries, Cluster, Pki, Plan, Release};
use crate::manifest;
use crate::relay::Ends;
use crate::run::Tally;
use cell::{Ground, Played};
use pace::Pace;
use table::Cell;

/// Where it plays.
const PLAN: Plan = Plan {
    name: "matrix",
    release: Release::V1_37,
    flags: &[],
    etcd_distance: Duration::ZERO,
    controllers: false,
};

/// How many cells are under way at a time. They wait nearly all of the time.
const SIDE_BY_SIDE: usize = 150;

/// How many of them are set up at a time: it is then that they cost something.
const BUILDERS: usize = 8;

/// How often a cell is played at most: again, where the control plane was slow meanwhile.
const MOST_TRIES: u32 = 5;

/// No cell takes longer.
const LONGEST: Duration = Duration::from_mins(4);

/// Which cells.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All.
    All,
    /// A few.
    Smoke,
    /// Those whose name has one of these in it.
    Named(Vec<String>),
}

impl Selection {
    /// The cells, in order.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = table::cells();
        cells.retain(|cell| match self {
            Self::All => true,
            Self::Smoke => table::is_smoke(cell),
            Self::Named(parts) => parts.iter().any(|part| cell.name().contains(part)),
        });
        cells
    }
}

/// Plays them and holds the page to what comes of them.
///
/// # Errors
/// The control plane does not start or stop, or the page says something else.
pub async fn run(
    selection: &Selection,
    binaries: &Binaries,
    program: &Path,
    deploy: &Path,
    folder: &Path,
) -> Result<Tally> {
    let cluster = Cluster::start(PLAN, binaries, &folder.join("clusters")).await?;
    manifest::apply(&cluster, deploy).await.context("applying the manifests")?;
    let stranger =
        Pki::create(&folder.join("stranger"), "another-authority")?.server("stranger")?;
    let identity = cluster.server_identity("relay")?;
    let ends = Ends::secure(&identity, &cluster.authority(), cluster.port())?;
    let ground = Arc::new(Ground {
        ends: ends.with_stranger(&stranger)?,
        program: program.to_owned(),
        folder: folder.join("cells"),
        builders: Semaphore::new(BUILDERS),
        pace: Pace::start(cluster.client()).await?,
        cluster,
    });
    let played = play(&ground, selection.cells()).await;
    let audit = by_node(audit::read(&ground.cluster.audit_log())?);
    let by_itself = ground.cluster.check_running().await;
    ground.cluster.stop().await?;
    by_itself?;

    let mut tally = Tally::default();
    let mut outcomes = Vec::new();
    let none = Vec::new();
    for (cell, played) in played {
        let judged = played.and_then(|played| {
            let audit = audit.get(&played.name).unwrap_or(&none);
            let outcome = judge::outcome(&played, audit);
            keep(&ground.folder, &played, audit, &outcome)?;
            outcomes.push((cell, outcome));
            judge::check(&played, audit)
        });
        match judged {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                tally.failed += 1;
                println!(
                    "FAILED  {}\n  {}",
                    cell.name(),
                    format!("{error:#}").replace('\n', "\n  ")
                );
            }
        }
    }
    print!("{}", page::summary(&outcomes));
    if let Err(error) = page::settle(&outcomes) {
        println!("FAILED  the page\n  {}", format!("{error:#}").replace('\n', "\n  "));
        tally.failed += 1;
    }
    Ok(tally)
}

async fn play(ground: &Arc<Ground>, cells: Vec<Cell>) -> Vec<(Cell, Result<Played>)> {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut tasks = JoinSet::new();
    for cell in cells {
        let (ground, place) = (Arc::clone(ground), Arc::clone(&places).acquire_owned().await);
        tasks.spawn(async move {
            let _place = place;
            let played = try_to_play(&ground, cell).await;
            (cell, played)
        });
    }
    tasks.join_all().await
}

async fn try_to_play(ground: &Ground, cell: Cell) -> Result<Played> {
    for number in 1..=MOST_TRIES {
        let name = cell.name();
        let name = if number == 1 { name } else { format!("{name}-{number}") };
        let played = timeout(LONGEST, cell::play(ground, cell, name)).await;
        if let Some(played) = played.with_context(|| format!("not over after {LONGEST:?}"))?? {
            return Ok(played);
        }
    }
    bail!("played {MOST_TRIES} times, and the control plane was slow each time")
}

fn by_node(exchanges: Vec<Exchange>) -> BTreeMap<String, Vec<Exchange>> {
    let mut all: BTreeMap<String, Vec<Exchange>> = BTreeMap::new();
    for exchange in exchanges {
        all.entry(exchange.node.clone()).or_default().push(exchange);
    }
    all
}

/// Writes down what was seen, beside the handler's log.
fn keep(folder: &Path, played: &Played, audit: &[Exchange], outcome: &str) -> Result<()> {
    let folder = folder.join(&played.name);
    let lines = |all: Vec<String>| all.join("\n");
    let asked = played.asked.iter().map(|one| {
        let status = one.status.map_or("-".to_owned(), |code| code.to_string());
        let until = one.answered.map_or("open".to_owned(), |at| at.to_string());
        let fault = if one.met_fault { " fault" } else { "" };
        format!(
            "{} {} → {status} {until}{fault} {}",
            one.received, one.request.line, one.request.body
        )
    });
    std::fs::write(folder.join("asked.txt"), lines(asked.collect()))?;
    std::fs::write(
        folder.join("audit.txt"),
        lines(audit.iter().map(ToString::to_string).collect()),
    )?;
    let seen = lines(played.sightings.iter().map(ToString::to_string).collect());
    let end = format!("{seen}\nannounced end: {}\noutcome: {outcome}\n", played.deadline);
    std::fs::write(folder.join("seen.txt"), end)?;
    Ok(())
}
