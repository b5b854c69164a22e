//! What is wrong with the settings.

use std::borrow::Cow;
use std::fmt;

/// Every problem of the settings, each in a line: which setting, how it was given, what would be valid. The
/// program has done nothing yet, and does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSettings(pub Vec<String>);

impl BadSettings {
    /// The first line.
    pub const SUMMARY: &str = "bad settings, so nothing was started";
}

impl std::error::Error for BadSettings {}

impl fmt::Display for BadSettings {
    /// One line per problem, and where help is; no line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", Self::SUMMARY)?;
        for problem in &self.0 {
            writeln!(f, "  {problem}")?;
        }
        f.write_str("See k8s-spot-handler --help.")
    }
}

/// A problem with a setting that decides nothing about pods: the handler runs without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub(super) problem: String,
    /// What applies instead, as a clause.
    pub(super) instead: Cow<'static, str>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.instead)
    }
}
