//! An answer without end, line by line: what a watch says.

use std::ops::ControlFlow;

/// The longest object that is read, in bytes, with what is said of it. etcd holds at most 1.5 MiB of one,
/// and JSON may escape some of that.
pub(super) const OBJECT_LIMIT: usize = 4 * 1024 * 1024;

/// Of a longer one so many bytes are kept: its name and its UID stand there.
pub(super) const BEGINNING: usize = 1024;

/// Memory that is kept from object to object, in bytes: what most pods need.
pub(super) const KEPT: usize = 64 * 1024;

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

/// Splits a stream of bytes into lines.
pub(super) struct Lines {
    limit: usize,
    /// What has come of the present line; of one that is too long, what it begins with.
    line: Vec<u8>,
    /// Its bytes so far, kept or not.
    length: usize,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), length: 0 }
    }

    /// Takes in what came, and tells of each line that ends with it.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut tell: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(newline) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(newline);
            self.keep(line);
            bytes = rest.get(1..).unwrap_or_default();
            tell(self.piece())?;
            self.length = 0;
            self.line.clear();
            self.line.shrink_to(KEPT);
        }
        self.keep(bytes);
        ControlFlow::Continue(())
    }

    /// What follows the last newline, where the stream has ended.
    pub(super) fn last(&self) -> Option<Piece<'_>> {
        (self.length > 0).then(|| self.piece())
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= self.limit {
            self.line.extend_from_slice(bytes);
        } else {
            let missing = BEGINNING.saturating_sub(self.line.len()).min(bytes.len());
            self.line.extend_from_slice(bytes.get(..missing).unwrap_or_default());
            self.line.truncate(BEGINNING);
            self.line.shrink_to(KEPT);
        }
    }

    fn piece(&self) -> Piece<'_> {
        if self.length > self.limit {
            Piece::TooLong { length: self.length, beginning: &self.line }
        } else {
            Piece::Text(&self.line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `text` comes in `step` bytes at a time.
    fn split(limit: usize, step: usize, text: &[u8]) -> Vec<Result<String, usize>> {
        let mut splitter = Lines::new(limit);
        let mut splits = Vec::new();
        let kept = |line: Piece<'_>| match line {
            Piece::Text(line) => Ok(String::from_utf8(line.to_vec()).unwrap()),
            Piece::TooLong { length, .. } => Err(length),
        };
        for piece in text.chunks(step) {
            let _ = splitter.push(piece, |line| {
                splits.push(kept(line));
                ControlFlow::Continue(())
            });
        }
        splits.extend(splitter.last().map(kept));
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
        let mut splitter = Lines::new(OBJECT_LIMIT);
        let mut lines = 0;
        for piece in [&vec![b'a'; 1024 * 1024][..], b"\nshort\n"] {
            let _ = splitter.push(piece, |line| {
                lines += 1;
                assert!(matches!(line, Piece::Text(_)));
                ControlFlow::Continue(())
            });
        }
        assert_eq!(lines, 2);
        assert!(splitter.line.capacity() <= KEPT, "{} bytes", splitter.line.capacity());
    }

    #[test]
    fn a_line_that_is_skipped_takes_no_memory() {
        let mut splitter = Lines::new(OBJECT_LIMIT);
        for _ in 0..100 {
            let _ = splitter.push(&vec![b'a'; 1024 * 1024], |_| panic!("no line yet"));
            assert!(splitter.line.capacity() <= 2 * OBJECT_LIMIT);
        }
        assert!(splitter.line.capacity() <= KEPT);
        let told = splitter.push(b"\n", |line| {
            let beginning = [b'a'; BEGINNING];
            assert_eq!(line, Piece::TooLong { length: 100 << 20, beginning: &beginning });
            ControlFlow::Break(())
        });
        assert!(told.is_break());
    }
}
