//! Who is connected where, as the kernel tells it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// All established TCP connections over IPv4 at one moment.
pub struct Connections {
    /// Of each the port of this end, that of the other, and the inode of its socket.
    all: Vec<(u16, u16, String)>,
}

impl Connections {
    /// Those of now.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn now() -> Result<Self> {
        let table = fs::read_to_string("/proc/net/tcp").context("reading /proc/net/tcp")?;
        Ok(Self { all: table.lines().filter_map(established).collect() })
    }

    /// The local ports of those that a process has to that port; none if it has ended.
    #[must_use]
    pub fn of(&self, process: u32, to: u16) -> Vec<u16> {
        let sockets = sockets(process);
        let wanted =
            self.all.iter().filter(|(_, other, inode)| *other == to && sockets.contains(inode));
        wanted.map(|(own, ..)| *own).collect()
    }
}

/// Of a line of the table: `0: 0100007F:A1B2 0100007F:1F90 01 … INODE …`, proc(5).
fn established(line: &str) -> Option<(u16, u16, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, own, other, "01", _, _, _, _, _, inode, ..] = fields.as_slice() else { return None };
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    Some((port(own)?, port(other)?, (*inode).to_owned()))
}

/// The inodes of a process's sockets.
fn sockets(process: u32) -> Vec<String> {
    let folder = Path::new("/proc").join(process.to_string()).join("fd");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let inode = |target: &Path| {
        Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    targets.filter_map(|target| inode(&target)).collect()
}

/// Counts those of these processes to that port, all together.
#[must_use]
pub fn watch_connections(processes: Vec<u32>, to: u16, every: Duration) -> Maximum {
    Maximum::watch(every, move || {
        // A look that fails is one that saw nothing.
        let Ok(now) = Connections::now() else { return Some(0) };
        Some(processes.iter().map(|process| now.of(*process, to).len() as u64).sum())
    })
}

/// The maximum of what is measured again and again, until it is dropped or there is nothing to measure any more.
#[derive(Debug)]
pub struct Maximum {
    seen: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Maximum {
    /// Begins.
    #[must_use]
    pub fn watch(every: Duration, measure: impl Fn() -> Option<u64> + Send + 'static) -> Self {
        let seen = Arc::new(AtomicU64::new(0));
        let so_far = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut turns = interval(every);
            while let Some(measured) = measure() {
                so_far.fetch_max(measured, Ordering::Relaxed);
                turns.tick().await;
            }
        });
        Self { seen, task }
    }

    /// The maximum so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Maximum {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_counted_for_the_one_that_opened_it() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = std::process::id();
        let before = Connections::now().unwrap();
        assert_eq!(before.of(own, port), [0_u16; 0]);
        let streams = [port; 2].map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap());
        let mut ports = Connections::now().unwrap().of(own, port);
        ports.sort_unstable();
        let mut opened = streams.each_ref().map(|stream| stream.local_addr().unwrap().port());
        opened.sort_unstable();
        assert_eq!(ports, opened);
        assert_eq!(Connections::now().unwrap().of(1, port), [0_u16; 0], "of another process");
        drop(streams);
        assert_eq!(Connections::now().unwrap().of(own, port), [0_u16; 0]);
    }
}
