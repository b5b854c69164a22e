//! The memory of a process, as the kernel tells it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::connections::Maximum;

use crate::group::Charged;

/// From `/proc/PID/status`, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident, file pages of the binary included.
    pub resident: u64,
    /// Resident and its own: heap, stacks, relocated data.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
    /// From its cgroup, if it has one of its own.
    pub charged: Option<Charged>,
}

impl Memory {
    /// Of that process, now.
    ///
    /// # Errors
    /// It has ended.
    pub fn of(process: u32) -> Result<Self> {
        let path = format!("/proc/{process}/status");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
            number.with_context(|| format!("no {name} in {path}"))
        };
        Ok(Self {
            resident: field("VmRSS")?,
            anonymous: field("RssAnon")?,
            peak: field("VmHWM")?,
            charged: None,
        })
    }
}

/// Watches the peak of a process that may end by itself, in KiB. The kernel keeps the maximum: what is missed is
/// at most what came after the last look.
#[must_use]
pub fn watch_peak(process: u32) -> Maximum {
    Maximum::watch(Duration::from_millis(20), move || {
        Memory::of(process).ok().map(|memory| memory.peak)
    })
}
