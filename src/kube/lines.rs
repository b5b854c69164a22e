//! An answer without end, line by line: what a watch says.

use std::ops::Range;
use std::time::Duration;

use crate::kube::connection::Body;
use crate::kube::trouble::Trouble;

/// The longest line that is read, in bytes. An object has at most 1.5 MiB, and JSON may escape some
/// of that.
const LINE_LIMIT: usize = 4 * 1024 * 1024;

/// Memory that is kept from line to line, in bytes: what most pods need.
const KEPT: usize = 64 * 1024;

/// Bytes that are read at a time.
const CHUNK: usize = 4 * 1024;

/// The lines of an answer, as they come.
pub struct Lines {
    body: Box<Body>,
    cutter: Cutter,
    /// Bytes of the body so far.
    length: usize,
    ended: bool,
}

/// One line, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// As it came.
    Text(&'a [u8]),
    /// A line of so many bytes, above 4 MiB: skipped to its end.
    TooLong(usize),
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body: Box::new(body), cutter: Cutter::new(LINE_LIMIT), length: 0, ended: false }
    }

    /// Waits for the next line for at most `patience`; `None` if the server has ended the answer in
    /// good order. After [`Trouble::TimedOut`] it may be called again; nothing is lost.
    pub fn next_line(&mut self, patience: Duration) -> Result<Option<Line<'_>>, Trouble> {
        let until = self.body.begin(patience);
        let mut piece = [0; CHUNK];
        let mut cut = self.cutter.next();
        while cut.is_none() && !self.ended {
            let read = self.body.read(&mut piece, self.length, until)?;
            self.length = self.length.saturating_add(read);
            self.ended = read == 0;
            self.cutter.push(piece.get(..read).unwrap_or_default());
            cut = if self.ended { self.cutter.last() } else { self.cutter.next() };
        }
        Ok(cut.map(|cut| match cut {
            Cut::Text(range) => Line::Text(self.cutter.text(range)),
            Cut::TooLong(length) => Line::TooLong(length),
        }))
    }
}

/// Cuts a stream of bytes into lines.
struct Cutter {
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes at the beginning that belong to the line given out last.
    given: usize,
    /// Bytes at the beginning that have no newline in them.
    searched: usize,
    /// Bytes of the present line that were dropped, because it is too long.
    dropped: usize,
}

/// A line as the cutter finds it.
enum Cut {
    Text(Range<usize>),
    TooLong(usize),
}

impl Cutter {
    fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), given: 0, searched: 0, dropped: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line. What was given out before is gone then.
    fn next(&mut self) -> Option<Cut> {
        self.forget();
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        if let Some(newline) = unsearched.iter().position(|byte| *byte == b'\n') {
            let end = self.searched + newline;
            self.searched = 0;
            self.given = end + 1;
            return Some(self.cut(end));
        }
        self.searched = self.buffer.len();
        if self.dropped > 0 || self.searched > self.limit {
            self.dropped = self.dropped.saturating_add(self.searched);
            self.searched = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
        }
        None
    }

    /// What follows the last newline.
    fn last(&mut self) -> Option<Cut> {
        self.forget();
        let end = self.buffer.len();
        self.searched = 0;
        self.given = end;
        (end > 0 || self.dropped > 0).then(|| self.cut(end))
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    fn cut(&mut self, end: usize) -> Cut {
        let length = std::mem::take(&mut self.dropped).saturating_add(end);
        if length > self.limit { Cut::TooLong(length) } else { Cut::Text(0..end) }
    }

    fn forget(&mut self) {
        self.buffer.drain(..self.given);
        self.given = 0;
        if self.buffer.len() <= KEPT {
            self.buffer.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `text` comes in `step` bytes at a time.
    fn cut(limit: usize, step: usize, text: &[u8]) -> Vec<Result<String, usize>> {
        let mut cutter = Cutter::new(limit);
        let mut cuts = Vec::new();
        let mut keep = |cutter: &Cutter, cut| {
            cuts.push(match cut {
                Cut::Text(range) => Ok(String::from_utf8(cutter.text(range).to_vec()).unwrap()),
                Cut::TooLong(length) => Err(length),
            });
        };
        for piece in text.chunks(step) {
            cutter.push(piece);
            while let Some(cut) = cutter.next() {
                keep(&cutter, cut);
            }
        }
        if let Some(cut) = cutter.last() {
            keep(&cutter, cut);
        }
        assert!(cutter.next().is_none() && cutter.last().is_none());
        cuts
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"one\n\nseven77\neightoo8\nfar too long for it\n12\nlast";
        let lines = [
            Ok("one".to_owned()),
            Ok(String::new()),
            Ok("seven77".to_owned()),
            Err(8),
            Err(19),
            Ok("12".to_owned()),
            Ok("last".to_owned()),
        ];
        for step in 1..=text.len() {
            assert_eq!(cut(7, step, text), lines, "{step} bytes at a time");
        }
    }

    #[test]
    fn a_long_line_at_the_end_is_told_once() {
        for step in 1..=12 {
            assert_eq!(cut(7, step, b"0123456789ab"), [Err(12)], "{step} bytes at a time");
        }
    }

    #[test]
    fn memory_is_given_back_after_a_long_line() {
        let mut cutter = Cutter::new(LINE_LIMIT);
        cutter.push(&vec![b'a'; 1024 * 1024]);
        assert!(cutter.next().is_none());
        cutter.push(b"\nshort\n");
        assert!(matches!(cutter.next(), Some(Cut::Text(_))));
        assert!(matches!(cutter.next(), Some(Cut::Text(_))));
        assert!(cutter.buffer.capacity() <= KEPT, "{} bytes", cutter.buffer.capacity());
    }

    #[test]
    fn a_line_that_is_skipped_takes_no_memory() {
        let mut cutter = Cutter::new(LINE_LIMIT);
        for _ in 0..100 {
            cutter.push(&vec![b'a'; 1024 * 1024]);
            assert!(cutter.next().is_none());
            assert!(cutter.buffer.len() <= LINE_LIMIT);
        }
        cutter.push(b"\n");
        assert!(matches!(cutter.next(), Some(Cut::TooLong(length)) if length == 100 << 20));
    }
}
