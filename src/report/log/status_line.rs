//! A status line below the log on a terminal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The line, on standard error.
#[derive(Clone, Debug, Default)]
pub struct StatusLine(Arc<Mutex<String>>);

/// Returns to the beginning of the line and erases it (ECMA-48, CR and EL).
const EMPTY: &str = "\r\u{1b}[K";

/// The default width of a terminal: a longer line would wrap, and could not be erased.
const WIDTH: usize = 79;

impl StatusLine {
    /// Replaces the text.
    pub fn show(&self, text: &str) {
        let mut line = self.lock();
        *line = text.chars().take(WIDTH).collect();
        // Without a terminal it is not seen.
        let _ = write!(io::stderr(), "{EMPTY}{line}");
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes above the line.
impl Write for StatusLine {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let line = self.lock();
        let whole = [EMPTY.as_bytes(), lines, line.as_bytes()].concat();
        io::stderr().write_all(&whole)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
