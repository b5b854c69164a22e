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

    /// All of them, the least first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The one in the middle, or between the two in the middle.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let upper = self.0.get(self.0.len() / 2)?;
        let lower = self.0.get((self.0.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// Between which two of them the median lies of all rounds that could have
    /// been measured, with a confidence of at least 95 %: whatever their
    /// distribution, each is above that median with a chance of one half. `None`:
    /// there are fewer than six.
    #[must_use]
    pub fn median_within(&self) -> Option<[f64; 2]> {
        let mut outside = 0;
        // The chance that at most that many of them are below the median.
        let (mut exactly, mut at_most) = (0.5_f64.powi(i32::try_from(self.len()).ok()?), 0.0);
        while at_most + exactly <= 0.025 {
            at_most += exactly;
            exactly *= (self.len() - outside) as f64 / (outside + 1) as f64;
            outside += 1;
        }
        let least = self.0.get(outside.checked_sub(1)?)?;
        let most = self.0.get(self.len() - outside)?;
        Some([*least, *most])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_where_tables_of_the_binomial_distribution_say() {
        // n, and the rank of the lower bound, from tables for the sign test at
        // 5 %, two-sided.
        for (count, rank) in [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (25, 8), (50, 18)] {
            let series: Series = (1..=count).map(f64::from).collect();
            let bounds = [rank, count + 1 - rank].map(f64::from);
            assert_eq!(series.median_within(), Some(bounds), "of {count}");
        }
    }

    #[test]
    fn of_fewer_than_six_nothing_is_said() {
        for count in 0..6 {
            let series: Series = (0..count).map(f64::from).collect();
            assert_eq!(series.median_within(), None, "of {count}");
        }
    }
}
