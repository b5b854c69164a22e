//! The memory of a process, as the kernel tells it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio::time::sleep;

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

/// Keeps an eye on the peak of a process that may end by itself.
#[derive(Debug)]
pub struct PeakWatch {
    peak: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl PeakWatch {
    /// Begins.
    #[must_use]
    pub fn start(process: u32) -> Self {
        let peak = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            // The kernel keeps the maximum itself: what is missed is at most
            // what came after the last look.
            while let Ok(memory) = Memory::of(process) {
                seen.store(memory.peak, Ordering::Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { peak, task }
    }

    /// The most that was seen, in KiB.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for PeakWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
