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

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::audit::Exchange;
use crate::cluster::{Binaries, Cluster, Pki, Plan, Release};
use crate::manifest;
use crate::relay::Ends;
use crate::run::Tally;
use cell::{AuditLog, Ground, Played, Who};
use pace::Pace;
use table::Cell;

/// Where it plays.
const PLAN: Plan = Plan {
    name: "matrix",
    release: Release::V1_37,
    flags: &[],
    etcd_distance: Duration::ZERO,
    controllers: false,
    kubelets: false,
};

/// How many cells are under way at a time. They wait nearly all of the time.
const SIDE_BY_SIDE: usize = 150;

/// How many of them are set up at a time: it is then that they cost something.
const BUILDERS: usize = 8;

/// How often a cell is played at most.
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
        for cell in &mut cells {
            cell.brief = matches!(self, Self::Smoke);
        }
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
    programs: (&Path, Option<&Path>),
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
        program: programs.0.to_owned(),
        peer: programs.1.map(Path::to_owned),
        folder: folder.join("cells"),
        builders: Semaphore::new(BUILDERS),
        pace: Pace::start(cluster.client()).await?,
        audit: AuditLog::of(&cluster.audit_log()),
        cluster,
    });
    let judged = play(&ground, Who::Handler, selection.cells()).await;
    let mut peers = BTreeMap::new();
    if ground.peer.is_some() {
        ground.admit_peers().await?;
        let mut cells = selection.cells();
        cells.retain(table::is_for_peers);
        let judged = play(&ground, Who::Peer, cells).await;
        peers = judged.into_iter().map(|(cell, judged)| (cell.name(), judged.plain)).collect();
    }
    let by_itself = ground.cluster.check_running().await;
    ground.cluster.stop().await?;
    by_itself?;

    let mut tally = Tally::default();
    let mut outcomes = Vec::new();
    for (cell, judged) in judged {
        let name = cell.name();
        if let Some(peer) = peers.get(&name) {
            println!("{name:<62} {:<24} peer: {peer}", judged.plain);
        }
        outcomes.extend(judged.outcome.map(|outcome| (cell, outcome)));
        match judged.held {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                tally.failed += 1;
                println!("FAILED  {name}\n  {}", format!("{error:#}").replace('\n', "\n  "));
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

/// What is made of a cell.
struct Judged {
    /// In the words of the page, if it was played.
    outcome: Option<String>,
    /// In words for any program.
    plain: String,
    /// Whether what must hold did.
    held: Result<()>,
}

async fn play(ground: &Arc<Ground>, who: Who, cells: Vec<Cell>) -> Vec<(Cell, Judged)> {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut tasks = JoinSet::new();
    for cell in cells {
        let (ground, place) = (Arc::clone(ground), Arc::clone(&places).acquire_owned().await);
        tasks.spawn(async move {
            let _place = place;
            (cell, play_and_judge(&ground, who, cell).await)
        });
    }
    tasks.join_all().await
}

/// What does not hold while the control plane is slow says nothing, and is tried again.
async fn play_and_judge(ground: &Ground, who: Who, cell: Cell) -> Judged {
    let prefix = if who == Who::Peer { "p-" } else { "" };
    let first = format!("{prefix}{}", cell.name());
    let again = (2..=MOST_TRIES).map(|number| format!("{first}-{number}"));
    let mut last = Judged { outcome: None, plain: String::new(), held: Ok(()) };
    for name in [first.clone()].into_iter().chain(again) {
        let played = timeout(LONGEST, cell::play(ground, who, cell, name)).await;
        let played = played.with_context(|| format!("not over after {LONGEST:?}"));
        let (was_slow, judged) = match played.and_then(|played| played) {
            Ok(played) => (played.was_slow, judge(ground, &played)),
            Err(error) => {
                let plain = format!("{error:#}");
                (false, Judged { outcome: None, plain, held: Err(error) })
            }
        };
        last = judged;
        let known = last.outcome.as_ref().is_none_or(|outcome| page::knows(&cell, outcome));
        if !was_slow || last.held.is_ok() && known {
            break;
        }
    }
    last
}

fn judge(ground: &Ground, played: &Played) -> Judged {
    let audit = match ground.audit.of_node(&played.name) {
        Ok(audit) => audit,
        Err(error) => return Judged { outcome: None, plain: String::new(), held: Err(error) },
    };
    let outcome = judge::outcome(played, &audit);
    let kept = keep(&ground.folder, played, &audit, &outcome);
    let held = kept.and_then(|()| judge::check(played, &audit));
    Judged { outcome: Some(outcome), plain: judge::plain_outcome(played), held }
}

impl Ground {
    /// Gives the handler's account what peers need besides, as the measurements do.
    async fn admit_peers(&self) -> Result<()> {
        let grants = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/peers.yaml");
        self.cluster.run_kubectl(&["apply", "-f", &grants.to_string_lossy()]).await?;
        // Not all of them say which pod they mean.
        let held = ["delete", "validatingadmissionpolicybinding", "k8s-spot-handler-evictions"];
        self.cluster.run_kubectl(&held).await?;
        Ok(())
    }
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
