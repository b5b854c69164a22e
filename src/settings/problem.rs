//! What is wrong with the settings, in the user's words.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;

use crate::excerpt::is_hidden;
use crate::settings::list::BadItem;
use crate::settings::table::{Row, rows};

/// Everything that is wrong with the settings, found in one go. The program has done nothing yet,
/// and does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSettings(pub Vec<Problem>);

impl BadSettings {
    /// What they have in common.
    pub const SUMMARY: &str = "bad settings, so nothing was started";
}

impl std::error::Error for BadSettings {}

impl fmt::Display for BadSettings {
    /// One line each, and where help is; no line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", Self::SUMMARY)?;
        for problem in &self.0 {
            writeln!(f, "  {problem}")?;
        }
        f.write_str("See k8s-spot-handler --help.")
    }
}

/// Something that is wrong with a setting that decides nothing about pods: the handler runs without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub(super) problem: Problem,
    /// What holds in its place, as a clause.
    pub(super) instead: Cow<'static, str>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.instead)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A value that is not valid.
    BadValue {
        /// The flag or variable that it came by.
        given_as: String,
        /// The value, fit to be shown.
        value: String,
        /// What would be valid.
        valid: &'static str,
    },
    /// A list with an item that is not valid.
    BadItem {
        /// The flag or variable that it came by.
        given_as: String,
        /// The whole list, fit to be shown.
        value: String,
        /// The item, and what is wrong with it.
        item: BadItem,
        /// What would be valid.
        valid: &'static str,
    },
    /// A value that is not valid, and is not shown.
    Explained {
        /// The flag or variable that it came by.
        given_as: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A flag without the value that it needs.
    NoValue {
        /// The flag.
        flag: &'static str,
        /// What would be valid.
        valid: &'static str,
    },
    /// A flag that does not exist.
    UnknownFlag {
        /// Which argument it is, counted from 1.
        position: usize,
        /// Its name with its dashes; `None` if that may hold a secret.
        flag: Option<String>,
        /// The one that may have been meant.
        near: Option<&'static str>,
    },
    /// An argument that is neither a flag nor the value of one.
    Unexpected {
        /// Which argument it is, counted from 1.
        position: usize,
        /// The argument, if it is a word that this program knows.
        word: Option<&'static str>,
        /// The command that may have been meant.
        near: Option<&'static str>,
    },
    /// A setting that must be given and was not; what that means and what to do, in words.
    Missing(&'static str),
    /// A setting that asks for what this program does not do; what it does, in words.
    NotOffered(&'static str),
    /// Two settings that cannot both be meant, in words.
    Contradiction(String),
}

impl Problem {
    /// Whether it is about the value of this flag, which is missing.
    pub(super) fn is_of_flag(&self, name: &str) -> bool {
        matches!(self, Self::NoValue { flag, .. } if *flag == name)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadValue { given_as, value, valid } => {
                write!(f, "{given_as} is \"{value}\"; valid is {valid}")
            }
            Self::BadItem { given_as, value, item, valid } => {
                write!(f, "{given_as} is \"{value}\"; {item}; valid is {valid}")
            }
            Self::Explained { given_as, why } => write!(f, "{given_as}: {why}"),
            Self::NoValue { flag, valid } => {
                write!(f, "--{flag} came without a value; valid is {valid}")
            }
            Self::UnknownFlag { position, flag, near } => {
                match flag {
                    Some(flag) => write!(f, "there is no flag {flag}")?,
                    None => write!(
                        f,
                        "argument {position} is no flag of this program; it is not shown, because \
                         it may hold a secret"
                    )?,
                }
                match near {
                    Some(near) => write!(f, "; did you mean --{near}?"),
                    None => Ok(()),
                }
            }
            Self::Unexpected { position, near: Some(near), .. } => {
                write!(f, "argument {position} is no command; did you mean {near}?")
            }
            Self::Unexpected { word: Some(word), .. } => {
                write!(f, "\"{word}\" is not a flag; {SWITCH}")
            }
            Self::Unexpected { position, .. } => write!(
                f,
                "argument {position} is neither a flag nor the value of one; it is not shown, \
                 because it may hold a secret; {SWITCH}"
            ),
            Self::Missing(words) | Self::NotOffered(words) => f.write_str(words),
            Self::Contradiction(words) => f.write_str(words),
        }
    }
}

const SWITCH: &str = "the value of a switch is given as --dry-run=false";

/// What is shown in place of a secret.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// A value as it may be shown: on one line, not too long, and nothing that looks like a secret. A
/// token may have been put where the name of its file belongs, the address of a webhook anywhere.
pub(super) fn shown(value: &OsStr) -> String {
    if value.to_string_lossy().contains("://") { NOT_SHOWN.to_owned() } else { line(value) }
}

/// A URL as it may be shown: without a query or a fragment, and not at all with a user in it.
pub(super) fn shown_url(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    match text.find(['?', '#']).and_then(|end| text.split_at_checked(end)) {
        // Behind the question mark an @ is no user's.
        Some((before, _)) => line(OsStr::new(before)) + "?…",
        None => line(value),
    }
}

fn line(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if text.contains("eyJ") {
        return "(not shown: it looks like a token)".to_owned();
    }
    if text.contains('@') {
        return "(not shown: it may hold a password)".to_owned();
    }
    let mut shown: String = text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The name of a flag that does not exist, as it may be shown. Words with hyphens between them are
/// one; anything else may be a value that was put there, as in `-pPASSWORD`.
pub(super) fn shown_flag(dashes: &str, name: &str) -> Option<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.len() <= LONGEST_WORD
            && word.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let is_short = name.len() == 1 && name.is_ascii() && !name.contains(is_hidden);
    let is_long = dashes.len() > 1 || name.contains('-');
    // Letters alone may be a value, too: what is shown is near a flag, and not one with more behind it.
    let is_near = || nearest(name).is_some_and(|flag| !name.to_ascii_lowercase().starts_with(flag));
    let is_name = || is_long && name.split(['-', '_']).all(is_word) && is_near();
    (is_short || is_name()).then(|| format!("{dashes}{name}"))
}

/// No word in the name of a flag is longer.
const LONGEST_WORD: usize = 16;

/// Enough to know a value again.
const LONGEST_SHOWN: usize = 64;

/// The flag that whoever wrote `name` (without dashes) most likely meant: the nearest, if no more
/// than a third of it differs.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > LONGEST_SHOWN {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    nearest_of(&name, rows().flat_map(Row::flags))
}

