//! `cargo e2e`: the handler's release binary against real parts.

use std::env::args_os;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use e2e::cluster::Binaries;
use e2e::handler;
use e2e::matrix;
use e2e::options::{HELP, Options, Task};
use e2e::run::{Runner, Tally};
use e2e::scenarios;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match perform().await {
        Ok(Tally { passed: 1.., failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform() -> Result<Tally> {
    let options = Options::parse(args_os().skip(1))?;
    match options.task {
        Task::Help => print!("{HELP}"),
        Task::List => {
            scenarios::all(&options.deploy)?
                .iter()
                .for_each(|scenario| println!("{}", scenario.name));
        }
        Task::Run(_) | Task::Matrix(_) => return run(&options).await,
    }
    Ok(Tally { passed: 1, ..Tally::default() })
}

async fn run(options: &Options) -> Result<Tally> {
    let start = Instant::now();
    let binaries = Binaries::build()?;
    let program = match &options.handler {
        Some(path) => fs::canonicalize(path)?,
        None => handler::build()?,
    };
    println!("built in {:.1} s", start.elapsed().as_secs_f64());

    let folder = run_folder()?;
    let deploy = fs::canonicalize(&options.deploy)?;
    let runner = Runner::new(binaries.clone(), program.clone(), deploy.clone(), folder.clone());
    let runner = Arc::new(runner.complete(options.complete));
    let start = Instant::now();
    let running = async {
        match &options.task {
            Task::Run(chosen) => Ok(Arc::clone(&runner).run(chosen.clone()).await),
            Task::Matrix(selection) => {
                let programs = (program.as_path(), options.peer.as_deref());
                matrix::run(selection, &binaries, programs, &deploy, &folder).await
            }
            Task::Help | Task::List => Ok(Tally::default()),
        }
    };
    // Dropping the run drops its tasks, and with them every child.
    let tally = tokio::select! {
        tally = running => tally,
        interrupted = interruption() => Err(interrupted),
    };
    let stopped = runner.stop().await;
    println!("ran for {:.1} s", start.elapsed().as_secs_f64());
    if tally.as_ref().is_ok_and(|tally| tally.failed == 0) && stopped.is_ok() && !options.keep {
        fs::remove_dir_all(&folder)?;
    } else {
        println!("logs: {}", folder.display());
    }
    stopped?;
    let tally = tally?;
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    Ok(tally)
}

/// A new folder for the logs of this run.
fn run_folder() -> Result<PathBuf> {
    let name = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/runs");
    let folder = runs.join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("scenarios"))?;
    Ok(folder)
}

/// Ctrl-C, or whoever else wants this to end.
async fn interruption() -> anyhow::Error {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let wait = kinds.map(|kind| {
        Box::pin(async move {
            let mut signal = signal(kind)?;
            signal.recv().await;
            io::Result::Ok(())
        })
    });
    match futures::future::select_all(wait).await.0 {
        Ok(()) => anyhow::anyhow!("interrupted"),
        Err(error) => error.into(),
    }
}
