//! An answer without end, line by line: what a watch says.

use std::ops::Range;
use std::time::Duration;

use crate::kube::connection::Body;
use crate::kube::trouble::Trouble;

/// The longest object that is read, in bytes, with what is said of it. etcd holds at most 1.5 MiB of one,
/// and JSON may escape some of that.
pub(super) const OBJECT_LIMIT: usize = 4 * 1024 * 1024;

/// Of a longer one so many bytes are kept: its name and its UID stand there.
pub(super) const BEGINNING: usize = 1024;

/// Memory that is kept from object to object, in bytes: what most pods need.
pub(super) const KEPT: usize = 64 * 1024;

/// Bytes that are read at a time.
pub(super) const CHUNK: usize = 4 * 1024;

/// The lines of an answer, as they come.
pub(super) struct Lines {
    body: Box<Body>,
    splitter: LineSplitter,
    /// Bytes of the body so far.
    length: usize,
    ended: bool,
}

/// One piece of an answer: a line without its newline, an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it came.
    Text(&'a [u8]),
    /// One of more than 4 MiB: skipped to its end.
    TooLong {
        /// Its bytes.
        length: usize,
        /// The first of them.
        beginning: &'a [u8],
    },
}

impl Lines {
    pub(super) fn new(body: Box<Body>) -> Self {
        Self { body, splitter: LineSplitter::new(OBJECT_LIMIT), length: 0, ended: false }
    }

    /// Waits for the next line for at most `patience`; `None` if the server has ended the answer in
    /// good order. After [`Trouble::TimedOut`] it may be called again; nothing is lost.
    pub(super) fn next_line(&mut self, patience: Duration) -> Result<Option<Piece<'_>>, Trouble> {
        let until = self.body.begin(patience);
        let mut piece = [0; CHUNK];
        let mut split = self.splitter.next();
        while split.is_none() && !self.ended {
            let read = self.body.read(&mut piece, self.length, until)?;
            self.length = self.length.saturating_add(read);
            self.ended = read == 0;
            self.splitter.push(piece.get(..read).unwrap_or_default());
            split = if self.ended { self.splitter.last() } else { self.splitter.next() };
        }
        Ok(split.map(|split| match split {
            Split::Text(range) => Piece::Text(self.splitter.text(range)),
            Split::TooLong(length) => {
                Piece::TooLong { length, beginning: &self.splitter.beginning }
            }
        }))
    }
}

/// Splits a stream of bytes into lines.
struct LineSplitter {
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes at the beginning that belong to the line given out last.
    consumed: usize,
    /// Bytes at the beginning that have no newline in them.
    searched: usize,
    /// Bytes of the present line that were dropped, because it is too long.
    dropped: usize,
    /// What the last line that was too long began with.
    beginning: Vec<u8>,
}

/// A line as it is found in the buffer.
enum Split {
    Text(Range<usize>),
    TooLong(usize),
}

impl LineSplitter {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            consumed: 0,
            searched: 0,
            dropped: 0,
            beginning: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line. What was given out before is gone then.
    fn next(&mut self) -> Option<Split> {
        self.discard_consumed();
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        if let Some(newline) = unsearched.iter().position(|byte| *byte == b'\n') {
            let end = self.searched + newline;
            self.searched = 0;
            self.consumed = end + 1;
            return Some(self.line(end));
        }
        self.searched = self.buffer.len();
        if self.dropped > 0 || self.searched > self.limit {
            self.keep_beginning();
            self.dropped = self.dropped.saturating_add(self.searched);
            self.searched = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
        }
        None
    }

    /// What follows the last newline.
    fn last(&mut self) -> Option<Split> {
        self.discard_consumed();
        let end = self.buffer.len();
        self.searched = 0;
        self.consumed = end;
        (end > 0 || self.dropped > 0).then(|| self.line(end))
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    fn line(&mut self, end: usize) -> Split {
        let length = self.dropped.saturating_add(end);
        if length > self.limit {
            self.keep_beginning();
            self.dropped = 0;
            Split::TooLong(length)
        } else {
            Split::Text(0..end)
        }
    }

    /// Keeps what the present line begins with, unless that is gone.
    fn keep_beginning(&mut self) {
        if self.dropped == 0 {
            let beginning = self.buffer.get(..BEGINNING).unwrap_or(&self.buffer);
            self.beginning = beginning.to_vec();
        }
    }

    fn discard_consumed(&mut self) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        if self.buffer.len() <= KEPT {
            self.buffer.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `text` comes in `step` bytes at a time.
    fn split(limit: usize, step: usize, text: &[u8]) -> Vec<Result<String, usize>> {
        let mut splitter = LineSplitter::new(limit);
        let mut splits = Vec::new();
        let mut keep = |splitter: &LineSplitter, line| {
            splits.push(match line {
                Split::Text(range) => Ok(String::from_utf8(splitter.text(range).to_vec()).unwrap()),
                Split::TooLong(length) => Err(length),
            });
        };
        for piece in text.chunks(step) {
            splitter.push(piece);
            while let Some(line) = splitter.next() {
                keep(&splitter, line);
            }
        }
        if let Some(line) = splitter.last() {
            keep(&splitter, line);
        }
        assert!(splitter.next().is_none() && splitter.last().is_none());
        splits
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
            assert_eq!(split(7, step, text), lines, "{step} bytes at a time");
        }
    }

    #[test]
    fn a_long_line_at_the_end_is_told_once() {
        for step in 1..=12 {
            assert_eq!(split(7, step, b"0123456789ab"), [Err(12)], "{step} bytes at a time");
        }
    }

    #[test]
    fn memory_is_given_back_after_a_long_line() {
        let mut splitter = LineSplitter::new(OBJECT_LIMIT);
        splitter.push(&vec![b'a'; 1024 * 1024]);
        assert!(splitter.next().is_none());
        splitter.push(b"\nshort\n");
        assert!(matches!(splitter.next(), Some(Split::Text(_))));
        assert!(matches!(splitter.next(), Some(Split::Text(_))));
        assert!(splitter.buffer.capacity() <= KEPT, "{} bytes", splitter.buffer.capacity());
    }

    #[test]
    fn a_line_that_is_skipped_takes_no_memory() {
        let mut splitter = LineSplitter::new(OBJECT_LIMIT);
        for _ in 0..100 {
            splitter.push(&vec![b'a'; 1024 * 1024]);
            assert!(splitter.next().is_none());
            assert!(splitter.buffer.len() <= OBJECT_LIMIT);
        }
        splitter.push(b"\n");
        assert!(matches!(splitter.next(), Some(Split::TooLong(length)) if length == 100 << 20));
        assert_eq!(splitter.beginning, vec![b'a'; BEGINNING]);
    }
}
