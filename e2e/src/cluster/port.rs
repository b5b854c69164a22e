//! Ports on loopback that nobody uses.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which the kernel takes the local ports of outgoing
/// connections (32768 and up on Linux): a server that is stopped and started
/// again must find its port free.
const LOWEST: u16 = 17_000;
const COUNT: u16 = 15_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that the kernel says is free; not given twice by one process.
///
/// # Errors
/// None of a hundred is free.
pub fn free() -> Result<u16> {
    // Two runs at once begin at different places.
    let start = u16::try_from(std::process::id() * 97 % u32::from(COUNT))?;
    for _ in 0..100 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = LOWEST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on loopback")
}
