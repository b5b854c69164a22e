//! A client in memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::Socket;
use crate::report::server::endpoints::Endpoints;
use crate::settings::LivePath;

/// The server's end of a line on which everything happens as the test says.
#[derive(Debug, Default)]
pub(in crate::report::server) struct Line {
    /// Tells it from others.
    pub(in crate::report::server) number: usize,
    /// What comes, read by read; then nothing comes, for now.
    pub(in crate::report::server) comes: VecDeque<Result<Vec<u8>, io::ErrorKind>>,
    /// What is taken, write by write: so many bytes; then nothing is, for now.
    pub(in crate::report::server) takes: VecDeque<Result<usize, io::ErrorKind>>,
    pub(in crate::report::server) taken: Vec<u8>,
    pub(in crate::report::server) finished: bool,
}

pub(in crate::report::server) fn endpoints() -> Arc<Endpoints> {
    Arc::new(Endpoints { metrics: true, probes: Some(LivePath::default()) })
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.comes.pop_front().unwrap_or(Err(io::ErrorKind::WouldBlock))?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        let rest = bytes.split_off(length);
        if !rest.is_empty() {
            self.comes.push_front(Ok(rest));
        }
        Ok(length)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.takes.pop_front().unwrap_or(Err(io::ErrorKind::WouldBlock))?;
        let length = room.min(bytes.len());
        self.taken.extend(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Line {
    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        Ok(())
    }
}
