//! A cgroup of a process's own: what a cluster charges a container, with what the kernel needs for its
//! sockets and stacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

/// Taken away when it is dropped; its process must have ended by then.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    names: Names,
}

/// What the two versions call the same things.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    root: &'static str,
    current: &'static str,
    peak: &'static str,
}

const VERSIONS: [Names; 2] = [
    Names { root: "/sys/fs/cgroup", current: "memory.current", peak: "memory.peak" },
    Names {
        root: "/sys/fs/cgroup/memory",
        current: "memory.usage_in_bytes",
        peak: "memory.max_usage_in_bytes",
    },
];

/// What is charged, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Charged {
    /// Now.
    pub current: u64,
    /// The most that it ever was.
    pub peak: u64,
}

impl Group {
    /// A new one, if the machine lets one be made that counts memory.
    #[must_use]
    pub fn make() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        VERSIONS.into_iter().find_map(|names| {
            let name = format!("bench-{}-{number}", std::process::id());
            let folder = Path::new(names.root).join(name);
            fs::create_dir(&folder).ok()?;
            let group = Self { folder, names };
            group.charged().is_ok().then_some(group)
        })
    }

    /// A command whose arguments are another one, charged from its first moment.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >\"$1\" && shift && exec \"$@\"", "sh"])
            .arg(self.folder.join("cgroup.procs"));
        command
    }

    /// What is charged now, and was at most.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn charged(&self) -> Result<Charged> {
        let read = |name| -> Result<u64> {
            let path = self.folder.join(name);
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(text.trim().parse::<u64>()? / 1024)
        };
        Ok(Charged { current: read(self.names.current)?, peak: read(self.names.peak)? })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Of a run that is broken off the process is just being killed.
        for _ in 0..20 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
