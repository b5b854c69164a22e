//! Answers of any length, in pieces: a watch line by line, a list item by item. Only one piece is held at a time.

use std::ops::ControlFlow;

/// The longest object that is read, in bytes, with its type. etcd holds at most 1.5 MiB of one,
/// and JSON may escape some of that.
pub(super) const OBJECT_LIMIT: usize = 4 * 1024 * 1024;

/// Of a longer one so many bytes are kept: its name and its UID stand there.
const BEGINNING: usize = 1024;

/// Memory that is kept from object to object, in bytes: what most pods need.
const KEPT: usize = 64 * 1024;

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

/// One piece as it comes.
struct Buffer {
    limit: usize,
    /// Its bytes; of one that is too long, the first.
    kept: Vec<u8>,
    /// Its length so far, kept or not.
    length: usize,
}

impl Buffer {
    fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::new(), length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= self.limit {
            self.kept.extend_from_slice(bytes);
        } else {
            let missing = BEGINNING.saturating_sub(self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(bytes.get(..missing).unwrap_or_default());
            self.kept.truncate(BEGINNING);
            self.kept.shrink_to(KEPT);
        }
    }

    fn piece(&self) -> Piece<'_> {
        if self.length > self.limit {
            Piece::TooLong { length: self.length, beginning: &self.kept }
        } else {
            Piece::Text(&self.kept)
        }
    }

    fn clear(&mut self) {
        self.length = 0;
        self.kept.clear();
        self.kept.shrink_to(KEPT);
    }
}

/// Splits a stream of bytes into lines.
pub(super) struct Lines {
    line: Buffer,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { line: Buffer::new(limit) }
    }

    /// Takes in what came, and passes on each line that ends with it.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(newline) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(newline);
            self.line.push(line);
            bytes = rest.get(1..).unwrap_or_default();
            take(self.line.piece())?;
            self.line.clear();
        }
        self.line.push(bytes);
        ControlFlow::Continue(())
    }

    /// What follows the last newline, where the stream has ended.
    pub(super) fn last(&self) -> Option<Piece<'_>> {
        (self.line.length > 0).then(|| self.line.piece())
    }
}

/// Of what stands around the items so much is kept, in bytes. An item counts as one.
const FRAME_LIMIT: usize = 64 * 1024;

/// Finds the elements of the field `items` of one JSON object. Everything else is the frame. Neither is
/// checked: both are still to be parsed.
pub(super) struct Items {
    frame: Vec<u8>,
    item: Buffer,
    place: Place,
    /// How many brackets are open.
    depth: u32,
    in_string: bool,
    escaped: bool,
}

/// Where the next byte belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Frame,
    /// Between two items, or before the first.
    Between,
    Item,
}

/// How deep `items` stand: in the list, in the object.
const ITEMS_DEPTH: u32 = 2;

impl Items {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            frame: Vec::new(),
            item: Buffer::new(limit),
            place: Place::Frame,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// Takes in what came, and passes on each item that ends with it.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for &byte in bytes {
            if self.place == Place::Item && self.ends_item(byte) {
                take(self.item.piece())?;
                self.place = Place::Between;
                self.item.clear();
                self.frame_with(b'0');
            }
            self.take(byte);
        }
        ControlFlow::Continue(())
    }

    /// What stands around the items: the list as it came, with `0` in the place of each item. Whether it is one,
    /// and whole, is still to be seen.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn ends_item(&self, byte: u8) -> bool {
        !self.in_string && self.depth == ITEMS_DEPTH && matches!(byte, b',' | b']')
    }

    fn take(&mut self, byte: u8) {
        let begins_items = byte == b'[' && !self.in_string && self.depth == 1 && self.is_at_items();
        match self.place {
            Place::Between if matches!(byte, b',' | b']') || byte.is_ascii_whitespace() => {}
            Place::Between => self.place = Place::Item,
            Place::Frame | Place::Item => {}
        }
        self.keep(byte);
        self.step(byte);
        match self.place {
            Place::Frame if begins_items => self.place = Place::Between,
            Place::Between if self.depth < ITEMS_DEPTH => self.place = Place::Frame,
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        match self.place {
            Place::Item => self.item.push(&[byte]),
            Place::Frame | Place::Between => self.frame_with(byte),
        }
    }

    fn frame_with(&mut self, byte: u8) {
        // One that is cut off is no JSON.
        if self.frame.len() < FRAME_LIMIT {
            self.frame.push(byte);
        }
    }

    /// Whether the frame ends with the name of the field.
    fn is_at_items(&self) -> bool {
        let colon = self.frame.trim_ascii_end().strip_suffix(b":");
        colon
            .and_then(|before| before.trim_ascii_end().strip_suffix(b"\"items\""))
            .is_some_and(|before| matches!(before.trim_ascii_end().last(), Some(b'{' | b',')))
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod items_tests;
#[cfg(test)]
mod lines_tests;
