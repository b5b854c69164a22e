//! Text from outside, made fit for the log: a server or a proxy may send anything.

/// Of a text at most so many characters are shown.
const MOST: usize = 200;

/// At most 200 characters of `text` on one line, white space made single spaces. What is hidden is
/// left out; where text was cut off, the last character is `…`.
pub fn excerpt(text: &str) -> String {
    let mut line = Line::default();
    let mut gap = false;
    // No more is kept, or looked at, than is shown: its author also chose its length.
    for c in text.chars().filter(|&c| c.is_whitespace() || !is_hidden(c)) {
        if c.is_whitespace() {
            gap = !line.text.is_empty();
        } else if (std::mem::take(&mut gap) && !line.takes(' ')) || !line.takes(c) {
            break;
        }
    }
    line.text
}

/// A line that is being written.
#[derive(Default)]
struct Line {
    text: String,
    /// Characters of it.
    length: usize,
    /// Where it ends if it has to be cut off.
    cut: usize,
}

impl Line {
    /// Whether there is still room for this character. If not, the line is cut off.
    fn takes(&mut self, c: char) -> bool {
        if self.length == MOST {
            self.text.truncate(self.cut);
            self.text.push('…');
            return false;
        }
        self.text.push(c);
        self.length += 1;
        if self.length == MOST - 1 {
            self.cut = self.text.len();
        }
        true
    }
}

/// Whether a character shows nothing by itself, but may steer a terminal, or change the direction
/// or the width of what follows: a control character or one of the format characters of Unicode
/// (soft hyphen, marks of direction, separators and joiners of no width, the byte order mark).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_plain_line() {
        assert_eq!(excerpt("{\n\t\"a\":\r\n 1\u{2028}} "), "{ \"a\": 1 }");
        assert_eq!(excerpt(" a\u{1b}[31mb\0c\u{202e}d\u{85}e\u{ad}\u{feff}"), "a[31mbcd e");
        assert_eq!(excerpt("\u{200b} \u{7f}"), "");
    }

    #[test]
    fn what_is_cut_off_says_so() {
        let whole = "é".repeat(MOST);
        assert_eq!(excerpt(&whole), whole);
        assert_eq!(excerpt(&"é".repeat(MOST + 1)), format!("{}…", "é".repeat(MOST - 1)));
        let words = "a ".repeat(MOST);
        assert_eq!(excerpt(&words), format!("{}a…", "a ".repeat(MOST / 2 - 1)));
        assert_eq!(excerpt(&words[..MOST]), words[..MOST - 1]);
    }
}
