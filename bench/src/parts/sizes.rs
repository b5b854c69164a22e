//! The binaries, and what they are beside.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::goal::Goal;
use crate::options::Options;
use crate::tool::Programs;

/// Prints and gives the goals.
///
/// # Errors
/// A binary cannot be looked at.
pub fn measure(options: &Options, programs: &Programs) -> Result<Vec<Goal>> {
    println!("\n### Binaries\n");
    println!("| | MB |");
    println!("|---|---:|");
    let ours = [("x86_64", Some(&options.handler)), ("aarch64", options.arm.as_ref())];
    let mut goals = Vec::new();
    for (machine, path) in ours {
        let Some(path) = path else {
            println!("| k8s-spot-handler, {machine} | not built |");
            continue;
        };
        let size = megabytes(path)?;
        println!("| k8s-spot-handler, {machine} | {size:.2} |");
        goals.push(Goal::at_most(format!("binary, {machine}"), 2.3, size, " MB", 2));
    }
    if let Some(other) = &programs.other {
        println!("| k8s-spot-handler, the other | {:.2} |", megabytes(other)?);
    }
    println!("| kubectl | {:.2} |", megabytes(&programs.kubectl)?);
    if let Some(peer) = &programs.peer {
        println!("| peer | {:.2} |", megabytes(peer)?);
    }
    Ok(goals)
}

fn megabytes(path: &Path) -> Result<f64> {
    let file = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    Ok(file.len() as f64 / 1e6)
}
