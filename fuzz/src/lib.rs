//! What the targets have in common: a clock that stands, ways to cut an input, and what must hold of every text
//! that is printed and of all memory.

use std::hint::black_box;

use k8s_spot_handler::excerpt::is_hidden;
use k8s_spot_handler::moment::{Moment, Reading, WallTime};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The moment at which everything happens.
///
/// # Panics
/// Never: the time is one.
#[must_use]
pub fn now() -> Reading {
    let wall = WallTime::parse("2026-11-23T09:00:00Z").expect("it is a time");
    Reading { now: Moment::START, wall }
}

/// Whatever others wrote is told in one plain line.
///
/// # Panics
/// It is more than a line, or something in it is hidden.
pub fn is_one_line(text: &str) {
    assert!(!text.contains(is_hidden) && !text.contains('\n'), "no plain line: {text:?}");
}

/// The same for each of these.
///
/// # Panics
/// One of them is no plain line.
pub fn are_lines<'a>(texts: impl IntoIterator<Item = &'a str>) {
    texts.into_iter().for_each(is_one_line);
}

/// Runs `work`, which may take `times` the bytes of its input and `more` of memory, and not more.
///
/// # Panics
/// It takes more.
pub fn within<T>(input: &[u8], times: usize, more: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let made = black_box(work());
    let peak = MEMORY.peak_usage().saturating_sub(before);
    let most = input.len() * times + more;
    assert!(peak <= most, "{peak} bytes of memory for {} bytes of input", input.len());
    made
}

/// The first byte, which says how the rest is read.
#[must_use]
pub fn mode(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}

/// `text` in pieces of this length; all at once with 0.
pub fn pieces(bytes: &[u8], length: u8) -> impl Iterator<Item = &[u8]> {
    let length = if length == 0 { bytes.len() } else { length.into() };
    bytes.chunks(length.max(1))
}

/// What stands between separators.
pub fn parts<'a>(mut bytes: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let at = bytes.windows(separator.len()).position(|part| part == separator);
        let part = at.map_or(bytes, |at| &bytes[..at]);
        match at {
            Some(at) => bytes = &bytes[at + separator.len()..],
            None => is_over = true,
        }
        Some(part)
    })
}

/// A number at the beginning, with the space after it, and the rest: `404 body`.
#[must_use]
pub fn status(bytes: &[u8]) -> (u16, &[u8]) {
    match bytes {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', rest @ ..] => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            (digit(a) * 100 + digit(b) * 10 + digit(c), rest)
        }
        _ => (200, bytes),
    }
}
