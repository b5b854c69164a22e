//! What an operator should know, and how much it matters.

use std::fmt;

/// How much a fact matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of interest to those who look for a fault.
    Debug,
    /// The usual course of things.
    Info,
    /// Something is not as it should be, and is being dealt with.
    Warn,
    /// Something needs a person.
    Error,
}

/// Something that the operator should know, in one sentence. Nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(String);

impl Remark {
    /// A remark in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
