//! Lines of text, for people.

use std::fmt::{self, Write};
use std::io;

use crate::excerpt::is_hidden;
use crate::moment::WallTime;
use crate::report::fact::Level;

/// Writes a text of one or more lines, each with time and level before it: log collectors take lines one
/// by one. All but the first are indented, so that none of them looks like another fact. Hidden characters
/// are escaped: much of the text comes from outside. `coloured`: the level is.
pub(super) fn write(
    out: &mut impl io::Write,
    coloured: bool,
    at: WallTime,
    level: Level,
    text: &impl fmt::Display,
) -> fmt::Result {
    let (on, off) = if coloured { colour(level) } else { ("", "") };
    // Padded: whole seconds are written without a fraction.
    let head = format!("{:<24} {on}{level:<5}{off} ", at.to_string());
    let mut writer = IndentingWriter { out, line: head.clone(), head, began: false };
    write!(writer, "{text}")?;
    let rest = writer.line.get(writer.head.len()..).unwrap_or_default();
    let is_empty = rest.trim().is_empty();
    if is_empty { Ok(()) } else { writer.end_line() }
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

struct IndentingWriter<'a, W> {
    out: &'a mut W,
    /// `2026-11-23T09:00:00.123Z INFO  `
    head: String,
    line: String,
    /// Some of the text is written.
    began: bool,
}

/// Before every line of a text but the first.
const INDENT: &str = "  ";

impl<W: io::Write> IndentingWriter<'_, W> {
    fn end_line(&mut self) -> fmt::Result {
        self.line.truncate(self.line.trim_end().len());
        self.line.push('\n');
        // In one piece: other lines of this process cannot come in between.
        let written = self.out.write_all(self.line.as_bytes());
        self.line.clear();
        self.line.push_str(&self.head);
        self.line.push_str(INDENT);
        written.map_err(|_| fmt::Error)
    }
}

impl<W: io::Write> Write for IndentingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                // Only continuation lines begin with a space.
                c if !self.began && c.is_whitespace() => continue,
                '\n' => self.end_line()?,
                c if is_hidden(c) => self.line.extend(c.escape_default()),
                c => self.line.push(c),
            }
            self.began = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(time: &str, level: Level, coloured: bool, text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, coloured, WallTime::parse(time).unwrap(), level, &text).unwrap();
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
            format!("{head}a table\n{head}    with rows\n{}\n{head}  and a gap\n", head.trim_end())
        );
    }

    #[test]
    fn no_line_of_a_text_looks_like_another_fact() {
        let fake = "2026-11-23T12:00:00.500Z ERROR nothing was drained";
        let head = "2026-11-23T12:00:00.500Z WARN  ";
        assert_eq!(plain(&format!("x\n{fake}")), format!("{head}x\n{head}  {fake}\n"));
        assert_eq!(
            plain(&format!("\n  {fake}\n\n")),
            format!("{head}{fake}\n{}\n", head.trim_end())
        );
        for end in ["\r", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}"] {
            let text = plain(&format!("x{end}{fake}"));
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains(end), "{text}");
        }
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
