//! `bench/run`: the handler beside its peers on a real control plane. A
//! measurement, no test: it fails only if measuring itself fails.

mod audience;
mod cpu;
mod crowd;
mod drain;
mod evictor;
mod fairness;
mod fleet;
mod goal;
mod group;
mod machine;
mod memory;
mod options;
mod paired;
mod parts;
mod seat;
mod series;
mod stage;
mod tool;

use std::env::args_os;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use e2e::cluster::Binaries;
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;

use crate::crowd::Crowd;
use crate::goal::Goal;
use crate::options::{HELP, Options, Part};
use crate::parts::{budget, crowded, fleets, footprint, sizes, speed};
use crate::stage::{FAR, NEAR, Stage};
use crate::tool::Programs;

fn main() -> ExitCode {
    // The bare client is this program too, as a process of its own.
    let arguments: Vec<_> = args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, order] if first == "evict" => evictor::run(Path::new(order)),
        _ => perform(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<()> {
    let Some(options) = Options::parse(lexopt::Parser::from_env())? else {
        print!("{HELP}");
        return Ok(());
    };
    Runtime::new()?.block_on(async {
        // Dropping the rest drops its children.
        tokio::select! {
            done = run(&options) => done,
            signal = ctrl_c() => Err(signal.map_or_else(Into::into, |()| anyhow!("interrupted"))),
        }
    })
}

async fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    if options.parts.contains(&Part::Fleet) {
        fleets::print();
    }
    if options.parts == [Part::Fleet] {
        return Ok(());
    }
    let binaries = Binaries::build()?;
    let programs = Programs {
        handler: fs::canonicalize(&options.handler)?,
        other: options.against.as_ref().map(fs::canonicalize).transpose()?,
        kubectl: binaries.kubectl(),
        peer: options.peer.as_ref().map(fs::canonicalize).transpose()?,
    };
    println!("## Measured side by side\n");
    println!("{}; load before: {}.", machine::description(), machine::load());

    let folder = run_folder()?;
    let goals = match measure(options, &binaries, programs, &folder).await {
        Ok(goals) => goals,
        Err(error) => return Err(error.context(format!("logs: {}", folder.display()))),
    };
    if options.keep {
        eprintln!("logs: {}", folder.display());
    } else {
        fs::remove_dir_all(&folder)?;
    }

    println!("\n### Goals\n");
    println!("| figure | goal | measured | |");
    println!("|---|---:|---:|---|");
    for goal in &goals {
        println!("{goal}");
    }
    println!("\nTook {:.0} s; load after: {}.", begin.elapsed().as_secs_f64(), machine::load());
    Ok(())
}

async fn measure(
    options: &Options,
    binaries: &Binaries,
    programs: Programs,
    folder: &Path,
) -> Result<Vec<Goal>> {
    let wanted = |part| options.parts.contains(&part);
    let mut goals = Vec::new();
    if wanted(Part::Sizes) {
        goals.extend(sizes::measure(options, &programs)?);
    }
    if [Part::Speed, Part::Memory, Part::Budget].into_iter().any(wanted) {
        let mut stage = Stage::open(NEAR, binaries, programs.clone(), folder).await?;
        if wanted(Part::Speed) {
            goals.extend(speed::measure(&mut stage, options).await?);
        }
        if wanted(Part::Memory) {
            goals.extend(footprint::measure(&mut stage, options).await?);
        }
        let near = if wanted(Part::Budget) {
            Some(budget::measure(&mut stage, options).await?)
        } else {
            None
        };
        stage.close().await?;
        if let Some(near) = near {
            // One control plane at a time: they would share the cores.
            let mut stage = Stage::open(FAR, binaries, programs.clone(), folder).await?;
            let far = budget::measure(&mut stage, options).await?;
            stage.close().await?;
            goals.extend(budget::print(&near, &far)?);
        }
    }
    if wanted(Part::Crowd) {
        let mut crowd = Crowd::open(options.crowd, binaries, programs, folder).await?;
        goals.extend(crowded::measure(&mut crowd, options).await?);
        crowd.close().await?;
    }
    Ok(goals)
}

/// A new folder for the logs of this run.
fn run_folder() -> Result<PathBuf> {
    let name = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/runs")
        .join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
