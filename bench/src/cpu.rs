//! The processor time of a process, as the kernel tells it.

use std::fs;

use anyhow::{Context, Result};

/// proc(5) counts in units of `sysconf(_SC_CLK_TCK)`, which is 100 a second on
/// every Linux that this runs on.
const MILLISECONDS: u64 = 10;

/// What that process and all its threads have used so far, in milliseconds.
///
/// # Errors
/// It has ended.
pub fn used(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The name, in brackets, may hold anything; utime and stime are 14 and 15.
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("no name in {path}"))?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = fields.next().zip(fields.next()).context("no times")?;
    Ok((user? + system?) * MILLISECONDS)
}
