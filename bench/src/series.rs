//! Figures of several rounds.

use std::fmt;

/// The same thing, measured several times.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// One more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The one in the middle, or between the two in the middle.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let upper = self.0.get(self.0.len() / 2)?;
        let lower = self.0.get((self.0.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// The greatest.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut series = Self::default();
        values.into_iter().for_each(|value| series.push(value));
        series
    }
}

/// `median (min–max)`, with the precision asked for.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let (Some(median), Some(least), Some(most)) =
            (self.median(), self.0.first(), self.0.last())
        else {
            return f.write_str("–");
        };
        write!(f, "{median:.places$}")?;
        if self.len() > 1 {
            write!(f, " ({least:.places$}–{most:.places$})")?;
        }
        Ok(())
    }
}
