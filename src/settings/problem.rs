//! What is wrong with the settings, in the user's words.

use std::borrow::Cow;
use std::fmt;

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

/// One thing that is wrong: which setting, how it was given, what would be valid. A sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// A problem in these words.
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
