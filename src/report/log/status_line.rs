//! A line that stays below the log of a terminal, and is written anew as things go on.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The line, on standard error.
#[derive(Clone, Debug, Default)]
pub struct StatusLine(Arc<Mutex<String>>);

/// Goes to the beginning of the line, and empties it (ECMA-48, CR and EL).
const EMPTY: &str = "\r\u{1b}[K";

/// The width of a terminal that nobody has changed: a longer line would wrap, and could not be emptied.
const WIDTH: usize = 79;

impl StatusLine {
    /// Shows this text instead of what it showed.
    pub fn show(&self, text: &str) {
        let mut line = self.lock();
        *line = text.chars().take(WIDTH).collect();
        // Nobody who watches misses it.
        let _ = write!(io::stderr(), "{EMPTY}{line}");
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written goes above the line.
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
