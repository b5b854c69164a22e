//! How many workers are worth it.

use anyhow::{Context, Result};
use e2e::workload::Shape;

use super::CROWDS;
use crate::audience::Reports;
use crate::drain::Drain;
use crate::options::Options;
use crate::series::Series;
use crate::stage::{Course, Stage};
use crate::tool::{Build, Tool};

const NUMBERS: [u16; 7] = [1, 8, 16, 24, 32, 48, 64];

/// Enough to show the shape. A single worker takes half a minute, and the same
/// each time: once is enough.
const ROUNDS: usize = 3;

/// Measures and prints.
///
/// # Errors
/// A drain fails.
pub async fn measure(stage: &mut Stage, options: &Options) -> Result<()> {
    println!("\n### The number of workers\n");
    println!("From the cordon to the last accepted eviction, in seconds: median (min–max).\n");
    println!(
        "| workers | {} pods | peak VmHWM, KiB | {} pods | peak VmHWM, KiB |",
        CROWDS[0], CROWDS[1]
    );
    println!("|---:|---:|---:|---:|---:|");
    let mut rows: Vec<Vec<String>> = NUMBERS.iter().map(|_| Vec::new()).collect();
    for pods in CROWDS {
        stage.fill(pods, &Shape::default()).await?;
        let mut drains: Vec<Vec<Drain>> = NUMBERS.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS.min(options.rounds) {
            let mut places: Vec<usize> = (0..NUMBERS.len()).collect();
            places.rotate_left(round * 2 % NUMBERS.len());
            for place in places {
                let workers = NUMBERS.get(place).copied().context("no such place")?;
                if workers == 1 && round > 0 {
                    continue;
                }
                eprintln!("{pods} pods, round {}: {workers} workers", round + 1);
                let tool = Tool::Handler {
                    workers: Some(workers),
                    reports: Reports::Off,
                    build: Build::This,
                };
                let drain = stage.drain(tool, Course::default()).await?;
                drains.get_mut(place).context("no such place")?.push(drain);
            }
        }
        for (row, drains) in rows.iter_mut().zip(&drains) {
            let seconds: Series = drains.iter().map(|drain| drain.evicting).collect();
            let peak: Series = drains.iter().map(|drain| drain.taken.peak as f64).collect();
            row.extend([format!("{seconds:.3}"), format!("{peak}")]);
        }
    }
    for (workers, row) in NUMBERS.iter().zip(rows) {
        println!("| {workers} | {} |", row.join(" | "));
    }
    Ok(())
}
