//! Whether one is slower than the other: judged by rounds in which both had
//! their turn, and by how much the same differs from itself.

use crate::series::Series;

/// Of several rounds. In each the one held against had two turns.
#[derive(Debug, Default)]
pub struct Paired {
    /// How much longer it took than the other, of whose turns the mean counts.
    pub longer: Series,
    /// How far apart the other's two turns were.
    pub apart: Series,
}

impl Paired {
    /// One round more.
    pub fn push(&mut self, it: f64, [first, second]: [f64; 2]) {
        self.longer.push(it - f64::midpoint(first, second));
        self.apart.push((first - second).abs());
    }

    /// In how many rounds it took longer.
    #[must_use]
    pub fn slower_in(&self) -> usize {
        self.longer.values().iter().filter(|longer| **longer > 0.0).count()
    }
}
