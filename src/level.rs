//! Levels of the log.

/// The level of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For debugging.
    Debug,
    /// Normal operation.
    Info,
    /// Something is wrong, and is being handled.
    Warn,
    /// Something needs an operator.
    Error,
}
