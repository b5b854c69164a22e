//! A thousand nodes and more with one notice, simulated.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use crate::fleet::{Configured, Identity, Outcome, Retry, Setup, Shape, simulate};

/// Nodes, pods on each, seconds to the last accepted eviction, and processor time of the API server until the nodes
/// are empty: as README.md has them.
const MEASURED: [(usize, usize, f64, Option<f64>); 3] =
    [(1, 110, 0.45, None), (1, 250, 1.37, None), (40, 25, 6.8, Some(20.7))];
/// What is next, as far as a machine does it.
const NEXT: (usize, usize) = (100, 30);

const NODES: [usize; 2] = [1000, 5000];
const PODS: usize = 30;
const CORES: [f64; 4] = [8.0, 16.0, 32.0, 64.0];
const STREAMS: [usize; 2] = [8, 32];
const JITTERS: [f64; 3] = [0.0, 1.0, 5.0];

const CELL: &str = "Each cell: when the last pod was told to end; answers 429; pods that were not told to \
                    end by 88 s (in brackets: by 120 s); how long the slowest of a hundred requests of \
                    other nodes' kubelets took that were not refused.";

const RETRIES: [(&str, Retry); 4] = [
    ("`Retry-After` to the second", Retry::TO_THE_SECOND),
    ("and up to as much again at random", Retry { longest: f64::INFINITY, spread: 1.0 }),
    ("5 s at most, and up to as much again", Retry::SPREAD),
    ("2 s at most, and up to as much again", Retry { longest: 2.0, spread: 1.0 }),
];

/// Simulates and prints.
pub fn print() {
    println!("### The model, and what was measured\n");
    fitted();
    println!("\n### What a handler does when it is refused\n");
    println!("With 32 evictions side by side and no jitter. {CELL}\n");
    table(&fleets(), &RETRIES.map(|(name, retry)| (name.to_owned(), Change::Retry(retry))));
    println!("\n### How many evictions side by side, and how much jitter\n");
    println!("Refusals are obeyed for 5 s at most, and up to as much again at random. {CELL}\n");
    let rows = fleets().into_iter().flat_map(|(name, setup)| {
        let setup = Setup { retry: Retry::SPREAD, ..setup };
        // With no more pods than streams, more streams change nothing.
        STREAMS
            .map(|streams| (format!("{name}, {streams} side by side"), Setup { streams, ..setup }))
    });
    let jitters = JITTERS.map(|jitter| (format!("jitter {jitter} s"), Change::Jitter(jitter)));
    table(&rows.collect::<Vec<_>>(), &jitters);
    println!("\n### Other clusters\n");
    println!("With 1000 nodes of 30 pods and 32 cores; refusals are obeyed as before. {CELL}\n");
    table(&others(), &[("outcome".to_owned(), Change::Nothing)]);
}

fn fitted() {
    println!(
        "| nodes × pods | last accepted, s: measured | model | API server's CPU, s: measured | model |"
    );
    println!("|---|---:|---:|---:|---:|");
    let next = (NEXT.0, NEXT.1, f64::NAN, None);
    for (nodes, pods, last, processor) in MEASURED.into_iter().chain([next]) {
        let outcome = simulate(&Setup::measured(nodes, pods));
        let evicting = outcome.last_accepted - outcome.first_cordon;
        let last = if last.is_nan() { "–".to_owned() } else { format!("{last}") };
        let used = processor.map_or("–".to_owned(), |used| format!("{used}"));
        println!(
            "| {nodes} × {pods} | {last} | {evicting:.2} | {used} | {:.1} |",
            outcome.processor
        );
    }
}

type Row = (String, Setup);

/// What differs from column to column.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Retry(Retry),
    Jitter(f64),
}

impl Change {
    fn of(self, setup: Setup) -> Setup {
        match self {
            Self::Nothing => setup,
            Self::Retry(retry) => Setup { retry, ..setup },
            Self::Jitter(jitter) => Setup { jitter, ..setup },
        }
    }
}

fn others() -> Vec<Row> {
    let usual = Setup { retry: Retry::SPREAD, ..Setup::new(1000, PODS, 32.0) };
    let shape = Shape { queues: 128, hand: 6, length: 300 };
    let own_level = Some(Configured { shares: 60, lendable: 90, shape });
    let account = |namespaces| Identity::ServiceAccount { namespaces };
    let more_pods = |streams| Setup { streams, ..Setup { nodes: 300, pods: 100, ..usual } };
    let rows = [
        ("as above: 20 watches on all pods, in the name of the node", usual),
        ("6 watches on all pods", Setup { watchers: 6, ..usual }),
        ("100 watches on all pods", Setup { watchers: 100, ..usual }),
        ("other levels lend no seats", Setup { borrows: false, ..usual }),
        ("a level for evictions: 60 shares, 128 queues of 300", Setup { own_level, ..usual }),
        ("as ServiceAccount, pods in 1 namespace", Setup { identity: account(1), ..usual }),
        ("as ServiceAccount, pods in 50 namespaces", Setup { identity: account(50), ..usual }),
        ("300 nodes of 100 pods, 8 streams", more_pods(8)),
        ("300 nodes of 100 pods, 32 streams", more_pods(32)),
        ("300 nodes of 100 pods, 100 streams", more_pods(100)),
    ];
    rows.map(|(name, setup)| (name.to_owned(), setup)).to_vec()
}

fn fleets() -> Vec<Row> {
    let fleet =
        |nodes, cores| (format!("{nodes} nodes, {cores} cores"), Setup::new(nodes, PODS, cores));
    NODES.into_iter().flat_map(|nodes| CORES.map(|cores| fleet(nodes, cores))).collect()
}

/// One table: each row with each change.
fn table(rows: &[Row], columns: &[(String, Change)]) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len()));
    let setups: Vec<Setup> = rows
        .iter()
        .flat_map(|(_, setup)| columns.iter().map(|(_, change)| change.of(*setup)))
        .collect();
    let outcomes = all(&setups);
    let cells: Vec<_> =
        setups.iter().zip(&outcomes).map(|(setup, outcome)| cell(setup, outcome)).collect();
    for ((name, _), cells) in rows.iter().zip(cells.chunks(columns.len())) {
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn cell(setup: &Setup, outcome: &Outcome) -> String {
    let pods = setup.nodes * setup.pods;
    let lost = match outcome.lost {
        0 => String::new(),
        lost => format!(" ({})", share(lost, pods)),
    };
    format!(
        "{:.0} s, {:.0}k, {}{lost}, {:.1} s",
        outcome.last_accepted,
        outcome.refused as f64 / 1000.0,
        share(outcome.late, pods),
        outcome.bystander(0.99),
    )
}

fn share(part: usize, all: usize) -> String {
    match part as f64 / all.max(1) as f64 * 100.0 {
        _ if part == 0 => "0".to_owned(),
        percent if percent < 0.1 => "< 0.1 %".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// What comes of each, in the same order; on all cores.
fn all(setups: &[Setup]) -> Vec<Outcome> {
    let next = Mutex::new(setups.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some((index, setup)) = next.lock().ok().and_then(|mut next| next.next()) else {
                return;
            };
            eprintln!(
                "{} of {}: {} nodes, {} cores",
                index + 1,
                setups.len(),
                setup.nodes,
                setup.cores
            );
            let outcome = simulate(setup);
            if let Ok(mut done) = done.lock() {
                done.push((index, outcome));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
