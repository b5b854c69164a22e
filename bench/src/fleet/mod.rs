//! A fleet of nodes that get their notices together, simulated: handlers, one API server with its priority and
//! fairness, kubelets and controllers. Pure: virtual time, no I/O, and random numbers from a seed.

mod client;
mod level;
mod model;
mod processor;
mod random;
mod seats;
mod setup;

pub use level::Shape;
pub use model::{Outcome, simulate};
pub use seats::Configured;
pub use setup::{Identity, Retry, Setup};

use std::cmp::Ordering;

/// A moment or a span, in seconds, that can be sorted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds(f64);

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
