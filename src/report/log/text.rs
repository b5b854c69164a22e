//! Lines of text, for people.

use std::fmt::{self, Write};
use std::io;

use crate::excerpt::is_hidden;
use crate::moment::WallTime;
use crate::report::fact::Level;

/// How lines of text are written.
#[derive(Debug)]
pub(super) struct TextLines {
    /// Levels stand out by their colour.
    pub(super) coloured: bool,
}

impl TextLines {
    /// Writes a text of one or more lines, each with time and level before it: log collectors take
    /// lines one by one. Hidden characters are escaped: much of the text comes from outside.
    pub(super) fn write(
        &self,
        out: &mut impl io::Write,
        at: WallTime,
        level: Level,
        text: &impl fmt::Display,
    ) -> fmt::Result {
        let (on, off) = if self.coloured { colour(level) } else { ("", "") };
        // Padded: whole seconds are written without a fraction.
        let head = format!("{:<24} {on}{level:<5}{off} ", at.to_string());
        let mut writer = Writer { out, line: head.clone(), head };
        write!(writer, "{text}")?;
        if writer.line.len() > writer.head.len() { writer.end_line() } else { Ok(()) }
    }
}

/// ANSI escape codes (ECMA-48, "Select Graphic Rendition").
fn colour(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Debug => ("\u{1b}[2m", "\u{1b}[0m"),
        Level::Info => ("\u{1b}[32m", "\u{1b}[0m"),
        Level::Warn => ("\u{1b}[33m", "\u{1b}[0m"),
        Level::Error => ("\u{1b}[1;31m", "\u{1b}[0m"),
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
    /// `2026-11-23T09:00:00.123Z INFO  `
    head: String,
    line: String,
}

impl<W: io::Write> Writer<'_, W> {
    fn end_line(&mut self) -> fmt::Result {
        self.line.truncate(self.line.trim_end().len());
        self.line.push('\n');
        // In one piece: other lines of this process cannot come in between.
        let written = self.out.write_all(self.line.as_bytes());
        self.line.clear();
        self.line.push_str(&self.head);
        written.map_err(|_| fmt::Error)
    }
}

impl<W: io::Write> Write for Writer<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.end_line()?,
                c if is_hidden(c) => self.line.extend(c.escape_default()),
                c => self.line.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(time: &str, level: Level, coloured: bool, text: &str) -> String {
        let (lines, at) = (TextLines { coloured }, WallTime::parse(time).unwrap());
        let mut out = Vec::new();
        lines.write(&mut out, at, level, &text).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn plain(text: &str) -> String {
        lines("2026-11-23T12:00:00.5Z", Level::Warn, false, text)
    }

    #[test]
    fn each_line_has_time_and_level() {
        let head = "2026-11-23T12:00:00.500Z WARN  ";
        assert_eq!(
            plain("a table\n  with rows  \n\nand a gap\n"),
            format!("{head}a table\n{head}  with rows\n{}\n{head}and a gap\n", head.trim_end())
        );
    }

    #[test]
    fn messages_stand_in_one_column_at_any_fraction_of_a_second() {
        for time in ["2026-11-23T12:00:00Z", "2026-11-23T12:00:00.001Z"] {
            assert_eq!(lines(time, Level::Info, false, "here").find("here"), Some(31), "{time}");
        }
    }

    #[test]
    fn hidden_characters_are_escaped() {
        let text = plain("a\u{1b}[31mb\rc\u{0}\u{202e}");
        assert!(text.contains("a\\u{1b}[31mb\\rc\\u{0}\\u{202e}\n"), "{text}");
    }

    #[test]
    fn only_the_level_has_a_colour() {
        let text = lines("2026-11-23T12:00:00Z", Level::Error, true, "bad\u{1b}[0m");
        let expected = "2026-11-23T12:00:00Z     \u{1b}[1;31mERROR\u{1b}[0m bad\\u{1b}[0m\n";
        assert_eq!(text, expected);
        assert!(!plain("x").contains('\u{1b}'));
    }
}
