//! What is aimed at, and what came.

use std::fmt;

/// One figure with its goal.
#[derive(Debug)]
pub struct Goal {
    /// What is measured.
    pub what: String,
    /// What is aimed at, in words.
    pub aim: String,
    /// What came, in words.
    pub came: String,
    /// Whether that is as aimed at.
    pub met: bool,
}

impl Goal {
    /// At most that much.
    #[must_use]
    pub fn at_most(
        what: impl Into<String>,
        aim: f64,
        came: f64,
        unit: &str,
        places: usize,
    ) -> Self {
        Self {
            what: what.into(),
            aim: format!("≤ {aim}{unit}"),
            came: format!("{came:.places$}{unit}"),
            met: came <= aim,
        }
    }

    /// At least that much.
    #[must_use]
    pub fn at_least(what: impl Into<String>, aim: f64, came: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            aim: format!("≥ {aim}{unit}"),
            came: format!("{came:.1}{unit}"),
            met: came >= aim,
        }
    }
}

/// A row of the table.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, aim, came, met } = self;
        let met = if *met { "ok" } else { "**missed**" };
        write!(f, "| {what} | {aim} | {came} | {met} |")
    }
}