/// The nearest of these, if no more than a third of it differs.
pub(super) fn nearest_of(
    word: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // No distance is less than the lengths differ.
    let is_near = |known: &&str| known.len().abs_diff(word.len()) <= known.len() / 3;
    known
        .filter(is_near)
        .map(|known| (distance(word, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .map(|(_, known)| known)
}

/// How many bytes must be put in, taken out or changed to turn one into the other (Levenshtein).
/// A crate for it would be one more in a process that may evict every pod, for a hint.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let change = diagonal + usize::from(a != b);
            diagonal = *above;
            left = change.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_short_escaped_and_without_secrets() {
        assert_eq!(shown(OsStr::new("soon")), "soon");
        assert_eq!(shown(OsStr::new("a\n\u{1b}[31m\u{202e}")), "a\\n\\u{1b}[31m\\u{202e}");
        assert_eq!(shown(OsStr::new(&"x".repeat(65))), format!("{}…", "x".repeat(64)));
        assert_eq!(shown(OsStr::new(&"x".repeat(64))), "x".repeat(64));
        for secret in [
            "eyJhbGciOiJSUzI1NiJ9.secret",
            "Bearer eyJsecret",
            "http://me:secret@host/",
            "http://h/p?secret",
        ] {
            assert!(!shown(OsStr::new(secret)).contains("secret"), "{secret}");
        }
    }

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_finds_its_flag_and_nonsense_finds_none() {
        assert_eq!(nearest("ignore-daemonsets"), Some("ignore-daemon-sets"));
        assert_eq!(nearest("POLL_INTERVAL"), Some("poll-interval"));
        assert_eq!(nearest("clusters"), Some("cluster"));
        assert_eq!(nearest("nodename"), Some("node-name"));
        assert_eq!(nearest("frobnicate"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"cluster".repeat(1000)), None);
    }
}
